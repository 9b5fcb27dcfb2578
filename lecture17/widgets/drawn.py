"""Explorers whose picture the kernel draws: controls on top, the picture, and a description in words.

An explorer is made of pure parts: Params (what the controls say), `controls` (what they may say, where the values of a
control may depend on those before it), `compute` (all that the picture shows), `describe` (the picture in words), and a
Scene that draws it. This module joins the parts and knows nothing of the subject.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from lecture17.figures.picture import CSS_DPI, LivePicture, Picture, image_html

from ._front import Shown


@dataclass(frozen=True)
class Control:
    """One control: the parameter it sets, the values it may take, and how each value is written."""

    name: str  # the field of Params
    label: str
    values: tuple[Any, ...]
    kind: str = "slider"  # or "choice" (a menu), "check" (values False, True), "play" (a slider that moves on its own)
    text: Callable[[Any], str] = str

    def position(self, value: Any) -> int:
        """The index of `value` among the values. Raises ValueError naming the parameter."""
        if value not in self.values:
            raise ValueError(f"{self.name} is {value!r}: expected one of {', '.join(map(repr, self.values))}")
        return self.values.index(value)

    def for_front_end(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "label": self.label,
            "kind": self.kind,
            "texts": [self.text(value) for value in self.values],
        }


class Scene(LivePicture):
    """The drawing of an explorer, made once and then updated as the Params change."""

    def __init__(self, size: tuple[float, float]) -> None:
        super().__init__("The title of the moment", "", size)
        [self.headline] = self.moves([self.suptitle(self.get_suptitle())])

    def pointed(self, params: Any, x: float, y: float) -> dict[str, Any]:
        """The parameters chosen by a click at pixel (x, y) of the figure, counted from its lower left corner."""
        return {}


class Front(Shown, anywidget.AnyWidget):
    """Labeled controls, a picture, and the picture in words.

    The last expression of a cell shows itself: in JupyterLab with its controls, elsewhere (a web page, nbconvert,
    nbval, a notebook without its kernel) as the picture it showed last.
    """

    _esm = Path(__file__).with_name("drawn.js")
    _css = Path(__file__).with_name("drawn.css")

    # Kernel to front end.
    controls: Any = traitlets.List().tag(sync=True)
    picture = traitlets.Bytes().tag(sync=True)
    size: Any = traitlets.List().tag(sync=True)  # of the picture, in CSS pixels
    words = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode("").tag(sync=True)  # what a click on the picture does, if anything
    button = traitlets.Unicode("").tag(sync=True)  # what the button says, if there is one
    busy = traitlets.Bool(False).tag(sync=True)  # while the button's work is being done
    asleep = traitlets.Unicode("Run this cell to explore.").tag(sync=True)  # shown where no kernel answers
    # Both ways: for each control, the index of its value.
    positions = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(self._answer)

    def show(self, picture: Picture) -> None:
        """Send a picture and its description to the browser."""
        self.size = [round(inches * CSS_DPI) for inches in picture.get_size_inches()]
        self.picture = picture.png()
        self.words = picture.description
        self.send({"drawn": True})

    def still(self) -> dict[str, str]:
        """The picture as it is now, and the line that says how to move it."""
        image = image_html(self.picture, self.size[0], self.words)
        return {"text/html": f"{image}<p>{html.escape(self.asleep)}</p>", "text/plain": self.words}

    def _answer(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        """A message other than `positions`: nothing has moved for a while."""
        if "rest" in content:
            self.refresh()


class DrawnExplorer(Front):
    """Controls, a picture and a line in words; `SomeExplorer(name=value, …)` starts with these settings.

    Raises ValueError for a setting that its control does not offer.
    """

    start: ClassVar[Any]  # the initial Params
    scene_type: ClassVar[type[Any]]

    @staticmethod
    def controls_for(params: Any) -> tuple[Control, ...]:
        """The controls, each with the values it may take while the controls before it are set to `params`."""
        raise NotImplementedError

    @staticmethod
    def describe(params: Any) -> str:
        """What the picture shows, in words."""
        raise NotImplementedError

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        known = [control.name for control in self.controls_for(self.start)]
        if unknown := settings.keys() - known:
            raise ValueError(f"unknown setting {min(unknown)}: expected {', '.join(known)}")
        self.scene = self.scene_type()
        self.positions = self.positions_for(settings)

    @classmethod
    def positions_for(cls, settings: dict[str, Any]) -> dict[str, int]:
        """The position of each control for `settings`; a control that is not named is at its initial value."""
        params, positions = cls.start, {}
        for i in range(len(cls.controls_for(params))):
            control = cls.controls_for(params)[i]  # its values may depend on the controls before it
            default = getattr(params, control.name)
            value = settings.get(control.name, default if default in control.values else control.values[-1])
            positions[control.name] = control.position(value)
            params = replace(params, **{control.name: value})
        return positions

    @classmethod
    def params_at(cls, positions: dict[str, int]) -> Any:
        """The settings at these positions. A position beyond the last value of a control counts as its last."""
        params = cls.start
        for i in range(len(cls.controls_for(params))):
            control = cls.controls_for(params)[i]
            value = control.values[min(positions[control.name], len(control.values) - 1)]
            params = replace(params, **{control.name: value})
        return params

    @property
    def params(self) -> Any:
        return self.params_at(self.positions)

    def pressed(self) -> None:
        """What the button does."""

    def say(self, params: Any) -> str:
        """The words under the picture: `describe`, and whatever only this explorer instance knows."""
        return self.describe(params)

    @traitlets.observe("positions")
    def _redraw(self, change: Any = None) -> None:
        params = self.params
        self.scene.follow(params)
        self.scene.description = self.say(params)
        with self.hold_sync():
            self.controls = [control.for_front_end() for control in self.controls_for(params)]
            self.show(self.scene)

    def _answer(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        """A message from the front end: a click on the picture, or a press of the button."""
        super()._answer(_, content, buffers)
        if "click" in content:
            self._click(*content["click"])
        elif "press" in content:
            self.busy = True
            try:
                self.pressed()
                self._redraw()
            finally:
                self.busy = False

    def _click(self, across: float, down: float) -> None:
        """A click at fractions of the picture's width and height, from its upper left corner."""
        params = self.params
        chosen = self.scene.pointed(params, across * self.scene.bbox.width, (1 - down) * self.scene.bbox.height)
        if chosen:
            settled = {name: getattr(params, name) for name in self.positions}
            self.positions = self.positions_for({**settled, **chosen})
