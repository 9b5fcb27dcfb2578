"""The slider: a true picture where nobody can move it, one that follows where somebody can."""

import html
import re
from types import SimpleNamespace
from typing import Any

import pytest

from lecture17.figures._picture import Picture
from lecture17.widgets import _front
from lecture17.widgets._front import somebody_watches
from lecture17.widgets.slider import Slider


def play(value: float) -> Picture:
    return Picture("A title that says what is seen", f"a picture of {value:.2f} & nothing else", size=(3.0, 2.0))


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
    bundle = made._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == words_in(bundle["text/html"]) == play(0.9).description
    assert bundle["text/html"].endswith("<p>decay &lt;a&gt;: 0.9. Run this cell to move it between 0.3 and 1.</p>")


def test_a_front_end_is_one_that_says_which_cell_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not somebody_watches()  # no kernel at all
    asked_by({}, monkeypatch)
    assert not somebody_watches()
    asked_by({"cellId": "abc"}, monkeypatch)
    assert somebody_watches()


def test_where_somebody_watches_it_is_a_widget_with_the_picture_for_those_who_cannot_show_it(
    made: Slider, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_by({"cellId": "abc"}, monkeypatch)
    bundle: dict[str, Any] = made._repr_mimebundle_()
    assert "model_id" in bundle["application/vnd.jupyter.widget-view+json"]
    assert bundle["text/plain"] == play(0.9).description
    assert "Run this cell" not in bundle["text/html"]


def test_the_picture_follows_the_slider(made: Slider) -> None:
    front = made.widget()
    [control] = front.controls
    assert (control["label"], control["texts"][0], control["texts"][-1]) == ("decay <a>", "0.3", "1")
    assert control["texts"][front.positions["value"]] == "0.9"
    assert front.words == play(0.9).description
    for position in (0, 25, len(control["texts"]) - 1):
        front.positions = {"value": position}
        value = float(control["texts"][position])
        assert front.words == play(value).description
        assert front.picture == play(value).png()


@pytest.mark.parametrize("value", [0.2, 1.1, float("nan")])
def test_a_value_outside_the_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"value is .*: expected a number from low = 0\.3 to high = 1"):
        Slider(play, "decay", 0.3, 1.0, value=value)
