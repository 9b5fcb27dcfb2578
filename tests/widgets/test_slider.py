"""The slider: what the function returned at every stop, in the browser too, and a true picture where no script runs."""

import html
import json
import re
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lecture17.figures.states import Play, plateau_and_spike
from lecture17.reference import retention
from lecture17.widgets import front
from lecture17.widgets.front import somebody_watches
from lecture17.widgets.slider import MOST_STOPS, Slider, stops
from tests.conftest import Displayed

from .twins import assert_close, shown_by_browser

N = 16
x = np.stack([np.arange(N) < 8, np.arange(N) == 12], axis=1).astype(float)


@cache
def play(value: float) -> Play:
    """RetNet with two keys: at 1 it climbs sixteen times as high as the plateau."""
    ones = np.ones((N, 2))
    states = np.array([retention.recurrent(ones[:t], ones[:t], x[:t], value)[1] for t in range(1, N + 1)])
    M, y = retention.matrix(ones, ones, x, value), states.sum(axis=1)
    return Play(M, states, x, y, f"A title that says what is seen at <{value:.2f}>")


@pytest.fixture
def made() -> Slider:
    return Slider(play, "decay <a>", 0.3, 1.0, value=0.9)


def asked_by(metadata: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = SimpleNamespace(get_parent=lambda: {"metadata": metadata})
    monkeypatch.setattr(front, "get_ipython", lambda: SimpleNamespace(kernel=kernel))


def in_browser(slider: Slider, values: list[float]) -> list[dict[str, Any]]:
    return shown_by_browser("Slider", slider.data, [{"value": value} for value in values])


def spec_in(still: dict[str, str]) -> dict[str, Any]:
    match = re.search(r'data-explorer="([^"]*)"', still["text/html"])
    assert match
    spec: dict[str, Any] = json.loads(html.unescape(match[1]))
    return spec


def test_where_nobody_watches_it_is_a_picture_and_all_that_wakes_it(made: Slider) -> None:
    bundle, _ = made._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == play(0.9).describe()
    assert f'<img alt="{html.escape(play(0.9).describe())}"' in bundle["text/html"]
    assert "Run this cell to explore." in bundle["text/html"]
    spec = spec_in(bundle)
    assert (spec["name"], spec["state"]) == ("Slider", {"value": 0.9})
    [control] = spec["controls"]
    assert (control["label"], control["low"], control["high"]) == ("decay <a>", 0.3, 1.0)


def test_the_words_give_each_row_of_the_state_after_the_last_token() -> None:
    """RWKV-4's rows are sums of two kinds: what is left of the signal, and of the weights, whatever the signal."""
    states = np.arange(4 * N, dtype=float).reshape(N, 2, 2) / 100
    said = play(0.9)._replace(states=states).describe()
    assert "The state holds 2 numbers for each of the two signals, from 0.00 to 0.63." in said
    assert "After the last token they are, row by row, 0.60, 0.62 for the plateau; 0.61, 0.63 for the spike." in said


def test_a_front_end_is_one_that_says_which_cell_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not somebody_watches()  # no kernel at all
    asked_by({}, monkeypatch)
    assert not somebody_watches()
    asked_by({"cellId": "abc"}, monkeypatch)
    assert somebody_watches()


def test_where_somebody_watches_it_is_a_widget_and_the_still_follows(made: Slider, watched: Displayed) -> None:
    still, _ = watched.show(made)
    made.value = 0.5
    made._answer(made, {"rest": True}, [])
    [after] = watched.updates
    for shown, value in ((still, 0.9), (after, 0.5)):
        assert shown["text/plain"] == play(value).describe()
        assert spec_in(shown)["state"] == {"value": value}


def test_the_browser_shows_at_every_stop_what_the_function_returned(made: Slider) -> None:
    single = 1e-6  # numbers travel in single precision
    for value, shown in zip(made.stops, in_browser(made, made.stops.tolist()), strict=True):
        right, browser = play(value), shown["result"]
        assert_close("M", browser["M"], right.M, single)
        assert_close("states", np.transpose(browser["states"], (2, 1, 0)), right.states.astype("f4"), single)
        for name in ("x", "y"):
            assert_close(name, np.transpose(browser[name]), getattr(right, name).astype("f4"), single)
        assert shown["words"] == right.describe()
        assert shown["headline"] == right.title


def test_the_function_runs_once_for_each_stop_and_never_again() -> None:
    asked: list[float] = []

    def counted(value: float) -> Play:
        asked.append(value)
        return play(value)

    slider = Slider(counted, "decay", 0.3, 1.0, value=0.9)
    slider.value = 0.42
    slider.still()
    assert asked == slider.stops.tolist()


def test_what_the_function_raises_at_any_stop_is_raised() -> None:
    def fails(value: float) -> Play:
        if value > 0.97:
            raise ZeroDivisionError("a mistake of the learner's")
        return play(value)

    with pytest.raises(ZeroDivisionError, match="a mistake of the learner's"):
        Slider(fails, "decay", 0.3, 1.0, value=0.9)


@pytest.mark.parametrize(("asked", "stop"), [(0.511, 0.52), (0.509, 0.5), (0.3, 0.3), (1, 1.0)])
def test_a_value_goes_to_the_nearest_stop_in_python_and_in_the_browser(made: Slider, asked: float, stop: float) -> None:
    made.value = asked
    assert made.value == stop
    assert made.words == play(stop).describe()
    [shown] = in_browser(made, [asked])
    assert shown["params"] == {"value": stop}


@pytest.mark.parametrize(
    ("low", "high", "value", "step"), [(0.3, 1, 0.9, 0.02), (0.3, 1, 0.6, 0.02), (0.55, 1, 0.95, 0.025)]
)
def test_the_sliders_of_the_tour_have_round_stops(low: float, high: float, value: float, step: float) -> None:
    found, values = stops(low, high, value)
    assert found == pytest.approx(step)
    assert {low, high, value} <= set(values.tolist())


@settings(max_examples=200)
@given(st.tuples(*[st.floats(-1e3, 1e3)] * 3).map(sorted))
def test_stops_are_few_and_have_both_ends_and_the_value(three: list[float]) -> None:
    low, value, high = three
    _, values = stops(low, high, value)
    assert len(values) <= MOST_STOPS
    assert (np.diff(values) > 0).all()
    for wanted in three:
        assert np.isclose(values, wanted, atol=1e-6 * (high - low) + 1e-9).any()


def test_entries_above_the_diagonal_travel_only_if_there_are_any() -> None:
    def looks_ahead(value: float) -> Play:
        return play(value)._replace(M=play(value).M + np.triu(np.full((N, N), value), 1))

    causal, other = (Slider(function, "decay", 0.3, 1.0, value=0.9) for function in (play, looks_ahead))
    assert causal.data["M"]["shape"] == (36, N * (N + 1) // 2)
    [shown] = in_browser(other, [0.5])
    assert_close("M", shown["result"]["M"], looks_ahead(0.5).M, 1e-6)


def test_every_curve_of_the_still_stays_inside_its_axes() -> None:
    room = [play(value) for value in (0.3, 1.0)]
    for shown in room:
        picture = plateau_and_spike(shown, room)
        for ax in picture.axes[1:]:
            low, high = ax.get_ylim()
            for line in ax.lines:
                assert low <= np.min(line.get_ydata()) <= np.max(line.get_ydata()) <= high
        assert picture.axes[0].get_ylim() == plateau_and_spike(room[0], room).axes[0].get_ylim()


def test_a_slider_of_the_tour_s_size_stays_small_in_the_notebook() -> None:
    def full(value: float) -> Play:
        rng = np.random.default_rng(int(100 * value))
        M, states, x, y = (rng.normal(size=shape) for shape in ((32, 32), (32, 3, 2), (32, 2), (32, 2)))
        return Play(np.tril(M), states, x, y, "RetNet: at γ = 0.90 half is gone after 6.6 tokens")

    slider = Slider(full, "decay", 0.3, 1.0, value=0.9)
    assert len(slider.stops) == MOST_STOPS
    assert len(json.dumps(slider.data)) < 300_000


@pytest.mark.parametrize("value", [0.2, 1.1, float("nan"), "0.5", None])
def test_a_value_outside_the_range_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"value is .*: expected a number from 0\.3 to 1"):
        Slider(play, "decay", 0.3, 1.0, value=value)


@pytest.mark.parametrize("value", [0.2, 1.1, float("nan")])
def test_a_value_set_outside_the_range_is_refused(made: Slider, value: float) -> None:
    with pytest.raises(ValueError, match=r"value is .*: expected a number from 0\.3 to 1"):
        made.value = value
    assert made.value == 0.9


@pytest.mark.parametrize(("low", "high"), [(float("-inf"), 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_ends_that_are_not_finite_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"low is .* and high is .*: expected finite numbers"):
        Slider(play, "decay", low, high, value=0.5)
