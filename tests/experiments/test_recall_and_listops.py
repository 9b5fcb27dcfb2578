"""Recall, the passkey and ListOps: the benchmarks' rules, counted again by hand."""

import numpy as np
import pytest
import torch

from lecture17.experiments.networks import CausalConv, Convolved, DeltaRule, LinearAttention, Softmax
from lecture17.experiments.tasks import IGNORE, WORDS, ListOps, Passkey, Recall, listops_value
from lecture17.reference import linear_attention


@pytest.mark.parametrize("time", [48, None])
@pytest.mark.parametrize("pairs", [1, 5, 16])
def test_each_fact_is_asked_once_and_answered_by_its_value(pairs: int, time: int | None) -> None:
    task = Recall(n_keys=20, time=time)
    tokens, labels = task.draw(30, pairs, 0)
    assert tokens.shape == labels.shape == (30, time or 3 * pairs)
    for row, asked in zip(tokens, labels, strict=True):
        keys, values = row[0 : 2 * pairs : 2], row[1 : 2 * pairs : 2]
        assert len(set(keys)) == len(set(values)) == pairs, "without replacement"
        assert keys.max() < 20 <= values.min()
        assert values.max() < 40
        facts = dict(zip(keys, values, strict=True))
        at = np.flatnonzero(asked != IGNORE)
        assert at.min() >= 2 * pairs
        assert sorted(row[at]) == sorted(keys)
        assert [facts[key] for key in row[at]] == list(asked[at])
        rest = np.setdiff1d(np.arange(2 * pairs, tokens.shape[1]), at)
        assert (row[rest] == 40).all()


def test_questions_follow_the_power_law_of_gaps() -> None:
    """With one fact the gap's distribution is the weights themselves."""
    gaps = (Recall(n_keys=4, time=22).draw(20000, 1, 0).labels != IGNORE).argmax(1) - 1
    expected = np.arange(1, 21) ** -0.99
    share = np.bincount(gaps, minlength=21)[1:] / 20000
    assert np.abs(share - expected / expected.sum()).max() < 0.012


def test_too_many_pairs_are_named() -> None:
    with pytest.raises(ValueError, match="length is 22 pairs: expected 1 to 21 for 64 keys, time 64"):
        Recall().draw(2, 22, 0)
    with pytest.raises(ValueError, match="length is 21 pairs: expected 1 to 20 for 20 keys"):
        Recall(n_keys=20, time=None).draw(2, 21, 0)


@pytest.mark.parametrize("length", [3, 17])
def test_the_passkey_is_stated_once_anywhere_and_asked_for_at_the_end(length: int) -> None:
    task = Passkey(n_values=5, n_fillers=3)
    tokens, labels = task.draw(300, length, 0)
    assert (labels[:, :-1] == IGNORE).all()
    assert (tokens[:, -1] == 8).all()
    places = set()
    for row, wanted in zip(tokens, labels[:, -1], strict=True):
        (at,) = np.flatnonzero(row[:-1] == 8)
        assert row[at + 1] == wanted < 5
        rest = np.delete(row[:-1], [at, at + 1])
        assert ((rest >= 5) & (rest < 8)).all()
        places.add(at)
    assert places == set(range(length - 2))
    with pytest.raises(ValueError, match="length is 2: expected at least 3"):
        task.draw(1, 2, 0)


def test_values_of_expressions() -> None:
    assert listops_value(["[MAX", "[MIN", "3", "8", "]", "[MAX", "1", "5", "]", "]"]) == 5
    assert listops_value(["[MED", "1", "9", "4", "]"]) == 4
    assert listops_value(["[MED", "1", "4", "]"]) == 2  # halves are cut off, as in the benchmark
    assert listops_value(["[SM", "7", "8", "[SM", "9", "9", "]", "]"]) == 3
    assert listops_value(["7"]) == 7


def by_hand(text: str) -> int:
    """The same by Python's own parser."""
    names = {"[MIN": "MIN([", "[MAX": "MAX([", "[MED": "MED([", "[SM": "SM(["}
    code = " ".join(names.get(w, "])," if w == "]" else w + ",") for w in text.split())
    functions = {"MIN": min, "MAX": max, "MED": lambda x: int(np.median(x)), "SM": lambda x: sum(x) % 10}
    (result,) = eval(code, functions)
    return result


