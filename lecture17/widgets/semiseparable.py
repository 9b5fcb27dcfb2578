"""SemiseparableExplorer: mask, scores and matrix of any mixer, and the rank of each block. Introduced in 00_quickstart.

    M = L ∘ (C Bᵀ)   for the mixers with one decay per token; the picture's title gives the formula of the others

A block strictly below the diagonal passes through the state, so its rank is at most r = d_state, the state entries for
each feature (03b_duality). Ranks are up to rounding. If every key dimension has its own decay, there are r masks: the
picture shows their mean, and M is not that mean times the scores.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import traitlets
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch, Rectangle

from lecture17.figures.picture import ATTENTION, DIAGONAL, NEUTRAL, OFF_DIAGONAL, SIGNED, STATE, styled
from lecture17.reference import attention

from ._mixers import Sequence, mask_name, menu
from .explorer import Control, Explorer, Scene

NEXT_TO_DIAGONAL = "#F5CE80"  # a lighter OFF_DIAGONAL: read by the chunk after the one that wrote it, without step 3
DECAYS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0)  # denser where more changes
FLOOR = 1e-18  # of relative singular values on a logarithmic axis


@dataclass(frozen=True)
class Params:
    mixer: str = "Mamba-2"
    N: int = 64
    d_state: int = 4
    decay: float = 0.95
    chunk_size: int = 16
    row: int = 2  # of the chosen block, counted in chunks
    column: int = 0
    seed: int = 0
    compare: bool = False  # with softmax attention


def controls(params: Params) -> tuple[Control, ...]:
    n_chunks = params.N // params.chunk_size
    return (
        Control("mixer", "mixer", tuple(menu()), "choice"),
        Control("N", "tokens N", (16, 32, 64, 128)),
        Control("d_state", "state size r", (2, 4, 8, 16)),
        Control("decay", "mean decay", DECAYS if menu()[params.mixer].decay else (1.0,), text="{:g}".format),
        Control("chunk_size", "chunk size", tuple(params.N // n for n in (8, 4, 2, 1))),
        Control("row", "block row", tuple(range(n_chunks))),
        Control("column", "block column", tuple(range(params.row + 1))),
        Control("seed", "seed", tuple(range(20))),
        Control("compare", "compare with softmax", (False, True), "check"),
    )


@dataclass(frozen=True)
class Result:
    """Matrices are (N, N), singular values relative to the largest of the whole matrix."""

    mask: np.ndarray
    scores: np.ndarray
    M: np.ndarray
    softmax: np.ndarray  # softmax attention with the same scores
    ranks: np.ndarray  # (n_chunks, n_chunks): numerical rank of each block of M
    allowed: np.ndarray  # (n_chunks, n_chunks): the largest rank that theory allows
    singular_values: np.ndarray  # (chunk_size,): of the chosen block of M
    softmax_singular_values: np.ndarray
    rounding: float  # relative singular values up to this count as zero

    @property
    def softmax_rank(self) -> int:
        """Numerical rank of the chosen block of softmax attention."""
        return int((self.softmax_singular_values > self.rounding).sum())

    def below(self, ranks: np.ndarray) -> np.ndarray:
        """The entries of `ranks` for blocks strictly below the diagonal."""
        return ranks[np.tril_indices(len(ranks), -1)]


def _relative_singular_values(M: np.ndarray, c: int) -> np.ndarray:
    """Singular values of every c × c block, divided by the largest of M: (N / c, N / c, c)."""
    n = len(M) // c
    blocks = M.reshape(n, c, n, c).swapaxes(1, 2)
    return np.linalg.svd(blocks, compute_uv=False) / np.linalg.norm(M, 2)


@lru_cache(maxsize=8)
def compute(params: Params) -> Result:
    mixer, c = menu()[params.mixer], params.chunk_size
    s = Sequence(params.N, params.d_state, params.decay, params.seed)
    Q, K = s.queries_keys(mixer)
    M, softmax = s.matrix(mixer), attention.softmax_matrix(Q, K)
    singular_values, softmax_singular_values = (_relative_singular_values(X, c) for X in (M, softmax))
    rounding = params.N * float(np.finfo(float).eps)  # as in reference.semiseparable.rank
    through_state = min(params.d_state, c) if not mixer.grows else c
    n = params.N // c
    return Result(
        s.mask(mixer),
        Q @ K.T,
        M,
        softmax,
        (singular_values > rounding).sum(axis=2),
        np.where(np.eye(n, dtype=bool), c, through_state),
        singular_values[params.row, params.column],
        softmax_singular_values[params.row, params.column],
        rounding,
    )


def describe(params: Params) -> str:
    """The picture in words: the chosen block first."""
    r, c = compute(params), params.chunk_size
    distance = params.row - params.column
    why = (
        "softmax attention has no finite state, so every block is computed"
        if menu()[params.mixer].grows
        else "on the diagonal, computed inside its chunk"
        if distance == 0
        else "it passes through the state" + (", carried across the chunks between" if distance > 1 else "")
    )
    words = (
        f"Block rows {params.row * c}–{(params.row + 1) * c - 1}, columns {params.column * c}–"
        f"{(params.column + 1) * c - 1}: rank {r.ranks[params.row, params.column]} of at most "
        f"{r.allowed[params.row, params.column]}; {why}."
    )
    if params.compare:
        words += f" Softmax of the same scores has rank {r.softmax_rank} there."
    below = r.below(r.ranks)
    if len(below):
        ranks = f"{below.min()}" if below.min() == below.max() else f"{below.min()} to {below.max()}"
        words += f" The blocks below the diagonal have rank {ranks}."
    decay = f", decays around {params.decay:g}" if menu()[params.mixer].decay else ""
    settings = f"{params.N} tokens, state size r = {params.d_state}{decay}, chunks of {c}, seed {params.seed}"
    return f"{words} ({params.mixer}, {settings}.)"


def _title(params: Params) -> str:
    if params.chunk_size == params.N:
        return f"{params.mixer}: a single chunk is the parallel form, one block and no state"
    if not menu()[params.mixer].grows:
        each = "feature and level" if "level weight" in menu()[params.mixer].kinds else "feature"
        return f"{params.mixer}: at most {params.d_state} numbers for each {each} pass from chunk to chunk"
    r = compute(params)
    return f"Softmax attention: blocks below the diagonal have rank up to {r.below(r.ranks).max()}"


class SemiseparableScene(Scene):
    """Above, mask, scores and matrix; below, the chunk grid with ranks, and the singular values of the chosen block."""

    @styled
    def __init__(self) -> None:
        super().__init__((7.4, 5.6))
        rows = self.add_gridspec(2, 1, height_ratios=(1, 0.85), hspace=0.08)
        above, below = rows[0].subgridspec(1, 3), rows[1].subgridspec(1, 2, width_ratios=(1, 2))
        self.matrices = [self.add_subplot(above[i]) for i in range(3)]
        self.grid, self.values = (self.add_subplot(below[i]) for i in range(2))
        # All matrices are drawn on the unit square, so no tick moves when N changes.
        unit = (0, 1, 1, 0)
        self.pictures = self.moves(
            ax.imshow([[0.0]], cmap=SIGNED, vmin=-1, vmax=1, extent=unit) for ax in self.matrices
        )
        [self.blocks] = self.moves([self.grid.imshow(np.ones((1, 1, 3)), extent=unit)])
        for ax in self.matrices:
            self.moves([ax.set_title("two lines\nof title", y=1.02)])
            ax.set(xlabel="written at token j", xticks=(0, 0.5, 1), xticklabels=("0", "N/2", "N"), yticks=())
        self.matrices[0].set(ylabel="read at token i", yticks=(0, 0.5, 1), yticklabels=("0", "N/2", "N"))
        bar = self.colorbar(self.pictures[0], ax=self.matrices, shrink=0.7, ticks=[-1, 0, 1])
        bar.ax.set_yticklabels(["−", "0", "+"])
        self.grid.set(title="rank of each block", xlabel="written in chunk", ylabel="read in chunk")
        self.grid.set(xticks=(), yticks=())
        both = ((self.matrices[2], NEUTRAL), (self.grid, "white"))
        self.borders = self.moves(ax.plot([], [], color=color, linewidth=0.7)[0] for ax, color in both)
        self.numbers = self.moves(self.grid.text(0, 0, "", ha="center", va="center") for _ in range(36))
        frame: dict[str, Any] = {"fill": False, "edgecolor": "black", "linewidth": 2.5}
        self.chosen = self.moves(ax.add_patch(Rectangle((0, 0), 1, 1, **frame)) for ax, _ in both)
        self._label_values()
        steps = {
            "inside a chunk": DIAGONAL,
            "to the next chunk": NEXT_TO_DIAGONAL,
            "to later chunks": OFF_DIAGONAL,
            "no finite state": ATTENTION,
        }
        handles = [Patch(color=color, label=name) for name, color in steps.items()]
        self.legend(handles=handles, loc="outside lower left", ncols=4, columnspacing=1.2)
        self.follow(Params())

    def _label_values(self) -> None:
        ax = self.values
        ax.set(title="singular values of the chosen block", ylabel="relative to all of M", yscale="log")
        ax.set(xlabel="largest first, one for each token of the chunk", xlim=(0, 1), xticks=())
        ax.set_ylim(FLOOR / 3, 1e7)
        ax.set_yticks([1, 1e-5, 1e-10, 1e-15], ["1", "1e−5", "1e−10", "1e−15"])
        ax.minorticks_off()
        self.curves = self.moves(
            ax.plot([0], [1], "o-", color=color, label=name, markersize=4)[0]
            for color, name in ((STATE, "M"), (ATTENTION, "softmax, compared"))
        )
        limit = ax.axvline(0, ymax=0.75, color=NEUTRAL, linestyle=":", label="rank that theory allows")
        rounding = ax.axhline(1, color=NEUTRAL, linestyle="--", lw=1, label="rounding: below is zero")
        self.limit, self.rounding = self.moves([limit, rounding])
        ax.legend(loc="upper right", ncols=2)

    def follow(self, params: Params) -> None:
        r, mixer = compute(params), menu()[params.mixer]
        self.headline.set_text(_title(params))
        mask = "softmax attention" if params.compare else mask_name(mixer)
        names = (mask, f"scores {mixer.scores}", mixer.formula)
        matrices = (r.softmax if params.compare else r.mask, r.scores, r.M)
        for ax, image, name, X in zip(self.matrices, self.pictures, names, matrices, strict=True):
            limit = np.quantile(np.abs(X[np.tril_indices(params.N)]), 0.99)  # one outlier must not make the rest pale
            image.set_data(X / limit)
            ax.title.set_text(f"{name}\ncolors to ±{limit:.2g}")
        self._show_blocks(params, r)
        self._show_values(params, r)

    def _show_blocks(self, params: Params, r: Result) -> None:
        n, finite_state = len(r.ranks), not menu()[params.mixer].grows
        i, j = np.indices((n, n))
        colors = np.ones((n, n, 3))
        for where, color in ((i == j, DIAGONAL), (i - j == 1, NEXT_TO_DIAGONAL), (i - j > 1, OFF_DIAGONAL)):
            colors[where] = to_rgb(color if finite_state else ATTENTION)
        self.blocks.set_data(colors)
        for number in self.numbers:
            number.set_visible(False)
        for number, row, column in zip(self.numbers, *np.tril_indices(n), strict=False):
            color = "white" if row == column and finite_state else "black"
            number.set(position=((column + 0.5) / n, (row + 0.5) / n), text=str(r.ranks[row, column]))
            number.set(color=color, visible=True)
        for lines in self.borders:
            lines.set_data(*_grid_lines(np.arange(1, n) / n))
        for frame in self.chosen:
            frame.set(xy=(params.column / n, params.row / n), width=1 / n, height=1 / n)

    def _show_values(self, params: Params, r: Result) -> None:
        c = params.chunk_size
        for line, values in zip(self.curves, (r.singular_values, r.softmax_singular_values), strict=True):
            line.set_data((np.arange(c) + 0.5) / c, np.maximum(values, FLOOR))
        self.curves[1].set_visible(params.compare)
        self.limit.set_xdata([r.allowed[params.row, params.column] / c] * 2)
        self.rounding.set_ydata([r.rounding] * 2)

    def pointed(self, params: Params, x: float, y: float) -> dict[str, Any]:
        n = params.N // params.chunk_size
        for ax in (self.matrices[2], self.grid):
            if ax.bbox.contains(x, y):
                column, row = (int(at * n) for at in ax.transData.inverted().transform((x, y)))
                return {"row": row, "column": column} if column <= row else {}
        return {}


def _grid_lines(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal and vertical lines at `edges` across the unit square, as one broken line."""
    along = np.tile([0, 1, np.nan], len(edges))
    across = np.repeat(edges, 3)
    return np.concatenate([along, across]), np.concatenate([across, along])


class SemiseparableExplorer(Explorer):
    """See any mixer as a matrix, cut it into chunks, and read the rank of every block. Click a block to choose it."""

    start = Params()
    scene_type = SemiseparableScene
    controls_for = staticmethod(controls)
    describe = staticmethod(describe)
    hint = traitlets.Unicode("Click a block of M or of the grid to choose it").tag(sync=True)
