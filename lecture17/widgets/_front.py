"""Between kernel and browser: the state that `explorer.js` shows, and what remains after the kernel is gone."""

import html
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle, display

from lecture17.figures.picture import CSS_DPI, Picture, image_html

# A cell shows a widget as two outputs: a still, and the widget itself. The page shows the widget while it is alive and
# the still otherwise: without a kernel, the widget alone would be "Error displaying widget" on the next day.
STILL = """<style>
.jp-OutputArea-child:has(.lecture17-still):has(+ .jp-OutputArea-child .lecture17-live),
.jp-OutputArea-child:has(.lecture17-still) + .jp-OutputArea-child:not(:has(.lecture17-live)) { display: none; }
</style><div class="lecture17-still"></div>

"""
LIVE = "lecture17-live"  # the class of a widget that is alive


def somebody_watches() -> bool:
    """Whether a person's front end ran this cell: it names the cell, which nbconvert and nbval do not."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and "cellId" in kernel.get_parent().get("metadata", {})


class Shown(ipywidgets.DOMWidget):
    """A widget with a still: as the last expression of a cell both are shown; where nobody watches, only the still."""

    handle: DisplayHandle | None = None

    def still(self) -> dict[str, str]:
        """What stays in the notebook when the kernel has gone."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Bring the still up to date, if it was shown."""
        if self.handle is not None:
            self.handle.update(_marked(self.still()), raw=True)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.still(), {}

    def _ipython_display_(self) -> None:
        if not somebody_watches():
            raise NotImplementedError  # IPython then takes `_repr_mimebundle_`
        self.handle = display(_marked(self.still()), raw=True, display_id=True)
        live = super()._repr_mimebundle_()
        view = live[0] if isinstance(live, tuple) else live  # anywidget adds metadata
        display({**view, "text/plain": "", "text/html": ""}, raw=True)


def _marked(still: dict[str, str]) -> dict[str, str]:
    return {kind: text if kind == "text/plain" else STILL + text for kind, text in still.items()}


class Front(Shown, anywidget.AnyWidget):
    """Labeled controls, a picture, and the picture in words.

    The last expression of a cell shows itself: in JupyterLab with its controls, elsewhere (a web page, nbconvert,
    nbval, a notebook without its kernel) as the picture it showed last.
    """

    _esm = Path(__file__).with_name("explorer.js")
    _css = Path(__file__).with_name("explorer.css")

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
