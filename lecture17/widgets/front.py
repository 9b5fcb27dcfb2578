"""What every widget shares: a still that remains in the notebook when the kernel has gone."""

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle, display

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


def between_cells(draw: Callable[[], object]) -> None:
    """Call `draw` in the kernel's main thread when no cell is running; at once where this is that thread.

    A message of a widget may be answered in a thread beside the cells, and Matplotlib's settings are those of all
    threads: a figure drawn there would lend its look to what a cell draws meanwhile.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None or threading.current_thread() is threading.main_thread():
        draw()
    else:
        kernel.io_loop.add_callback(draw)


class Shown(ipywidgets.DOMWidget):
    """A widget with a still: as the last expression of a cell both are shown; where nobody watches, only the still."""

    handle: DisplayHandle | None = None
    shown_still: dict[str, str] | None = None  # that of the handle

    def still(self) -> dict[str, str]:
        """What stays in the notebook when the kernel has gone."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Bring the still up to date, if it was shown. The same again would make a saved notebook ask to be saved."""
        if self.handle is not None and (still := self.still()) != self.shown_still:
            self.shown_still = still
            self.handle.update(_marked(still), raw=True)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.still(), {}

    def _ipython_display_(self) -> None:
        if not somebody_watches() or self.comm is None:  # nobody to show it to, or it was closed
            raise NotImplementedError  # IPython then takes `_repr_mimebundle_`
        self.handle = DisplayHandle()  # before the still is made: it may say what this learner did
        self.shown_still = self.still()
        self.handle.display(_marked(self.shown_still), raw=True)
        live = super()._repr_mimebundle_()
        view = live[0] if isinstance(live, tuple) else live  # anywidget adds metadata
        display({**view, "text/plain": "", "text/html": ""}, raw=True)


def _marked(still: dict[str, str]) -> dict[str, str]:
    return {kind: text if kind == "text/plain" else STILL + text for kind, text in still.items()}
