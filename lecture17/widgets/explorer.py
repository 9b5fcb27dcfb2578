"""Explorers compute and draw in the browser, with a kernel and without one. This module knows nothing of the subject.

An explorer is made of pure parts: Params (its settings), `controls` (which values they may take), `settle` (makes
settings fit each other), `compute` (all that is shown), `describe` (the same in words), and a picture of them for
places where no script runs. `js/<module>.js` has a twin of each part but the picture; tests/widgets compares what the
twins compute. Each setting is a trait: what is moved in the browser can be read in Python, and what is set in Python
moves the picture.
"""

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets

from lecture17.figures.picture import CSS_DPI, Picture, image_html

from .front import Shown, between_cells

BUNDLE_FILE = Path(__file__).with_name("explorers.js")  # of js/, made by `npm run build` there
BUNDLE = BUNDLE_FILE.read_text(encoding="utf-8")
WAKE = f"<script data-lecture17>{BUNDLE}lecture17.wake()</script>"  # stored notebooks lack it: `course.build`


@dataclass(frozen=True)
class Control:
    """One setting: its name in Params, its label, and the values it may take.

    A "range" goes from `low` to `high`, in whole numbers if `step` is one; the slider of one with `doubles` stops at
    powers of two, and the numbers between can be typed. "play" is a range that can move on its own; a "choice" is one
    of `options`; a "check" is False or True. Those with `more` are folded at first.
    """

    name: str
    label: str
    kind: str = "range"
    options: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    step: float = 1
    doubles: bool = False
    more: bool = False

    def checked(self, value: Any) -> Any:
        """The value as a Python number, text or bool. Raises ValueError naming the setting."""
        if self.kind in ("choice", "check"):
            options = self.options or (False, True)
            if value not in options:
                raise ValueError(f"{self.name} is {value!r}: expected one of {', '.join(map(repr, options))}")
            return options[options.index(value)]
        whole = isinstance(self.step, int)
        number = np.ndim(value) == 0 and np.isrealobj(value) and not isinstance(value, str | bool | None)
        if not number or not self.low <= value <= self.high or (whole and int(value) != value):
            kind = "a whole number" if whole else "a number"
            raise ValueError(f"{self.name} is {value!r}: expected {kind} from {self.low:g} to {self.high:g}")
        return int(value) if whole else float(value)


class _Setting(traitlets.TraitType[Any, Any]):
    """A trait whose values are those of a control."""

    def __init__(self, control: Control, default: Any) -> None:
        super().__init__(default)
        self.control = control
        self.tag(sync=True)

    def validate(self, obj: Any, value: Any) -> Any:
        return self.control.checked(value)


class Live(Shown, anywidget.AnyWidget):
    """Controls, panels and words that the browser draws; a picture where no script runs."""

    given: ClassVar[dict[str, Any]] = {}  # what the browser needs beyond the settings
    button: ClassVar[str] = ""  # what the button says that asks the kernel for something, if there is one

    _esm = f"{BUNDLE}\nexport default globalThis.lecture17;"

    spec: Any = traitlets.Dict().tag(sync=True)
    data: Any = traitlets.Dict().tag(sync=True)  # what only the kernel can find out
    busy: Any = traitlets.Bool(False).tag(sync=True)  # while it does what the button asks
    failure: Any = traitlets.Unicode().tag(sync=True)  # why it could not

    def __init__(self, controls: Sequence[Control], **traits: Any) -> None:
        super().__init__(**traits)
        self.spec = {
            "name": type(self).__name__,
            "controls": [asdict(control) for control in controls],
            "data": self.given,
            "button": self.button,
        }
        self.on_msg(self._answer)

    @property
    def shown(self) -> dict[str, Any]:
        """The value of each control, as it is shown."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """The picture in words."""
        raise NotImplementedError

    def draw(self) -> Picture:
        """The still, drawn by Matplotlib."""
        raise NotImplementedError

    def pressed(self) -> None:
        """What the button does."""

    def still(self) -> dict[str, str]:
        """All that a page needs to bring it to life, with a picture for where no script runs."""
        spec = json.dumps({**self.spec, "state": self.shown, "data": {**self.given, **self.data}})
        picture = self.draw()
        image = image_html(picture.png(), round(picture.get_figwidth() * CSS_DPI), self.words)
        host = f'<div data-explorer="{html.escape(spec)}">{image}<p>Run this cell to explore.</p></div>'
        return {"text/html": host + WAKE, "text/plain": self.words}

    def _answer(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        """A message from the front end: nothing has moved for a while, or the button was pressed."""
        if "rest" in content:
            between_cells(self.refresh)
        elif "press" in content and not self.busy:
            self._press()

    def _press(self) -> None:
        """Do what the button asks, and say so in the browser meanwhile; a failure is said there, and logged."""
        self.busy, self.failure = True, ""
        try:
            self.pressed()
        except Exception as error:
            self.failure = f"That failed: {type(error).__name__}: {error}"
            raise
        finally:
            self.busy = False


class Explorer(Live):
    """`SomeExplorer(name=value, …)` starts with these settings; each setting is an attribute.

    Raises ValueError, on making one and on setting an attribute, for a value that its control does not have.
    """

    start: ClassVar[Any]  # the initial Params
    controls: ClassVar[tuple[Control, ...]]
    settle: ClassVar[Callable[..., Any]]
    describe: ClassVar[Callable[..., str]]  # settings, and by name what is in `data`, if anything
    picture: ClassVar[Callable[..., Picture]]  # the still: the same, drawn by Matplotlib

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for control in cls.controls:
            setting = _Setting(control, getattr(cls.start, control.name))
            setattr(cls, control.name, setting)
            setting.class_init(cls, control.name)

    def __init__(self, **settings: Any) -> None:
        known = [control.name for control in self.controls]
        if unknown := settings.keys() - set(known):
            raise ValueError(f"unknown setting {min(unknown)}: expected {', '.join(known)}")
        super().__init__(self.controls, **settings)

    @property
    def params(self) -> Any:
        """The settings as they are shown: made to fit each other."""
        asked = type(self.start)(**{control.name: getattr(self, control.name) for control in self.controls})
        return type(self).settle(asked)

    @property
    def shown(self) -> dict[str, Any]:
        return asdict(self.params)

    @property
    def words(self) -> str:
        return type(self).describe(self.params, **self.data)

    def draw(self) -> Picture:
        return type(self).picture(self.params, **self.data)
