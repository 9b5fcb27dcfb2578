"""mLSTM, log-linear attention and Mesa: their definitions, the ends of their ranges, and as relatives of SSD."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lecture17.reference import linear_attention, log_linear, mesa, mlstm, ssd
from tests.strategies import DECAYS, VARIANTS, Args, relative_error

FORMS = ("parallel", "recurrent", "chunkwise")
each_form = pytest.mark.parametrize("form", FORMS)


def drawn(name: str, decays: str = "mild", N: int = 23) -> Args:
    return VARIANTS[name].draw(np.random.default_rng(3), N, 4, 3, decays)


# mLSTM


@each_form
@pytest.mark.parametrize("decays", DECAYS)
def test_mlstm_is_the_plain_formula_from_any_state(decays: str, form: str) -> None:
    Q, K, V, log_i, log_f = drawn("mlstm", decays).values()
    rng = np.random.default_rng(4)
    state = rng.normal(size=(4, 3)), rng.normal(size=4), np.array(1.5)
    C, n = (np.exp(state[2]) * part for part in state[:2])
    y = np.empty_like(V)
    for t in range(len(V)):
        f, i = np.exp(log_f[t]), np.exp(log_i[t])
        C, n = f * C + i * np.outer(K[t], V[t]), f * n + i * K[t]
        y[t] = C.T @ Q[t] / max(abs(n @ Q[t]), 1)
    got, (C_N, n_N, m) = getattr(mlstm, form)(Q, K, V, log_i, log_f, state)
    assert relative_error(got, y) < 1e-12
    assert relative_error((np.exp(m) * C_N, np.exp(m) * n_N), (C, n)) < 1e-12


@each_form
@pytest.mark.parametrize("shift", [40.0, 700.0, 1e4])
def test_mlstm_with_large_gates_is_a_normalized_sum_in_which_only_their_ratios_count(shift: float, form: str) -> None:
    Q, K, V, log_i, log_f = drawn("mlstm").values()
    Q, K = np.exp(Q), np.exp(K)  # so that nothing to divide by cancels
    writes = np.exp(log_i)[:, None] * K
    want = ssd.parallel(V, log_f, writes, Q)[0] / ssd.parallel(np.ones((len(V), 1)), log_f, writes, Q)[0]
    assert relative_error(getattr(mlstm, form)(Q, K, V, log_i + shift, log_f)[0], want) < 1e-11


@each_form
@pytest.mark.parametrize("shift", [-40.0, -300.0])
def test_mlstm_with_small_gates_divides_by_one(shift: float, form: str) -> None:
    Q, K, V, log_i, log_f = drawn("mlstm").values()
    want, _ = ssd.parallel(V, log_f, np.exp(log_i)[:, None] * K, Q)
    y, _ = getattr(mlstm, form)(Q, K, V, log_i + shift, log_f)
    assert relative_error(np.exp(-shift) * y, want) < 1e-12


@each_form
def test_mlstm_is_zero_where_nothing_was_written_or_asked(form: str) -> None:
    Q, K, V, log_i, log_f = drawn("mlstm").values()
    log_i[:5], log_i[9:] = -np.inf, 1000.0
    K[9:15], Q[18] = 0, 0
    log_f[9] = -np.inf
    y, state = getattr(mlstm, form)(Q, K, V, log_i, log_f)
    assert (y[:5] == 0).all()
    assert (y[9:15] == 0).all()
    assert (y[18] == 0).all()
    assert all(np.isfinite(part).all() for part in (y, *state))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1.0, 50.0, 1e3, 1e6]), cut=st.integers(0, 30))
def test_mlstm_forms_agree_and_stay_finite_however_far_apart_its_gates_are(seed: int, scale: float, cut: int) -> None:
    rng = np.random.default_rng(seed)
    Q, K, V = rng.random((30, 3)), rng.random((30, 3)), rng.normal(size=(30, 2))
    log_i, log_f = scale * rng.normal(size=30), -scale * rng.random(30) * (rng.random(30) < 0.5)
    y, state = mlstm.recurrent(Q, K, V, log_i, log_f)
    assert np.isfinite(y).all()
    early, late = (slice(cut), slice(cut, None))
    first, middle = mlstm.parallel(Q[early], K[early], V[early], log_i[early], log_f[early])
    second, end = mlstm.chunkwise(Q[late], K[late], V[late], log_i[late], log_f[late], middle, chunk_size=7)
    rounding = 1e-10 * max(1, scale / 1e3)  # of the exponents themselves
    assert relative_error(np.concatenate([first, second]), y) < rounding
    assert relative_error(end, state) < rounding


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_mlstm_refuses_a_gate_that_is_no_log(value: float) -> None:
    args = drawn("mlstm")
    args["log_i"][3] = value
    with pytest.raises(ValueError, match=rf"^log_i\[3\] is {value}: expected logs of weights of any sign below inf"):
        mlstm.recurrent(*args.values())


# Log-linear attention


def levels_of(i: int) -> list[range]:
    """The tokens that token i reads at each level, as the definition says."""
    found = [range(i, i + 1)]
    for level in range(1, i.bit_length() + 1):
        end = i - i % 2 ** (level - 1)
        found.append(range(end - 2 ** (level - 1), end) if i >> (level - 1) & 1 else range(0))
    return found


@pytest.mark.parametrize("i", [0, 1, 6, 7, 8, 1000, 2**20 + 5])
def test_the_levels_hold_every_earlier_token_once(i: int) -> None:
    oldest_first = sorted((bucket for bucket in levels_of(i) if bucket), key=lambda bucket: bucket.start)
    assert (oldest_first[0].start, oldest_first[-1].stop) == (0, i + 1)
    assert all(older.stop == newer.start for older, newer in pairwise(oldest_first))
    for level, bucket in enumerate(levels_of(i)):
        if bucket:
            for j in (bucket.start, bucket.stop - 1):
                assert log_linear.level_of(np.array(i), j) == level


@each_form
@pytest.mark.parametrize("decays", DECAYS)
def test_log_linear_attention_is_its_definition(decays: str, form: str) -> None:
    Q, K, V, log_a, lam = drawn("log_linear", decays, N=41).values()
    lam -= 1  # of both signs
    y = np.zeros_like(V)
    for i in range(len(V)):
        for level, bucket in enumerate(levels_of(i)):
            for j in bucket:
                y[i] += lam[i, level] * np.exp(log_a[j + 1 : i + 1].sum()) * (Q[i] @ K[j]) * V[j]
    assert relative_error(getattr(log_linear, form)(Q, K, V, log_a, lam)[0], y) < 1e-12


@each_form
def test_log_linear_attention_with_equal_levels_is_ssd(form: str) -> None:
    Q, K, V, log_a, lam = drawn("log_linear", "mixed").values()
    y, (S, t) = getattr(log_linear, form)(Q, K, V, log_a, np.ones_like(lam))
    assert relative_error((y, S.sum(0)), ssd.recurrent(V, log_a, K, Q)) < 1e-12
    assert t == len(V)
    assert len(S) == 4  # 23 = 16 + 4 + 2 + 1


def test_the_state_has_a_bucket_for_each_bit_of_the_tokens_that_is_one() -> None:
    assert log_linear.buckets(0) == []
    assert log_linear.buckets(22) == [range(20, 22), range(16, 20), range(16)]


@pytest.mark.parametrize("form", ["matrix", *FORMS])
def test_levels_suffice_for_all_tokens_or_are_named(form: str) -> None:
    Q, K, V, log_a, lam = drawn("log_linear").values()  # 23 tokens: 6 levels
    function = getattr(log_linear, form)
    function(Q, K, V, log_a, lam[:, :6])
    message = r"^lam has 5 levels for 23 tokens in all: expected at least ⌈log₂ 23⌉ \+ 1 = 6"
    with pytest.raises(ValueError, match=message):
        function(Q, K, V, log_a, lam[:, :5])
    log_linear.recurrent(Q[:16], K[:16], V[:16], log_a[:16], lam[:16, :5])


@each_form
def test_a_continued_sequence_needs_levels_for_all_that_was_read(form: str) -> None:
    args = list(drawn("log_linear", N=16).values())
    _, state = log_linear.recurrent(*args)
    args[-1] = args[-1][:, :5]
    with pytest.raises(ValueError, match="lam has 5 levels for 32 tokens in all"):
        getattr(log_linear, form)(*args, state=state)


@pytest.mark.parametrize("t", [15, 17, -1])
def test_a_state_whose_buckets_do_not_fit_its_tokens_is_refused(t: int) -> None:
    arguments = drawn("log_linear", N=16)
    _, (S, _) = log_linear.recurrent(**arguments)
    with pytest.raises(ValueError, match=f"^state has 1 buckets after {t} tokens: expected one for each bit"):
        log_linear.recurrent(**arguments, state=(S, t))


# Mesa


@each_form
@pytest.mark.parametrize("decays", DECAYS)
def test_mesa_reads_the_ridge_regression_of_all_that_was_written(decays: str, form: str) -> None:
    Q, K, V, log_a, beta, lam = drawn("mesa", decays).values()
    y = np.empty_like(V)
    for t in range(len(V)):
        weights = beta[: t + 1] * np.exp([log_a[j + 1 : t + 1].sum() for j in range(t + 1)])
        rows = np.concatenate([np.sqrt(weights)[:, None] * K[: t + 1], np.diag(np.sqrt(lam))])
        values = np.concatenate([np.sqrt(weights)[:, None] * V[: t + 1], np.zeros((4, 3))])
        y[t] = Q[t] @ np.linalg.lstsq(rows, values)[0]
    assert relative_error(getattr(mesa, form)(Q, K, V, log_a, beta, lam)[0], y) < 1e-11


def test_mesa_with_a_large_ridge_is_linear_attention_and_with_a_small_one_recalls() -> None:
    Q, K, V, _, _, lam = drawn("mesa", N=4).values()
    keep, ones = np.zeros(4), np.ones(4)
    y, _ = mesa.parallel(Q, K, V, keep, ones, 1e9 * lam / lam)
    assert relative_error(1e9 * y, linear_attention.parallel(Q, K, V)[0]) < 1e-7
    _, state = mesa.parallel(Q, K, V, keep, ones, 1e-9 * lam)
    for k, v in zip(K, V, strict=True):  # as many keys as dimensions: each is read back
        assert relative_error(mesa.step(k, k, v, 0.0, 0.0, 1e-9 * lam, state)[0], v) < 1e-6


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("lam", 0.0, "numbers above 0"),
        ("lam", -1.0, "numbers above 0"),
        ("lam", np.inf, "numbers above 0"),
        ("beta", -0.5, r"numbers in \[0, inf\]"),
    ],
)
def test_mesa_refuses_weights_with_which_there_is_no_minimum(argument: str, value: float, message: str) -> None:
    args = drawn("mesa")
    args[argument][1] = value
    forms: list[Callable[..., Any]] = [mesa.matrix, *(getattr(mesa, form) for form in FORMS)]
    for form in forms:
        with pytest.raises(ValueError, match=rf"^{argument}\[1\] is {value:g}: expected {message}"):
            form(*args.values())
