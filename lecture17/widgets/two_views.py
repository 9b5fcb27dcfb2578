"""TwoViews: one token at a time, computed as a row of the matrix and as a read of the state. For 02_intuition.

y_t = Σ_{j ≤ t} M[t, j] x_j        the matrix view: row t weighs every input so far
S_t = (what is kept of S_{t-1}) + k_t x_tᵀ,   y_t = q_t S_t        the state view
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from lecture17.figures.picture import DIAGONAL, NEUTRAL, OUTPUT, SIGNED, STATE, styled
from lecture17.mixers import Mixer

from .drawn import Control, Scene
from .drawn import DrawnExplorer as Explorer
from .sequence import Sequence, menu

N, D = 24, 3  # tokens, features of a token
DECAYS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)


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


def controls(params: Params) -> tuple[Control, ...]:
    decays = DECAYS if menu()[params.mixer].decay else (1.0,)
    return (
        Control("t", "token t", tuple(range(N)), "play"),
        Control("mixer", "mixer", tuple(decays_only()), "choice"),
        Control("d_state", "state size r", (2, 4, 8)),
        Control("decay", "mean decay", decays, text="{:g}".format),
        Control("seed", "seed", tuple(range(20))),
    )


@dataclass(frozen=True)
class Result:
    """Both views of every token, and what each has cost up to and including token t."""

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

    def share_forgotten(self, t: int) -> float:
        """What token t removes from the state, relative to the state."""
        before = float(np.linalg.norm(self.states[t]))
        return float(np.linalg.norm(self.forgotten[t])) / before if before else 0.0


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
    decays = 0 if m.decay is None else r if m.arguments[m.decay].axes == "N d_k" else 1  # of a score
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
    forgot = (
        "The state was empty."
        if t == 0
        else "The state forgets nothing."
        if r.share_forgotten(t) == 0
        else f"The state forgets {r.share_forgotten(t):.0%} of what it held."
    )
    return (
        f"Token {t}: row {t} of the matrix weighs {t + 1} input{'s' if t else ''}; the state takes in one input and is "
        f"read. Both give y = ({numbers}){'' if same else ', but other tokens differ'}. {forgot} So far the matrix "
        f"view has done {r.matrix_operations[t]:,} operations and holds {r.matrix_numbers[t]:,} numbers; the state "
        f"view has done {r.state_operations[t]:,} and holds {r.state_numbers[t]:,}. ({params.mixer}, state size "
        f"r = {params.d_state}"
        f"{f', decays around {params.decay:g}' if menu()[params.mixer].decay else ''}, seed {params.seed}.)"
    )


class TwoViewsScene(Scene):
    """Above, row t of the matrix times the inputs, and the update of the state; below, outputs and costs."""

    @styled
    def __init__(self) -> None:
        super().__init__((7.4, 5.2))
        rows = self.add_gridspec(2, 1, height_ratios=(1, 0.9), hspace=0.08)
        above = rows[0].subgridspec(1, 6, width_ratios=(3.4, 0.8, 0.9, 0.9, 0.9, 0.9))
        below = rows[1].subgridspec(1, 3, width_ratios=(2.5, 1, 1))
        panels = [self.add_subplot(above[i]) for i in range(6)]
        names = ("row t of M", "times x", "S before", "− faded", "+ written", "= S after")
        unit = (0, 1, 1, 0)
        self.pictures = self.moves(
            ax.imshow([[0.0]], cmap=SIGNED, vmin=-1, vmax=1, extent=unit, aspect="auto") for ax in panels
        )
        for ax, name in zip(panels, names, strict=True):
            ax.set(title=name, xticks=(), yticks=())
        panels[0].set(xlabel="weighs inputs 0 … t", ylabel="token t")
        panels[1].set(xlabel="features", ylabel="token j")
        for ax in panels[2:]:
            ax.set(xlabel="features")
        panels[2].set(ylabel="keys")
        both = panels[:2]
        self.later = self.moves(ax.add_patch(Rectangle((0, 0), 1, 1, color="white", alpha=0.75, lw=0)) for ax in both)
        self.frames = self.moves(
            ax.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=DIAGONAL, linewidth=2.5)) for ax in both
        )
        self._draw_outputs(self.add_subplot(below[0]))
        self.costs = [
            CostBars(self.add_subplot(below[1]), "operations so far"),
            CostBars(self.add_subplot(below[2]), "numbers held"),
        ]
        for costs in self.costs:
            self.moves([*costs.bars, *costs.numbers])
        self.follow(Params())

    def _draw_outputs(self, ax: Axes) -> None:
        self.curves = self.moves(ax.plot(np.zeros((1, D)), color=OUTPUT))
        self.circles = self.moves(ax.plot(np.zeros((1, D)), "o", color=STATE, fillstyle="none"))
        [self.now] = self.moves([ax.axvline(0, ymax=0.78, color=NEUTRAL, linewidth=1)])
        self.curves[0].set_label("row t times x")
        self.circles[0].set_label("read from the state")
        ax.set(title="the output y, both ways", xlabel="token t", xlim=(-0.7, N - 0.3), ylim=(-1.1, 1.6))
        ax.set(ylabel="relative to the largest")
        ax.set_yticks([-1, 0, 1])
        ax.legend(loc="upper left", ncols=2, columnspacing=1, handlelength=1.2, borderaxespad=0)

    def follow(self, params: Params) -> None:
        r, t = compute(params), params.t
        self.headline.set_text(f"{params.mixer}, token {t}: {t + 1} weighted inputs or one state give the same output")
        matrix, x, *states = self.pictures
        matrix.set_data(_share(r.M, r.M))
        x.set_data(_share(r.x, r.x))
        for image, S in zip(states, (r.states[t], r.forgotten[t], r.written[t], r.states[t + 1]), strict=True):
            image.set_data(_share(S, r.states, r.written))
        for rest, frame in zip(self.later, self.frames, strict=True):
            rest.set(y=(t + 1) / N, height=1 - (t + 1) / N)
            frame.set(y=t / N, height=1 / N)
        self.frames[0].set(width=(t + 1) / N)
        self.frames[1].set(y=0, height=(t + 1) / N)
        y_matrix, y_state = _share(r.y_matrix, r.y_matrix), _share(r.y_state, r.y_matrix)
        for c in range(D):
            self.curves[c].set_data(np.arange(t + 1), y_matrix[: t + 1, c])
            self.circles[c].set_data(np.arange(t + 1), y_state[: t + 1, c])
        self.now.set_xdata([t, t])
        self.costs[0].follow(t, r.matrix_operations, r.state_operations)
        self.costs[1].follow(t, r.matrix_numbers, r.state_numbers)


class CostBars:
    """Two bars with their numbers, for the matrix view and the state view, relative to the larger final cost."""

    def __init__(self, ax: Axes, title: str) -> None:
        self.bars: list[Rectangle] = list(
            ax.barh(["matrix", "state"], [1, 1], color=[DIAGONAL, STATE], height=0.5).patches
        )
        self.numbers: list[Text] = [ax.text(0, y - 0.42, "", va="bottom") for y in (0, 1)]
        ax.set(title=title, xlim=(0, 1), ylim=(1.5, -0.8), xticks=(), xlabel="relative")
        ax.tick_params(axis="y", length=0)

    def follow(self, t: int, matrix: np.ndarray, state: np.ndarray) -> None:
        most = max(matrix[-1], state[-1])
        for bar, number, cost in zip(self.bars, self.numbers, (matrix[t], state[t]), strict=True):
            bar.set(width=cost / most)
            number.set(text=f"{cost:,}", position=(0.02, number.get_position()[1]))


def _share(X: np.ndarray, *of: np.ndarray) -> np.ndarray:
    """X relative to the largest magnitude in `of`."""
    largest = max(float(np.abs(Y).max()) for Y in of)
    return X / largest if largest else X


class TwoViews(Explorer):
    """Play the tokens one by one: the matrix view weighs all inputs so far, the state view keeps them in one state."""

    start = Params()
    scene_type = TwoViewsScene
    controls_for = staticmethod(controls)
    describe = staticmethod(describe)
