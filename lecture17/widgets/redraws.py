"""How long one move of a control takes, from the new value to the bytes of the picture."""

import statistics
import time
from collections.abc import Callable

from .explorer import Explorer


def redraw_seconds(
    explorer: type[Explorer], clock: Callable[[], float] = time.perf_counter, moves: int = 6
) -> dict[str, float]:
    """The median time of one move of each control, by the control's label, for an explorer at its default settings.

    `clock` decides what is counted: wall-clock seconds or, with `time.process_time`, processor seconds.
    """
    shown = explorer()
    start, medians = shown.positions, {}
    for control in explorer.controls_for(shown.params):
        seconds = []
        for k in range(moves):
            position = (shown.positions[control.name] + 1 + k % 2) % len(control.values)
            begin = clock()
            shown.positions = {**shown.positions, control.name: position}
            seconds.append(clock() - begin)
        medians[control.label] = statistics.median(seconds)
        shown.positions = start
    return medians
