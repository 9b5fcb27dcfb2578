"""One number and the picture of what a Python function makes of it, for every stop ahead. Introduced in 01_tour.

The function is run once for each stop. What it returned travels as data, so the browser can show each stop without a
kernel, and none is computed in JavaScript: the picture is that of the function in the cell.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import traitlets

from lecture17.figures.picture import Picture
from lecture17.figures.states import SIGNALS, Play, plateau_and_spike

from .explorer import Control, Live

MOST_STOPS = 36
STEPS = tuple(digit * 10.0**exponent for exponent in range(-9, 9) for digit in (1, 2, 2.5, 5))


def stops(low: float, high: float, value: float) -> tuple[float, np.ndarray]:
    """The smallest round step that leads from `low` over `value` to `high` in few stops, and the stops.

    Where no round step does, the stops are evenly spaced, with `value` put among them.
    """
    for step in STEPS:
        n_steps = round((high - low) / step)
        if n_steps < MOST_STOPS:
            values = (low + step * np.arange(n_steps + 1)).round(12)
            if np.isclose(values[-1], high) and np.isclose(values, value).any():
                return step, values
    step = (high - low) / (MOST_STOPS - 2)
    # A hair less than the step, so that the last one does not pass `high` by rounding.
    return step * (1 - 1e-9), np.unique([*np.linspace(low, high, MOST_STOPS - 1), value])


class Slider(Live):
    """The picture of the play `compute(value)`, and a slider that shows those of other values between `low` and `high`.

    `value` is an attribute; it goes to the nearest stop. Raises ValueError when it does not lie between `low` and
    `high`, or when these are not finite, and whatever `compute` raises at a stop.
    """

    value = traitlets.Float().tag(sync=True)

    def __init__(self, compute: Callable[[float], Play], label: str, low: float, high: float, *, value: float) -> None:
        if not np.isfinite([low, high]).all():
            raise ValueError(f"low is {low:g} and high is {high:g}: expected finite numbers")
        control = Control("value", label, "play", low=low, high=high, step=0.0)
        step, self.stops = stops(low, high, control.checked(value))
        self.control = replace(control, step=step)
        self.plays = [compute(stop) for stop in self.stops.tolist()]
        data = {
            "stops": self.stops.tolist(),
            "titles": [play.title for play in self.plays],
            "words": [play.describe() for play in self.plays],
            "signals": SIGNALS,
            **numbers(self.plays),
        }
        super().__init__([self.control], value=value, data=data)

    @traitlets.validate("value")
    def _nearest_stop(self, proposal: Any) -> float:
        value = self.control.checked(proposal["value"])
        return float(self.stops[np.abs(self.stops - value).argmin()])

    @property
    def play(self) -> Play:
        """What is shown."""
        return self.plays[self.stops.tolist().index(self.value)]

    @property
    def shown(self) -> dict[str, Any]:
        return {"value": self.value}

    @property
    def words(self) -> str:
        return self.play.describe()

    def draw(self) -> Picture:
        return plateau_and_spike(self.play, self.plays)


def numbers(plays: Sequence[Play]) -> dict[str, dict[str, Any]]:
    """The arrays of all plays, the first axis being the play: of M the entries on and below the diagonal, row by row.

    If anything stands above a diagonal, all entries of M, so that it is seen.
    """
    M, states, x, y = (np.stack(arrays) for arrays in list(zip(*plays, strict=True))[:4])
    M = M.reshape(len(plays), -1) if np.triu(M, 1).any() else M[:, *np.tril_indices(M.shape[1])]
    return {name: _for_browser(array) for name, array in {"M": M, "states": states, "x": x, "y": y}.items()}


def _for_browser(array: np.ndarray) -> dict[str, Any]:
    return {"shape": array.shape, "float32": base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")}
