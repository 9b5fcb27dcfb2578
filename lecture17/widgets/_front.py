"""What stands between kernel and browser: the state that `explorer.js` shows, and whether anybody looks."""

from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.core.getipython import get_ipython

from lecture17.figures.picture import CSS_DPI, Picture


def somebody_watches() -> bool:
    """Whether a person's front end asked for this cell: it says which cell, as nbconvert and nbval do not."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and "cellId" in kernel.get_parent().get("metadata", {})


class Front(anywidget.AnyWidget):
    """Labeled controls, a picture, and the picture in words."""

    _esm = Path(__file__).with_name("explorer.js")
    _css = Path(__file__).with_name("explorer.css")

    # Kernel to front end.
    controls: Any = traitlets.List().tag(sync=True)
    picture = traitlets.Bytes().tag(sync=True)
    size: Any = traitlets.List().tag(sync=True)  # of the picture, in CSS pixels
    words = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode("").tag(sync=True)  # what a click on the picture does, if it does anything
    button = traitlets.Unicode("").tag(sync=True)  # what the button says, if there is one
    busy = traitlets.Bool(False).tag(sync=True)  # while what it asked for is being done
    # Both ways: for each control, the number of its value.
    positions = traitlets.Dict().tag(sync=True)

    def show(self, picture: Picture) -> None:
        """Send a picture and its description to the browser."""
        self.size = [round(inches * CSS_DPI) for inches in picture.get_size_inches()]
        self.picture = picture.png()
        self.words = picture.description
