"""TwoViews: one token at a time, computed as a row of the matrix and as a read of the state. For 02_intuition.

y_t = Σ_{j ≤ t} M[t, j] x_j        the matrix view: row t weighs every input so far
S_t = (what is kept of S_{t-1}) + k_t x_tᵀ,   y_t = q_t S_t        the state view
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from lecture17.figures.picture import DIAGONAL, NEUTRAL, OUTPUT, SIGNED, STATE, Picture, styled
from lecture17.mixers import Mixer

from .explorer import Control, Explorer
from .sequence import Sequence, decay_axes, for_browser, menu

N, D = 24, 3  # tokens, features of a token
NOTHING = 1e-9  # a share of the state that is only rounding


def decays_only() -> dict[str, Mixer]:
    """The mixers whose state only decays and adds k xᵀ."""
    plain = {"query", "key", "value", "decay", "log decay"}
    return {title: m for title, m in menu().items() if not m.grows and plain.issuperset(m.kinds)}


@dataclass(frozen=True)
class Params:
    t: int = 12
    mixer: str = "Mamba-2"
    d_state: int = 4
    decay: float = 0.8
    seed: int = 0


CONTROLS = (
    Control("t", "token t", "play", low=0, high=N - 1),
    Control("mixer", "mixer", "choice", tuple(decays_only())),
    Control("d_state", "state size r", low=1, high=16),
    Control("decay", "mean decay", low=0, high=1, step=0.005),
    Control("seed", "seed", low=0, high=999, more=True),
)


def settle(params: Params) -> Params:
    """A decay counts as 1 for a mixer that has none."""
    return params if menu()[params.mixer].decay else replace(params, decay=1.0)


@dataclass(frozen=True)
class Result:
    """Both views of every token, and what each has cost up to and including it."""

    M: np.ndarray  # (N, N)
    x: np.ndarray  # (N, D)
    y_matrix: np.ndarray  # (N, D): M x
    y_state: np.ndarray  # (N, D): read from the state
    states: np.ndarray  # (N + 1, d_state, D): before the first token, and after each
    written: np.ndarray  # (N, d_state, D): what each token adds
    matrix_operations: np.ndarray  # (N,): multiplications and additions so far
    state_operations: np.ndarray
    matrix_numbers: np.ndarray  # (N,): what must be kept for later tokens
    state_numbers: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """(N, d_state, D): what remains of the previous state after each token."""
        return self.states[1:] - self.written

    @property
    def forgotten(self) -> np.ndarray:
        return self.states[:-1] - self.kept

    @property
    def share_forgotten(self) -> np.ndarray:
        """(N,): what each token removes from the state, relative to the state; 0 where that was empty."""
        before, removed = (np.linalg.norm(S, axis=(1, 2)) for S in (self.states[:-1], self.forgotten))
        return np.divide(removed, before, out=np.zeros(N), where=before > 0)


@lru_cache(maxsize=4)
def _compute(mixer: str, r: int, decay: float, seed: int) -> Result:
    m, s = menu()[mixer], Sequence(N, r, decay, seed, D)
    arguments, step = s.arguments(m), m.function("reference", "step")
    M = s.matrix(m)
    states, y = [np.zeros((r, D))], []
    for t in range(N):
        token = (a[t] if np.ndim(a) else a for a in arguments)
        y_t, S = step(*token, state=states[-1])
        states.append(S)
        y.append(y_t)
    so_far = np.arange(1, N + 1)
    decays = {"none": 0, "key": r}.get(decay_axes(m), 1)  # of a score
    per_input = 2 * r + decays + 2 * D  # score, decay, weighted sum
    per_token = (5 if m.decay else 4) * r * D  # decay, product k xᵀ, sum, and two for the read
    return Result(
        M,
        s.V,
        M @ s.V,
        np.array(y),
        np.array(states),
        s.K[:, :, None] * s.V[:, None, :],
        np.cumsum(per_input * so_far),
        per_token * so_far,
        (r + D) * so_far,
        np.full(N, r * D),
    )


def compute(params: Params) -> Result:
    return _compute(params.mixer, params.d_state, params.decay, params.seed)


def describe(params: Params) -> str:
    r, t = compute(params), params.t
    same = np.allclose(r.y_matrix, r.y_state, rtol=0, atol=1e-10)
    numbers = ", ".join(f"{value:.2f}".replace("-", "−") for value in r.y_matrix[t] + 0.0)
    share = r.share_forgotten[t]
    forgot = (
        "The state was empty."
        if t == 0
        else "The state forgets nothing."
        if share < NOTHING
        else f"The state forgets {100 * share:.3g}% of what it held."
    )
    return (
        f"Token {t}: row {t} of the matrix weighs {t + 1} input{'s' if t else ''}; the state takes in one input and is "
        f"read. Both give y = ({numbers}){'' if same else ', but other tokens differ'}. {forgot} So far the matrix "
        f"view has done {r.matrix_operations[t]:,} operations and holds {r.matrix_numbers[t]:,} numbers; the state "
        f"view has done {r.state_operations[t]:,} and holds {r.state_numbers[t]:,}. ({params.mixer}, state size "
        f"r = {params.d_state}"
        f"{f', decays around {params.decay:g}' if menu()[params.mixer].decay else ''}, seed {params.seed}.)"
    )


def headline(params: Params) -> str:
    inputs = f"{params.t + 1} weighted inputs" if params.t else "one weighted input"
    return f"{params.mixer}, token {params.t}: {inputs} and one state give the same output"


@styled
def picture(params: Params) -> Picture:
    """Above, row t of the matrix times the inputs, and the update of the state; below, outputs and costs."""
    r, t = compute(params), params.t
    made = Picture(headline(params), describe(params), (7.4, 5.2))
    rows = made.add_gridspec(2, 1, height_ratios=(1, 0.9), hspace=0.08)
    above = rows[0].subgridspec(1, 6, width_ratios=(3.4, 0.8, 0.9, 0.9, 0.9, 0.9))
    below = rows[1].subgridspec(1, 3, width_ratios=(2.5, 1, 1))
    shown = {"row t of M": _share(r.M, r.M), "times x": _share(r.x, r.x)}
    names = ("S before", "− faded", "+ written", "= S after")
    update = (r.states[t], r.forgotten[t], r.written[t], r.states[t + 1])
    shown |= {name: _share(S, r.states, r.written) for name, S in zip(names, update, strict=True)}
    panels = [made.add_subplot(above[i]) for i in range(6)]
    for ax, (name, X) in zip(panels, shown.items(), strict=True):
        extent = (0, X.shape[1], X.shape[0], 0)
        ax.imshow(X, cmap=SIGNED, vmin=-1, vmax=1, extent=extent, aspect="auto")
        ax.set(title=name, xlabel="features", xticks=(), yticks=())
    panels[0].set(xlabel="weighs inputs 0 … t", ylabel="token t")
    panels[1].set(ylabel="token j")
    panels[2].set(ylabel="keys")
    look: dict[str, Any] = {"fill": False, "edgecolor": DIAGONAL, "linewidth": 2.5}
    panels[0].add_patch(Rectangle((0, t), t + 1, 1, **look))
    panels[1].add_patch(Rectangle((0, 0), D, t + 1, **look))
    for ax in panels[:2]:
        ax.add_patch(Rectangle((0, t + 1), ax.get_xlim()[1], N - t - 1, color="white", alpha=0.75, lw=0))
    _draw_outputs(made.add_subplot(below[0]), r, t)
    _draw_costs(made.add_subplot(below[1]), "operations so far", t, r.matrix_operations, r.state_operations)
    _draw_costs(made.add_subplot(below[2]), "numbers held", t, r.matrix_numbers, r.state_numbers)
    return made


def _draw_outputs(ax: Axes, r: Result, t: int) -> None:
    curves = ax.plot(_share(r.y_matrix, r.y_matrix)[: t + 1], color=OUTPUT)
    circles = ax.plot(_share(r.y_state, r.y_matrix)[: t + 1], "o", color=STATE, fillstyle="none")
    ax.axvline(t, ymax=0.78, color=NEUTRAL, linewidth=1)
    ax.set(title="the output y, both ways", xlabel="token t", xlim=(-0.7, N - 0.3), ylim=(-1.1, 1.6))
    ax.set(ylabel="relative to the largest", yticks=(-1, 0, 1))
    names = ("row t times x", "read from the state")
    ax.legend((curves[0], circles[0]), names, loc="upper left", ncols=2, columnspacing=1, handlelength=1.2)


def _draw_costs(ax: Axes, title: str, t: int, matrix: np.ndarray, state: np.ndarray) -> None:
    """Two bars with their numbers, for the matrix view and the state view, relative to the larger final cost."""
    most = max(matrix[-1], state[-1])
    ax.barh(["matrix", "state"], [matrix[t] / most, state[t] / most], color=[DIAGONAL, STATE], height=0.5)
    for y, cost in enumerate((matrix[t], state[t])):
        ax.text(0.02, y - 0.42, f"{cost:,}", va="bottom")
    ax.set(title=title, xlim=(0, 1), ylim=(1.5, -0.8), xticks=(), xlabel="relative")
    ax.tick_params(axis="y", length=0)


def _share(X: np.ndarray, *of: np.ndarray) -> np.ndarray:
    """X relative to the largest magnitude in `of`."""
    largest = max(float(np.abs(Y).max()) for Y in of)
    return X / largest if largest else X


class TwoViews(Explorer):
    """Play the tokens one by one: the matrix view weighs all inputs so far, the state view keeps them in one state."""

    start = Params()
    controls = CONTROLS
    settle = staticmethod(settle)
    describe = staticmethod(describe)
    picture = staticmethod(picture)
    given: ClassVar[dict[str, Any]] = {"mixers": for_browser()}
