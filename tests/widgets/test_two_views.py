"""Two views: both computed apart from each other, and their costs counted by doing the operations."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lecture17.costs import count
from lecture17.widgets.sequence import Sequence, decay_axes, menu
from lecture17.widgets.two_views import D, N, Params, TwoViews, compute, decays_only, describe, headline, settle

from .twins import any_settings, in_browser

each_setting = pytest.mark.parametrize("params", list(map(settle, any_settings(TwoViews, 40))), ids=str)


@each_setting
def test_the_state_gives_what_the_row_of_the_matrix_gives(params: Params) -> None:
    r = compute(params)
    np.testing.assert_allclose(r.y_state, r.y_matrix, atol=1e-12)
    assert "differ" not in describe(params)


@each_setting
def test_states_add_up_from_what_is_kept_and_what_is_written(params: Params) -> None:
    r = compute(params)
    np.testing.assert_array_equal(r.states[0], 0)
    np.testing.assert_allclose(r.states[:-1] - r.forgotten + r.written, r.states[1:], atol=1e-12)
    assert np.linalg.matrix_rank(r.written[params.t]) <= 1
    assert r.share_forgotten.min() >= 0
    assert r.share_forgotten.max() <= 1 + 1e-12
    if params.decay == 1:
        np.testing.assert_allclose(r.forgotten, 0, atol=1e-12)
    if params.decay == 0:
        np.testing.assert_allclose(r.kept, 0, atol=1e-12)


def test_states_are_those_of_the_recurrence_over_the_whole_sequence() -> None:
    for mixer in decays_only():
        params = Params(mixer=mixer, decay=0.8 if menu()[mixer].decay else 1.0)
        s = Sequence(N, params.d_state, params.decay, params.seed, D)
        y, S = menu()[mixer].function("reference", "recurrent")(*s.arguments(menu()[mixer]))
        np.testing.assert_allclose(compute(params).states[-1], S, atol=1e-12)
        np.testing.assert_allclose(compute(params).y_state, y, atol=1e-12)


@pytest.mark.parametrize("mixer", decays_only())
@pytest.mark.parametrize("d_state", [2, 8])
def test_operations_are_those_that_are_done(mixer: str, d_state: int) -> None:
    r = compute(Params(mixer=mixer, d_state=d_state, decay=0.8 if menu()[mixer].decay else 1.0))
    rng = np.random.default_rng(0)
    matrix, state = 0, 0
    for t in range(N):
        q, k, x = rng.normal(size=d_state), rng.normal(size=(t + 1, d_state)), rng.normal(size=(t + 1, D))
        axes = decay_axes(menu()[mixer])
        if axes == "key":
            matrix += count(lambda q, k, decays, x: ((decays * k) @ q) @ x, q, k, np.ones_like(k), x).flops
        elif axes == "none":
            matrix += count(lambda q, k, x: (k @ q) @ x, q, k, x).flops
        else:
            matrix += count(lambda q, k, decays, x: (decays * (k @ q)) @ x, q, k, np.ones(t + 1), x).flops
        S = rng.normal(size=(d_state, D))
        if axes == "none":
            state += count(lambda S, q, k, x: q @ (S + k[:, None] * x), S, q, k[t], x[t]).flops
        else:
            a = np.ones((d_state, 1))
            state += count(lambda S, a, q, k, x: q @ (a * S + k[:, None] * x), S, a, q, k[t], x[t]).flops
        assert (r.matrix_operations[t], r.state_operations[t]) == (matrix, state)
        assert (r.matrix_numbers[t], r.state_numbers[t]) == (k.size + x.size, S.size)


@each_setting
def test_words_give_the_output_and_the_costs(params: Params) -> None:
    r, t, words = compute(params), params.t, describe(params)
    match = re.search(r"y = \((.*?)\)", words)
    assert match
    said = [float(number.replace("−", "-")) for number in match[1].split(", ")]
    np.testing.assert_allclose(said, r.y_matrix[t], atol=0.0051)
    for cost in (r.matrix_operations, r.matrix_numbers, r.state_operations, r.state_numbers):
        assert f"{cost[t]:,}" in words
    assert f"weighs {t + 1} input" in words


def test_a_state_that_differed_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    r = compute(Params())
    wrong = replace(r, y_state=r.y_state + 1e-3)
    monkeypatch.setattr("lecture17.widgets.two_views.compute", lambda params: wrong)
    assert "differ" in describe(Params())


@pytest.mark.parametrize("t", [0, 1, N - 1])
def test_the_title_is_the_same_in_the_browser(t: int) -> None:
    params = Params(t=t)
    [shown] = in_browser(TwoViews, [params])
    assert shown["headline"] == headline(params)


def test_the_state_forgets_as_much_as_the_decay_takes_and_nothing_without_one() -> None:
    assert "forgets 12.5% of what it held" in describe(Params(mixer="RetNet", decay=0.875))
    for mixer in decays_only():
        assert "forgets nothing" in describe(Params(mixer=mixer, decay=1.0))
    assert "The state was empty" in describe(Params(t=0))
