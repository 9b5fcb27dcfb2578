"""One number, one picture: a slider that redraws the picture wherever somebody can move it. Introduced in 01_tour."""

from collections.abc import Callable
from typing import Any

import numpy as np
import traitlets

from lecture17.figures.states import Play, plateau_and_spike

from .drawn import Front

STEP = 0.01  # from one value to the next


class Slider(Front):
    """The picture of the play `compute(value)`, and in JupyterLab, Notebook or VS Code a slider for `value` above it.

    Raises ValueError when `value` does not lie between `low` and `high`.
    """

    def __init__(self, compute: Callable[[float], Play], label: str, low: float, high: float, *, value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"value is {value:g}: expected a number from low = {low:g} to high = {high:g}")
        self.compute = compute
        self.values = np.linspace(low, high, round((high - low) / STEP) + 1)
        room = [compute(float(value)) for value in np.linspace(low, high, 5)]
        self.play = plateau_and_spike(compute(value), room)
        texts = [f"{value:g}" for value in self.values.round(10)]
        super().__init__(
            controls=[{"name": "value", "label": label, "kind": "slider", "texts": texts}],
            asleep=f"{label}: {value:g}. Run this cell to move it between {low:g} and {high:g}.",
        )
        self.positions = {"value": int(np.argmin(np.abs(self.values - value)))}

    @traitlets.observe("positions")
    def _redraw(self, change: Any) -> None:
        self.play.follow(self.compute(float(self.values[self.positions["value"]])))
        with self.hold_sync():
            self.show(self.play)
