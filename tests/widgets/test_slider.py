"""The slider: a true picture where nobody can move it, one that follows where somebody can."""

import html
import io
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.image import imread

from lecture17.figures.states import Play, plateau_and_spike
from lecture17.reference import retention
from lecture17.widgets import _front
from lecture17.widgets._front import somebody_watches
from lecture17.widgets.slider import Slider

from .conftest import Displayed

N = 16
x = np.stack([np.arange(N) < 8, np.arange(N) == 12], axis=1).astype(float)


def play(value: float) -> Play:
    """RetNet with one key: at 1 it climbs eight times as high as the plateau."""
    ones = np.ones((N, 1))
    states = np.array([retention.recurrent(ones[:t], ones[:t], x[:t], value)[1] for t in range(1, N + 1)])
    M, y = retention.matrix(ones, ones, x, value), states[:, 0]
    return Play(M, states, x, y, f"A title that says what is seen at <{value:.2f}>")


@pytest.fixture
def made() -> Slider:
    return Slider(play, "decay <a>", 0.3, 1.0, value=0.9)


def asked_by(metadata: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = SimpleNamespace(get_parent=lambda: {"metadata": metadata})
    monkeypatch.setattr(_front, "get_ipython", lambda: SimpleNamespace(kernel=kernel))


def words_in(image: str) -> str:
    match = re.search(r'alt="([^"]*)"', image)
    assert match
    return html.unescape(match[1])


def test_where_nobody_watches_it_is_the_picture_and_a_line_that_says_what_could_be_moved(made: Slider) -> None:
    bundle, _ = made._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == words_in(bundle["text/html"]) == play(0.9).describe()
    assert bundle["text/html"].endswith("<p>decay &lt;a&gt;: 0.9. Run this cell to move it between 0.3 and 1.</p>")


def test_a_front_end_is_one_that_says_which_cell_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not somebody_watches()  # no kernel at all
    asked_by({}, monkeypatch)
    assert not somebody_watches()
    asked_by({"cellId": "abc"}, monkeypatch)
    assert somebody_watches()


def test_where_somebody_watches_it_is_a_widget_with_the_picture_for_those_who_cannot_show_it(
    made: Slider, watched: Displayed
) -> None:
    still, _ = watched.show(made)
    assert still["text/plain"] == words_in(still["text/html"]) == play(0.9).describe()


def test_the_picture_follows_the_slider(made: Slider) -> None:
    [control] = made.controls
    assert (control["label"], control["texts"][0], control["texts"][-1]) == ("decay <a>", "0.3", "1")
    assert control["texts"][made.positions["value"]] == "0.9"
    assert made.words == play(0.9).describe()
    seen = {made.picture}
    for position in (0, 25, len(control["texts"]) - 1):
        made.positions = {"value": position}
        assert made.words == play(float(control["texts"][position])).describe()
        seen.add(made.picture)
    assert len(seen) == 4


@pytest.mark.parametrize("value", [0.3, 0.7, 1.0])
def test_what_is_shown_after_a_move_is_the_whole_picture_of_that_value(value: float) -> None:
    room = [play(v) for v in (0.3, 1.0)]
    live, anew = (plateau_and_spike(play(start), room) for start in (0.5, value))
    live.png()
    live.follow(play(value))
    shown, right = (imread(io.BytesIO(picture.png())) for picture in (live, anew))
    assert shown.shape == right.shape
    assert (np.abs(shown - right).max(axis=2) > 0.2).mean() < 0.001


def test_every_curve_stays_inside_its_axes() -> None:
    picture = plateau_and_spike(play(0.5), [play(value) for value in (0.3, 1.0)])
    for value in (0.3, 1.0):
        picture.follow(play(value))
        for ax in picture.axes[1:]:
            low, high = ax.get_ylim()
            for line in ax.lines:
                assert low <= np.min(line.get_ydata()) <= np.max(line.get_ydata()) <= high


def test_a_move_is_shown_within_a_tenth_of_a_second(made: Slider) -> None:
    seconds = []
    for position in range(12):
        begin = time.process_time()
        made.positions = {"value": position}
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.1


@pytest.mark.parametrize("value", [0.2, 1.1, float("nan")])
def test_a_value_outside_the_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"value is .*: expected a number from low = 0\.3 to high = 1"):
        Slider(play, "decay", 0.3, 1.0, value=value)