@pytest.mark.parametrize("length", [12, 40, 100])
def test_listops_sequences_are_expressions_with_their_value_asked_at_the_end(length: int) -> None:
    tokens, labels = ListOps().draw(40, length, 3)
    arguments, depths = [], []
    for row, asked in zip(tokens, labels, strict=True):
        (end,) = np.flatnonzero(asked != IGNORE)
        words = [WORDS[t] for t in row[: end + 1]]
        assert (row[end + 1 :] == len(WORDS)).all()
        assert length / 4 < len(words) < length
        assert by_hand(" ".join(words)) == asked[end]
        open_lists: list[int] = []
        for word in words:
            depths.append(len(open_lists) + 1)
            if word == "]":
                arguments.append(open_lists.pop())
            elif open_lists:
                open_lists[-1] += 1
            if word.startswith("["):
                open_lists.append(0)
    assert min(arguments) == 2
    assert 8 <= max(arguments) <= 10
    assert max(depths) <= 11  # a bracket closes below its operator


def test_the_majority_of_listops_is_about_17_percent_and_lies_at_0_and_9() -> None:
    labels = ListOps().draw(2000, 200, 0).labels
    share = np.bincount(labels[labels != IGNORE], minlength=10) / 2000
    assert set(np.argsort(share)[-2:]) == {0, 9}
    assert 0.14 < share.max() < 0.21


def test_draws_are_pure() -> None:
    for task, length in ((Recall(), 4), (Passkey(), 9), (ListOps(), 30)):
        first, again, other = (task.draw(3, length, (0, 1, s)) for s in (1, 1, 2))
        assert (first.tokens == again.tokens).all()
        assert (first.labels == again.labels).all()
        assert (first.tokens != other.tokens).any()


def test_the_convolution_sees_the_token_before_and_none_after() -> None:
    torch.manual_seed(0)
    conv, x = CausalConv(4, 2), torch.randn(1, 7, 4)
    w, b = conv.weight[:, 0], conv.bias
    assert b is not None
    expected = x[:, 1:] * w[:, 1] + x[:, :-1] * w[:, 0] + b
    torch.testing.assert_close(conv(x)[:, 1:], expected)
    torch.testing.assert_close(conv(x)[:, 0], x[:, 0] * w[:, 1] + b)


@pytest.mark.parametrize(
    ("inner", "options"),
    [
        (Softmax, {"n_heads": 2}),
        (LinearAttention, {"n_heads": 2, "d_state": 4}),
        (DeltaRule, {"n_heads": 2, "d_state": 4, "beta_max": 1}),
    ],
)
def test_a_convolved_mixer_is_causal_and_trains_every_parameter(inner: type, options: dict) -> None:
    torch.manual_seed(0)
    mixer, x = Convolved(8, inner, width=2, **options), torch.randn(1, 9, 8)
    changed = x.clone()
    changed[0, 4] += 1
    difference = (mixer(changed) - mixer(x)).abs().amax(-1)[0]
    assert (difference[:4] == 0).all()
    assert (difference[4:] > 1e-6).all()
    mixer(x).square().sum().backward()
    unused = {"mixer.gate.weight", "mixer.gate.bias"} if inner is not DeltaRule else set()
    assert {name for name, p in mixer.named_parameters() if p.grad is None} == unused


def test_linear_attention_is_the_reference_head_by_head() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 2, 9, 4), torch.randn(1, 2, 9, 4), torch.randn(1, 2, 9, 3)
    y = LinearAttention(6, n_heads=2, d_state=4).mix(q, k, v, torch.zeros(1, 2, 9, 1))
    for head in range(2):
        Q, K, V = (t[0, head].double().numpy() for t in (q, k, v))
        np.testing.assert_allclose(y[0, head].numpy(), linear_attention.parallel(Q, K, V)[0], atol=1e-5)


def test_rotated_queries_tell_how_far_a_key_is_and_others_do_not() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 9, 8), torch.randn(1, 1, 1, 8).expand(1, 1, 9, 8)
    v, gate = torch.eye(9)[None, None], torch.zeros(1, 1, 9, 1)
    plain, rotated = (Softmax(8, n_heads=1, rope=rope).mix(q, k, v, gate)[0, 0] for rope in (False, True))
    torch.testing.assert_close(plain[8], torch.full((9,), 1 / 9), msg="equal keys get equal weights")
    assert rotated[8].std() > 0.01
