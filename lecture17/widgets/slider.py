"""One number, one picture: a slider that redraws a picture where somebody can move it. Introduced in 01_tour."""

import html
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython

from lecture17.figures._picture import Picture


def somebody_watches() -> bool:
    """Whether a person's front end asked for this cell: it says which cell, as nbconvert and nbval do not."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and "cellId" in kernel.get_parent().get("metadata", {})


class Slider:
    """The picture `compute(value)`, and in JupyterLab, Notebook or VS Code a slider for `value` above it.

    As the last expression of a cell it shows itself. Where nobody can move a slider (nbconvert, nbval, a web page) that
    is the picture at `value`, with its description as alternative text, and one line that says what could be moved.

    Raises ValueError when `value` does not lie between `low` and `high`.
    """

    def __init__(
        self,
        compute: Callable[[float], Picture],
        label: str,
        low: float,
        high: float,
        *,
        value: float,
        step: float = 0.01,
    ) -> None:
        if not low <= value <= high:
            raise ValueError(f"value is {value:g}: expected a number from low = {low:g} to high = {high:g}")
        self.compute, self.label, self.low, self.high, self.value, self.step = compute, label, low, high, value, step

    def widget(self) -> ipywidgets.VBox:
        """The slider and its picture, which follows it."""
        slider = ipywidgets.FloatSlider(
            value=self.value,
            min=self.low,
            max=self.high,
            step=self.step,
            description=self.label,
            style={"description_width": "initial"},
            layout={"width": "min(100%, 34em)"},
        )
        picture = ipywidgets.HTML(self._image(self.value))

        def redraw(change: dict[str, Any]) -> None:
            picture.value = self._image(change["new"])

        slider.observe(redraw, names="value")
        return ipywidgets.VBox([slider, picture])

    def _image(self, value: float) -> str:
        return self.compute(value)._repr_mimebundle_()["text/html"]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = self.compute(self.value)._repr_mimebundle_()
        if somebody_watches():
            return {**self.widget()._repr_mimebundle_(), **bundle}
        bundle["text/html"] += (
            f"<p>{html.escape(self.label)}: {self.value:g}. "
            f"Run this cell to move it between {self.low:g} and {self.high:g}.</p>"
        )
        return bundle
