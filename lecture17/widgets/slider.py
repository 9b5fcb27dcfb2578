"""One number, one picture: a slider that redraws the picture wherever somebody can move it. Introduced in 01_tour."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lecture17.figures.states import Play, plateau_and_spike

from ._front import Front


class Slider:
    """The picture of the play `compute(value)`; in JupyterLab, Notebook or VS Code, with a slider for `value` above it.

    The last expression of a cell shows itself, as described in `Front`.

    Raises ValueError if `value` is not between `low` and `high`.
    """

    def __init__(
        self,
        compute: Callable[[float], Play],
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

    def widget(self) -> Front:
        """The slider and its picture, which follows it."""
        values = np.linspace(self.low, self.high, round((self.high - self.low) / self.step) + 1)
        texts = [f"{value:g}" for value in values.round(10)]
        front = Front(
            controls=[{"name": "value", "label": self.label, "kind": "slider", "texts": texts}],
            positions={"value": int(np.argmin(np.abs(values - self.value)))},
            asleep=f"{self.label}: {self.value:g}. Run this cell to move it between {self.low:g} and {self.high:g}.",
        )

        picture = plateau_and_spike(
            self.compute(self.value), [self.compute(float(value)) for value in np.linspace(self.low, self.high, 5)]
        )

        def redraw(change: Any = None) -> None:
            picture.follow(self.compute(float(values[front.positions["value"]])))
            with front.hold_sync():
                front.show(picture)

        redraw()
        front.observe(redraw, names="positions")
        return front

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return self.widget().still()

    def _ipython_display_(self) -> None:
        self.widget()._ipython_display_()
