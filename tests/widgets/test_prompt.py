"""The prompt box: a sample where nobody can type, a growing text where somebody can."""

from collections.abc import Iterator
from typing import Any

import ipywidgets
import pytest

from lecture17.widgets import prompt
from lecture17.widgets.prompt import PromptBox
from tests.conftest import Displayed

asked: list[tuple[str, str, float]] = []


def write(name: str, start: str, temperature: float) -> Iterator[str]:
    asked.append((name, start, temperature))
    yield from ("one <", "b>\n", *(f"line {i}\n" for i in range(40)))


@pytest.fixture
def box() -> PromptBox:
    asked.clear()
    return PromptBox(write, ["SSD", "hybrid"], prompt="def ", temperature=0.5)


def parts(view: ipywidgets.VBox) -> dict[str, Any]:
    return {type(child).__name__: child for child in view.children}


def test_where_nobody_can_type_it_is_the_beginning_of_a_sample(box: PromptBox) -> None:
    bundle, _ = box._repr_mimebundle_()
    assert asked == [("SSD", "def ", 0.5)]
    assert set(bundle) == {"text/markdown", "text/plain"}
    for text in bundle.values():
        assert "SSD at temperature 0.5, after “def ”" in text
        assert "def one <b>\nline 0\n" in text
        assert "line 10" in text
        assert "line 11" not in text
    assert bundle["text/markdown"].endswith("Run this cell to type a prompt of your own.")


def test_where_somebody_can_type_there_is_a_widget_and_nothing_is_written_before_it_is_asked_for(
    box: PromptBox, watched: Displayed
) -> None:
    still, _ = watched.show(box)
    assert asked == []
    assert still["text/markdown"].endswith("Run this cell to type a prompt of your own.")


def test_what_was_written_last_stays_when_the_kernel_has_gone(box: PromptBox, watched: Displayed) -> None:
    made = parts(box)
    watched.show(box)
    made["Button"].click()
    [after] = watched.updates
    assert "SSD at temperature 0.5, after “def ”" in after["text/plain"]
    assert "def one <b>\nline 0\n" in after["text/markdown"]


def test_the_button_writes_what_the_controls_say_and_the_text_grows(
    box: PromptBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt, "_EVERY", 0)
    made = parts(box)
    seen: list[str] = []
    made["HTML"].observe(lambda change: seen.append(change["new"]), names="value")
    made["Text"].value, made["Dropdown"].value, made["FloatSlider"].value = "class ", "hybrid", 1.0
    made["Button"].click()
    assert asked == [("hybrid", "class ", 1.0)]
    assert "class one &lt;</pre>" in seen[0]
    assert "class one &lt;b&gt;\nline 0\n" in seen[-1]
    assert seen[-1].endswith("line 39\n</pre>")
    assert len(seen) > 10
    assert not made["Button"].disabled


def test_an_error_is_shown_and_the_button_can_be_pressed_again() -> None:
    def fails(name: str, start: str, temperature: float) -> Iterator[str]:
        yield "a"
        raise RuntimeError("out of ink")

    made = parts(PromptBox(fails, ["SSD"], prompt=""))
    made["Button"].click()
    assert "a\n\nRuntimeError: out of ink" in made["HTML"].value
    assert not made["Button"].disabled
