"""The memory explorer: kernels against a recurrence run by hand, counts against counting."""

import re

import numpy as np
import pytest

from lecture17.widgets.memory import CHANNELS, COMPLEX, GATES, NEGATIVE, ONE, MemoryExplorer, Params, T, compute, settle
from lecture17.widgets.memory import describe as words_of

from .twins import any_settings

SETTINGS = [settle(params) for params in any_settings(MemoryExplorer, 40)]
each_setting = pytest.mark.parametrize("params", SETTINGS, ids=str)


@each_setting
def test_the_kernel_is_what_is_left_of_one_token_after_the_others(params: Params) -> None:
    r = compute(params)
    for eigenvalue, kernel in zip(r.eigenvalues, r.kernels, strict=True):
        for first in (0, T // 2, T - 1):
            state = 1.0 + 0j  # token `first` writes 1, nothing else is written
            for bit in r.bits[first + 1 :]:
                state *= eigenvalue if params.kind != GATES or bit else 1
            np.testing.assert_allclose(kernel[T - 1 - first], state.real, atol=1e-12)
    assert (np.abs(r.kernels) <= 1 + 1e-12).all()


@each_setting
def test_counts_are_those_of_counting(params: Params) -> None:
    r = compute(params)
    seen, state = 0, 1.0 + 0j
    for t in range(T):
        if r.bits[t]:
            seen, state = (seen + 1) % params.period, state * r.eigenvalues[0]
        assert r.counts[t] == seen
        np.testing.assert_allclose(r.states[t], state, atol=1e-12)
        assert r.readable[t] == (abs(state) > 0.01 - 1e-12)
        assert r.right[t] == (r.readable[t] and r.read[t] == seen)


@pytest.mark.parametrize("seed", range(5))
def test_minus_one_is_parity_and_a_rotation_counts_without_a_mistake(seed: int) -> None:
    assert compute(Params(NEGATIVE, 1.0, 2, seed)).right.all()
    for period in range(3, 13):
        assert compute(Params(COMPLEX, 1.0, period, seed)).right.all()


@pytest.mark.parametrize("kind", [ONE, CHANNELS, GATES])
@pytest.mark.parametrize("size", [0.0, 0.3, 0.7, 0.95, 0.99, 1.0])
def test_no_positive_eigenvalue_ever_reads_an_odd_count(kind: str, size: float) -> None:
    r = compute(Params(kind, size, 2, 0))
    assert not r.right[r.counts == 1].any()


def test_what_fades_is_lost() -> None:
    r = compute(Params(NEGATIVE, 0.7, 2, 0))
    assert r.bits.sum() >= 13
    assert r.right[np.cumsum(r.bits) <= 12].all()  # 0.7^12 > 0.01 > 0.7^13
    assert not r.readable[np.cumsum(r.bits) >= 13].any()


@each_setting
def test_words_give_how_often_the_count_is_read_right(params: Params) -> None:
    r = compute(params)
    match = re.search(r"right at (\d+) of 48 tokens(?:; at (\d+) the state is too faint)?", words_of(params))
    assert match
    assert int(match[1]) == r.right.sum()
    assert int(match[2] or 0) == (~r.readable).sum()


def test_half_lives_are_halves() -> None:
    match = re.search(r"halved every ([\d.]+) tokens", words_of(Params(ONE, 0.95, 2, 0)))
    assert match
    assert 0.95 ** float(match[1]) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", [ONE, CHANNELS, GATES, NEGATIVE, COMPLEX])
def test_only_a_complex_eigenvalue_has_a_period_to_choose(kind: str) -> None:
    for asked in range(2, 13):
        assert settle(Params(kind, period=asked)).period == (max(3, asked) if kind == COMPLEX else 2)
