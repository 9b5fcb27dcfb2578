"""Byte language models: equal sizes, blocks that step as they read, bits by group of bytes, equal time, sampling."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lecture17.experiments import Results, Schedule, language
from lecture17.experiments.data import Bytes, Text
from lecture17.experiments.language import BLOCKS, GROUPS, KINDS, WINDOW, RWKV7Block
from lecture17.experiments.runs import Outcome, take_turns
from lecture17.experiments.tasks import Batch
from lecture17.layers.mixer import Mixer
from lecture17.ops import rwkv7

TEXT = Text(*(Bytes("lines", np.frombuffer(b"for i in range(%d):\n" % n * 200, np.uint8)) for n in (12, 34, 56)))
SCHEDULE = Schedule(steps=16, lengths=(16, 16), batch=4, lr=8e-3, warmup=5, grow=0, anytime=True)
each_block = pytest.mark.parametrize("letter", BLOCKS)


def block(letter: str) -> Mixer:
    torch.manual_seed(0)
    return BLOCKS[letter](16, head_dim=8).double()


def test_all_kinds_have_the_same_size_and_a_budget_that_is_too_small_is_named() -> None:
    sizes = [language.count(language.network(kind)) for kind in KINDS]
    assert max(sizes) / min(sizes) < 1.03
    assert len({len(pattern) for pattern in KINDS.values()}) == 1
    with pytest.raises(ValueError, match="parameters is 9,000: expected more"):
        language.network("SSD", parameters=9_000)


@each_block
def test_a_block_steps_as_it_reads_and_may_be_cut_anywhere(letter: str) -> None:
    mixer, x = block(letter), torch.randn(2, 9, 16, dtype=torch.float64)
    whole, cache, parts = mixer(x), mixer.init_cache(2), []
    for x_t in x[:, :3].unbind(1):
        y_t, cache = mixer.step(x_t, cache)
        parts.append(y_t[:, None])
    for piece in (x[:, 3:5], x[:, 5:]):
        y, cache = mixer.mix(piece, cache)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole)


@each_block
def test_every_parameter_of_a_block_has_a_gradient(letter: str) -> None:
    mixer = block(letter)
    mixer(torch.randn(2, 9, 16, dtype=torch.float64)).square().sum().backward()
    for name, parameter in mixer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_rwkv7_decays_within_the_published_range_and_removes_by_unit_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    whole = rwkv7.chunkwise

    def recorded(*args: Any, **rest: Any) -> Any:
        seen.extend(args)
        return whole(*args, **rest)

    monkeypatch.setattr(rwkv7, "chunkwise", recorded)
    RWKV7Block(16, head_dim=8)(20 * torch.randn(2, 50, 16))
    _, log_w, k, _, kappa, a = seen
    assert 0.545 < log_w.exp().min() < 0.56
    assert log_w.max() <= 0
    torch.testing.assert_close(kappa.norm(dim=-1), torch.ones(2, 50, 2))
    assert (k.sign() == kappa.sign())[a > 1e-6].all()


class Uniform(torch.nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, 256)


def test_a_model_that_knows_nothing_needs_eight_bits_a_byte() -> None:
    windows = TEXT.test.spread(60, 7)  # more than are tested at once
    np.testing.assert_allclose(language.bits(Uniform(), windows), np.full((60, 7), 8.0), rtol=1e-6)


def windows_of(*texts: bytes) -> Batch:
    rows = np.array([list(text) for text in texts])
    return Batch(rows[:, :-1], rows[:, 1:])


def test_bytes_of_names_are_told_apart_from_the_third_on_and_only_far_from_where_the_name_was_last() -> None:
    far, near = b"." * WINDOW, b"." * (WINDOW - len("counter"))
    text = b"counter" + far + b"counter" + near + b"counter return " + far + b"return short short counters"
    groups = language.name_bytes(windows_of(text))[0]
    again, new, rest = ("".join(chr(b) for b, g in zip(text[1:], groups, strict=True) if g == i) for i in range(3))
    assert (again, new) == ("unter", "unterunters")
    kept = "o" + far.decode() + "co" + near.decode() + "counter return " + far.decode()
    assert rest == kept + "return short short co"


def test_a_group_has_the_bits_per_byte_of_its_bytes_whichever_window_they_are_in() -> None:
    of_bytes = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 5.0]])
    group = np.array([[True, True, False], [False, True, False]])
    assert language.of_group(of_bytes, group).mean() == pytest.approx((1 + 2 + 4) / 3)
    assert language.of_group(of_bytes, np.zeros((2, 3), bool)).tolist() == [0, 0]


def test_counts_are_those_of_the_bytes_before() -> None:
    text = Text(*(Bytes(t, np.frombuffer(t.encode(), np.uint8)) for t in ("aab", "", "ab")))
    one = (np.array([2, 1]) + 8 / 256) / 11  # a, b
    assert language.counted_bits(text, 0) == pytest.approx(-np.log2(one).mean(), rel=1e-5)
    b_after_a = (1 + 8 * one[1]) / (2 + 8)
    assert language.counted_bits(text, 1) == pytest.approx(-np.log2(b_after_a), rel=1e-5)
    assert language.counted_bits(TEXT, 2) < language.counted_bits(TEXT, 1) < language.counted_bits(TEXT, 0) < 8
    with pytest.raises(ValueError, match="order is 3: expected 0, 1 or 2"):
        language.counted_bits(text, 3)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    some = language.trainings(TEXT, SCHEDULE, validation=5, test=9)
    return take_turns([t for t in some if t.name in ("SSD", "hybrid 3:1")], seed=3)


def test_a_training_learns_is_read_on_its_way_and_brings_its_weights_along(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["hybrid 3:1"]
    on_the_way = [reading["bits"].mean() for reading in outcome.readings.values()]
    assert list(outcome.readings) == [3, 5, 8, 11, 13, 16]  # sixths of 16 steps
    assert on_the_way[-1] < on_the_way[0] - 1
    windows = TEXT.test.spread(9, 16)
    again = language.bits(language.trained("hybrid 3:1", outcome), windows)
    np.testing.assert_array_equal(again.mean(1), outcome.final["bits"])
    groups = language.name_bytes(windows)
    shares = [(groups == i).mean() for i in range(3)]
    of_groups = [outcome.final[group].mean() for group in GROUPS]
    assert np.dot(shares, of_groups) == pytest.approx(again.mean())


def test_only_the_validation_part_is_read_before_the_end() -> None:
    seen: list[str] = []

    def noted(text: Bytes, batch: int, length: int) -> Batch:
        seen.append(text.name)
        return Batch(*(np.zeros((batch, length), int),) * 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bytes, "spread", noted)
        named = Text(*(Bytes(part, TEXT.train.data) for part in ("train", "validation", "test")))
        training = language.trainings(named, SCHEDULE, validation=2, test=3)[0]
    assert training.read is not None
    assert (training.task, seen) == (named.train, ["validation", "test"])
    model = training.new_network(0)
    assert [len(training.read(model, part)["bits"]) for part in ("validation", "test")] == [2, 3]


def outcome(seconds: list[float], readings: dict[int, list[float]]) -> Outcome:
    read = {step: {"bits": np.array(of_windows)} for step, of_windows in readings.items()}
    return Outcome({}, np.zeros(len(seconds)), 0, np.array(seconds), read)


def test_equal_time_is_when_the_quickest_has_ended_and_each_seed_has_its_own() -> None:
    quick = [outcome(4 * [1.0], {2: [3.0, 4.0], 4: [2.0, 3.0]}), outcome(4 * [3.0], {2: [3.0, 4.0], 4: [1.0, 2.0]})]
    slow = [outcome(4 * [1.5], {2: [5.0, 6.0], 4: [2.0, 6.0]}), outcome(4 * [6.0], {2: [5.0, 6.0], 4: [2.0, 6.0]})]
    found = language.at_equal_time(Results({"quick": quick, "slow": slow}, {"quick": 4, "slow": 4}))
    np.testing.assert_allclose(found["quick"], [[2, 3], [1, 2]])
    np.testing.assert_allclose(found["slow"], [[4, 6], [5, 6]])  # after 4 of 6 seconds, and after 12 of 24
    with pytest.raises(ValueError, match="stopped before its first test"):
        language.at_equal_time(Results({"quick": [outcome([1.0], {})]}, {"quick": 4}))


def test_text_is_written_piece_by_piece_the_same_for_a_seed(outcomes: dict[str, Outcome]) -> None:
    model = language.trained("SSD", outcomes["SSD"])
    pieces = list(language.write(model, "for", 50, seed=1))
    assert len(pieces) == 51
    assert "".join(pieces) == "".join(language.write(model, "for", 50, seed=1))
    assert "".join(pieces) != "".join(language.write(model, "for", 50, seed=2))
    likeliest = "".join(language.write(model, "", 20, temperature=0))
    assert likeliest == "".join(language.write(model, "\n", 20, temperature=0))


def test_bytes_of_one_letter_are_put_together_and_those_of_none_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = language.network("SSD")
    drawn = [torch.tensor([byte]) for byte in "é".encode() + b"\xff"]
    monkeypatch.setattr(model, "stream", lambda *args: iter(drawn))
    assert list(language.write(model, "x", 3)) == ["", "é", "\ufffd", ""]


def test_decoding_is_timed_in_turn_after_any_context(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, int]] = []
    models = {kind: language.network(kind) for kind in ("attention", "windowed 3:1")}

    def noted(kind: str, stack: Any, tokens: Tensor, caches: list[Any]) -> Any:
        read.append((kind, tokens.shape[1]))
        return stack(tokens, caches)

    for kind, model in models.items():
        monkeypatch.setattr(model, "_stack", partial(noted, kind, model._stack))
    rates = language.decoding_rates(models, TEXT.test, context=20, n_bytes=3)
    assert set(rates) == set(models)
    assert min(rates.values()) > 0
    assert [n for _, n in read] == [20, 1, 20, 1] + 6 * [1]
    assert [kind for kind, _ in read[4:]] == 3 * ["attention", "windowed 3:1"]


def test_a_window_bounds_the_cache_and_hides_what_is_farther_back() -> None:
    mixer = block("W")
    x = torch.randn(1, 3 * WINDOW, 16, dtype=torch.float64)
    y, cache = mixer.mix(x, mixer.init_cache(1))
    assert cache.state.k.shape[2] == WINDOW - 1
    changed = x.clone()
    changed[:, 0] += 1
    reach = WINDOW - 1 + 3  # the convolution reaches three bytes further
    same = torch.isclose(mixer(changed), y).all(-1)[0]
    assert same[reach + 1 :].all()
    assert not same[: reach + 1].any()
