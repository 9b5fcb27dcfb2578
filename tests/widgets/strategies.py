"""Settings of drawn explorers for tests: what the controls allow, their extremes first of all."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from lecture17.widgets.drawn import DrawnExplorer


@st.composite
def settings_of(draw: st.DrawFn, explorer: type[DrawnExplorer]) -> Any:
    """Params with every control anywhere, and at one of its ends in two cases of three."""
    params = explorer.start
    for i in range(len(explorer.controls_for(params))):
        control = explorer.controls_for(params)[i]
        value = draw(st.sampled_from([control.values[0], control.values[-1]]) | st.sampled_from(control.values))
        params = replace(params, **{control.name: value})
    return params


def extremes_of(explorer: type[DrawnExplorer]) -> Iterator[Any]:
    """Every control at its first and at its last value, the others where they begin."""
    for control in explorer.controls_for(explorer.start):
        for value in (control.values[0], control.values[-1]):
            yield explorer.params_at(explorer.positions_for({control.name: value}))
