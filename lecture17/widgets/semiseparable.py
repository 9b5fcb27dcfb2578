"""SemiseparableExplorer: mask, scores and matrix of any mixer, and the rank of each block. Introduced in 00_quickstart.

    M = L ∘ (C Bᵀ)   for the mixers with one decay per token; the picture's title gives the formula of the others

A block strictly below the diagonal passes through the state, so its rank is at most r = d_state, the state entries for
each feature (03b_duality). Ranks are up to rounding. If every key dimension has its own decay, there are r masks, of
which `key` chooses the one shown, and M is not that mask times the scores.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from lecture17.figures.picture import ATTENTION, DIAGONAL, NEUTRAL, OFF_DIAGONAL, SIGNED, STATE, Picture, styled
from lecture17.reference import log_linear

from .explorer import Control, Explorer
from .sequence import Sequence, decay_axes, for_browser, mask_name, menu

NEXT_TO_DIAGONAL = "#F5CE80"  # a lighter OFF_DIAGONAL: read by the chunk after the one that wrote it, without step 3
FLOOR = 1e-18  # of relative singular values on a logarithmic axis
MOST_CHUNKS = 12
NOTHING = "nothing"


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
    compare: str = NOTHING  # or another mixer
    key: int = 0  # whose mask is shown, if each has its own


CONTROLS = (
    Control("mixer", "mixer", "choice", tuple(menu())),
    Control("compare", "compare with", "choice", (NOTHING, *menu())),
    Control("N", "tokens N", low=2, high=128, more=True),
    Control("d_state", "state size r", low=1, high=16),
    Control("decay", "mean decay", low=0, high=1, step=0.005),
    Control("chunk_size", "chunk size", low=1, high=128),
    Control("row", "block row", low=0, high=MOST_CHUNKS - 1, more=True),
    Control("column", "block column", low=0, high=MOST_CHUNKS - 1, more=True),
    Control("key", "mask of key", low=0, high=15),
    Control("seed", "seed", low=0, high=999, more=True),
)


def settle(params: Params) -> Params:
    """Settings that fit each other; a decay counts as 1 for a mixer that has none."""
    p, mixer = params, menu()[params.mixer]
    turns = any("angle" in menu()[name].kinds for name in (p.mixer, p.compare) if name != NOTHING)
    d_state = max(2, p.d_state - p.d_state % 2) if turns else p.d_state  # angles turn pairs of keys
    chunk_size = max(-(-p.N // MOST_CHUNKS), min(p.chunk_size, p.N))
    row = min(p.row, -(-p.N // chunk_size) - 1)
    return replace(
        p,
        d_state=d_state,
        decay=1.0 if mixer.decay is None else p.decay,
        key=min(p.key, d_state - 1) if decay_axes(mixer) == "key" else 0,
        chunk_size=chunk_size,
        row=row,
        column=min(p.column, row),
    )


@dataclass(frozen=True)
class Result:
    """Matrices are (N, N), singular values relative to the largest of the whole matrix."""

    mask: np.ndarray
    scores: np.ndarray
    M: np.ndarray
    ranks: np.ndarray  # (n_chunks, n_chunks): numerical rank of each block of M
    allowed: np.ndarray  # (n_chunks, n_chunks): the largest rank that theory allows
    singular_values: np.ndarray  # of the chosen block of M
    rounding: float  # relative singular values up to this count as zero
    other: np.ndarray | None  # the matrix of the mixer to compare with
    other_singular_values: np.ndarray | None

    @property
    def other_rank(self) -> int:
        """Numerical rank of the chosen block of the other matrix."""
        assert self.other_singular_values is not None
        return int((self.other_singular_values > self.rounding).sum())

    @property
    def largest_difference(self) -> float:
        assert self.other is not None
        return float(np.abs(self.M - self.other).max())

    def below(self, ranks: np.ndarray) -> np.ndarray:
        """The entries of `ranks` for blocks strictly below the diagonal."""
        return ranks[np.tril_indices(len(ranks), -1)]


def edges(params: Params, k: int) -> slice:
    """The tokens of a chunk: the last may be shorter."""
    return slice(k * params.chunk_size, min(params.N, (k + 1) * params.chunk_size))


def _relative_singular_values(M: np.ndarray, params: Params, row: int, column: int) -> np.ndarray:
    """Singular values of a block, divided by the largest of M."""
    return np.linalg.svd(M[edges(params, row), edges(params, column)], compute_uv=False) / np.linalg.norm(M, 2)


def _levels(params: Params, n: int) -> np.ndarray:
    """(n, n): from how many levels of log-linear attention a block reads, each a state of its own."""
    level = log_linear.level_of(*np.indices((params.N, params.N)))
    blocks = [[level[edges(params, i), edges(params, j)] for j in range(n)] for i in range(n)]
    return np.array([[len(np.unique(block)) for block in row] for row in blocks])


@lru_cache(maxsize=8)
def compute(params: Params) -> Result:
    mixer, c = menu()[params.mixer], params.chunk_size
    s = Sequence(params.N, params.d_state, params.decay, params.seed)
    Q, K = s.queries_keys(mixer)
    M = s.matrix(mixer)
    other = None if params.compare == NOTHING else s.matrix(menu()[params.compare])
    rounding = params.N * float(np.finfo(float).eps)  # as in reference.semiseparable.rank
    sizes = np.diff([*range(0, params.N, c), params.N])
    n = len(sizes)
    ranks, allowed = np.zeros((n, n), int), np.minimum.outer(sizes, sizes)
    if not mixer.grows:
        through_state = params.d_state * _levels(params, n) if "level weight" in mixer.kinds else params.d_state
        allowed = np.where(np.eye(n, dtype=bool), allowed, np.minimum(allowed, through_state))
    for i, j in np.argwhere(np.tri(n)).tolist():
        ranks[i, j] = (_relative_singular_values(M, params, i, j) > rounding).sum()
    chosen = (params, params.row, params.column)
    return Result(
        s.mask(mixer, params.key),
        Q @ K.T,
        M,
        ranks,
        allowed,
        _relative_singular_values(M, *chosen),
        rounding,
        other,
        None if other is None else _relative_singular_values(other, *chosen),
    )


def describe(params: Params) -> str:
    """The picture in words: the chosen block first."""
    r, c, mixer = compute(params), params.chunk_size, menu()[params.mixer]
    distance = params.row - params.column
    why = (
        "softmax attention has no finite state, so every block is computed"
        if mixer.grows
        else "on the diagonal, computed inside its chunk"
        if distance == 0
        else "it passes through the state" + (", carried across the chunks between" if distance > 1 else "")
    )
    rows, columns = edges(params, params.row), edges(params, params.column)
    parts = [
        f"Block rows {rows.start}–{rows.stop - 1}, columns {columns.start}–{columns.stop - 1}: rank "
        f"{r.ranks[params.row, params.column]} of at most {r.allowed[params.row, params.column]}; {why}."
    ]
    if r.other is not None:
        parts.append(
            f"The same block of {params.compare} has rank {r.other_rank}, and the two matrices differ by up to "
            f"{r.largest_difference:.2f}."
        )
    below = r.below(r.ranks)
    if len(below):
        ranks = f"{below.min()}" if below.min() == below.max() else f"{below.min()} to {below.max()}"
        parts.append(f"The blocks below the diagonal have rank {ranks}.")
    if params.N % c:
        parts.append(f"The last chunk has only {params.N % c} of {c} tokens.")
    if not mixer.grows and c <= params.d_state:
        parts.append("A chunk has no more tokens than the state has rows, so no block could exceed it.")
    decay = f", decays around {params.decay:g}" if mixer.decay else ""
    settings = f"{params.N} tokens, state size r = {params.d_state}{decay}, chunks of {c}, seed {params.seed}"
    return f"{' '.join(parts)} ({params.mixer}, {settings}.)"


def headline(params: Params) -> str:
    if params.chunk_size == params.N:
        return f"{params.mixer}: a single chunk is the parallel form, one block and no state"
    if not menu()[params.mixer].grows:
        each = "feature and level" if "level weight" in menu()[params.mixer].kinds else "feature"
        return f"{params.mixer}: at most {params.d_state} numbers for each {each} pass from chunk to chunk"
    r = compute(params)
    return f"Softmax attention: blocks below the diagonal have rank up to {r.below(r.ranks).max()}"


@styled
def picture(params: Params) -> Picture:
    """Above, mask, scores and matrix; below, the chunk grid with ranks, and the singular values of the chosen block."""
    r, mixer = compute(params), menu()[params.mixer]
    made = Picture(headline(params), describe(params), (7.4, 5.6))
    rows = made.add_gridspec(2, 1, height_ratios=(1, 0.85), hspace=0.08)
    below = rows[1].subgridspec(1, 2, width_ratios=(1, 2))
    named = {
        mask_name(mixer, params.key, params.d_state): r.mask,
        f"scores {mixer.scores}": r.scores,
        mixer.formula: r.M,
    }
    if r.other is not None:
        named[params.compare] = r.other
    above = rows[0].subgridspec(1, len(named))
    extent = (0, params.N, params.N, 0)
    for i, (name, X) in enumerate(named.items()):
        ax = made.add_subplot(above[i])
        limit = np.quantile(np.abs(X[np.tril_indices(params.N)]), 0.99)  # one outlier must not make the rest pale
        ax.imshow(X / limit, cmap=SIGNED, vmin=-1, vmax=1, extent=extent)
        ax.set_title(f"{name}\ncolors to ±{limit:.2g}")
        ax.set(xlabel="written at token j", ylabel="" if i else "read at token i")
        if X is r.M:
            _draw_grid(ax, params, NEUTRAL)
    grid = made.add_subplot(below[0])
    _draw_ranks(grid, params, r, extent)
    _draw_values(made.add_subplot(below[1]), params, r)
    steps = {
        "inside a chunk": DIAGONAL,
        "to the next chunk": NEXT_TO_DIAGONAL,
        "to later chunks": OFF_DIAGONAL,
    }
    steps = {"no finite state": ATTENTION} if mixer.grows else steps
    handles = [Patch(color=color, label=name) for name, color in steps.items()]
    made.legend(handles=handles, loc="outside lower left", ncols=3, columnspacing=1.2)
    return made


def _draw_grid(ax: Axes, params: Params, color: str) -> None:
    """The borders of the chunks, and a frame around the chosen block."""
    for border in range(params.chunk_size, params.N, params.chunk_size):
        ax.axhline(border, color=color, linewidth=0.7)
        ax.axvline(border, color=color, linewidth=0.7)
    rows, columns = edges(params, params.row), edges(params, params.column)
    corner, sizes = (columns.start, rows.start), (columns.stop - columns.start, rows.stop - rows.start)
    ax.add_patch(Rectangle(corner, *sizes, fill=False, edgecolor="black", linewidth=2.5, zorder=3))


def _draw_ranks(ax: Axes, params: Params, r: Result, extent: tuple[int, int, int, int]) -> None:
    n, grows = len(r.ranks), menu()[params.mixer].grows
    for i, j in np.argwhere(np.tri(n)).tolist():
        rows, columns = edges(params, i), edges(params, j)
        color = ATTENTION if grows else DIAGONAL if i == j else NEXT_TO_DIAGONAL if i - j == 1 else OFF_DIAGONAL
        size = (columns.stop - columns.start, rows.stop - rows.start)
        ax.add_patch(Rectangle((columns.start, rows.start), *size, color=color, linewidth=0))
        middle = ((columns.start + columns.stop) / 2, (rows.start + rows.stop) / 2)
        ink = "white" if i == j and not grows else "black"
        ax.text(*middle, str(r.ranks[i, j]), ha="center", va="center", color=ink, fontsize=9 if n > 8 else 10)
    _draw_grid(ax, params, "white")
    ax.set(title="rank of each block", xlabel="written in chunk", ylabel="read in chunk", xticks=(), yticks=())
    ax.set(xlim=extent[:2], ylim=extent[2:], aspect="equal")


def _draw_values(ax: Axes, params: Params, r: Result) -> None:
    ax.set(title="singular values of the chosen block", ylabel="relative to all of M", yscale="log")
    ax.set(xlabel="largest first, one for each token of the chunk", xlim=(0, len(r.singular_values)), xticks=())
    ax.set_ylim(FLOOR / 3, 1e7)
    ax.set_yticks([1, 1e-5, 1e-10, 1e-15], ["1", "1e−5", "1e−10", "1e−15"])
    ax.minorticks_off()
    curves = {params.mixer: (r.singular_values, STATE), params.compare: (r.other_singular_values, ATTENTION)}
    for name, (values, color) in curves.items():
        if values is not None:
            places = np.arange(len(values)) + 0.5
            ax.plot(places, np.maximum(values, FLOOR), "o-", color=color, label=name, markersize=4)
    allowed = r.allowed[params.row, params.column]
    ax.axvline(allowed, ymax=0.75, color=NEUTRAL, linestyle=":", label="rank that theory allows")
    ax.axhline(r.rounding, color=NEUTRAL, linestyle="--", lw=1, label="rounding: below is zero")
    ax.legend(loc="upper right", ncols=2)


class SemiseparableExplorer(Explorer):
    """See any mixer as a matrix, cut it into chunks, and read the rank of every block; `compare` shows another beside.

    `compare=True` is softmax attention.
    """

    start = Params()
    controls = CONTROLS
    settle = staticmethod(settle)
    describe = staticmethod(describe)
    picture = staticmethod(picture)
    given: ClassVar[dict[str, Any]] = {"mixers": for_browser()}

    def __init__(self, *, compare: str | bool = NOTHING, **settings: Any) -> None:
        if isinstance(compare, bool):
            compare = "softmax attention" if compare else NOTHING
        super().__init__(compare=compare, **settings)
