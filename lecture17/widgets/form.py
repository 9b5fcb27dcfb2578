"""Questions to answer by hand: choices, checkboxes and numbers, each with a note below it that the kernel writes."""

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from .front import Shown


class Form(Shown, anywidget.AnyWidget):
    """Groups of choices; `marked` and `notes` say, group by group, what is chosen and what the kernel says about it.

    The last expression of a cell shows itself; where nobody can answer (a web page, nbconvert, nbval), as the text of
    `static`. Subclasses set what is shown, and react to `marked` and the button.
    """

    _esm = Path(__file__).with_name("form.js")
    _css = Path(__file__).with_name("form.css")

    # Kernel to front end.
    above = traitlets.Unicode("").tag(sync=True)  # text in columns
    # A group is {"legend": …, "kind": "radio" or "checkbox", "options": [text, …]}, or {"legend": …,
    # "kind": "number", "options": [unit]}.
    groups: Any = traitlets.List().tag(sync=True)
    notes: Any = traitlets.List().tag(sync=True)  # a string for each group
    words = traitlets.Unicode().tag(sync=True)  # a note on all of them
    button = traitlets.Unicode("").tag(sync=True)  # what the button says, if there is one
    locked = traitlets.Bool(False).tag(sync=True)  # whether nothing can be changed anymore
    # Both ways: for each group the indices of the marked options, or the number entered.
    marked: Any = traitlets.List().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(lambda *_: self.press())  # the only message there is
        self.observe(lambda _: self.refresh(), names=["marked", "notes", "words", "above"])

    def press(self) -> None:
        """What the button does: clear the form."""
        self.marked = [[] for _ in self.groups]

    def plain(self) -> str:
        """The form as plain text."""
        return self.words

    def static(self) -> str:
        """The form as Markdown, for places where nobody can answer."""
        raise NotImplementedError

    def still(self) -> dict[str, str]:
        return {"text/markdown": self.static(), "text/plain": self.plain()}
