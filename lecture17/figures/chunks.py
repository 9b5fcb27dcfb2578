"""How a sequence is cut up: at every token, into the blocks of the chunkwise algorithm, into a kernel's programs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from .picture import DIAGONAL, NEUTRAL, OFF_DIAGONAL, OUTPUT, STATE, Picture, styled


def _block(ax: Axes, x: float, y: float, color: str, text: str, text_color: str = "black") -> None:
    ax.add_patch(Rectangle((x + 0.03, y + 0.03), 0.94, 0.94, facecolor=color, edgecolor="none"))
    ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=text_color)


def _frame(ax: Axes, x: float, y: float, width: float, height: float, line: str = "-") -> None:
    ax.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor="black", linewidth=2, linestyle=line))


@styled
def chunk_grid(n_chunks: int, *, title: str) -> Picture:
    """The matrix cut into chunks, each block with the steps of the algorithm that compute it."""
    picture = Picture(
        title,
        f"A lower-triangular matrix cut into {n_chunks} × {n_chunks} blocks. The {n_chunks} blocks on the diagonal "
        f"come from step 1 alone; the {n_chunks - 1} just below them from steps 2 and 4, which write and read the "
        f"state; the {(n_chunks - 1) * (n_chunks - 2) // 2} farther below also from step 3, which passes the state "
        "from chunk to chunk. Every block of a column shares its step 2, every block of a row its step 4.",
        size=(9.0, 4.8),
    )
    ax = picture.subplots()
    strip = n_chunks + 0.25  # where the factors that a whole row or column shares are drawn
    for row in range(n_chunks):
        for column in range(row):
            _block(ax, column, row, OFF_DIAGONAL, "2→4" if row - column == 1 else "2→3→4")
        _block(ax, row, row, DIAGONAL, "1", "white")
        _block(ax, row, strip, STATE, "2")
        _block(ax, strip, row, OUTPUT, "4")
        if row:
            ax.annotate("", (row + 0.35, strip + 1.2), (row - 0.35, strip + 1.2), arrowprops={"arrowstyle": "->"})
            ax.text(row, strip + 1.45, "3", ha="center", va="center")
    centers, names = np.arange(n_chunks) + 0.5, [f"chunk {c}" for c in range(n_chunks)]
    ax.set(xlabel="written in", ylabel="read in", aspect="equal")
    ax.set(xlim=(0, strip + 1.0), ylim=(strip + 1.6, 0))
    ax.set_xticks(centers, names)
    ax.set_yticks(centers, names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    steps = {
        "1  inside a chunk: masked attention": DIAGONAL,
        "2  write: what a chunk adds to the state": STATE,
        "3  pass on: the state decays along the arrows": "white",
        "4  read: what the outputs take from the state": OUTPUT,
        "rank at most d_state: never built": OFF_DIAGONAL,
    }
    picture.legend(handles=[Patch(color=c, label=name) for name, c in steps.items()], loc="outside right center")
    return picture


@styled
def cuts(M: np.ndarray, reads: Sequence[np.ndarray], writes: Sequence[np.ndarray], *, title: str) -> Picture:
    """A small M (N, N) cut at each token s: the block M[s:, :s+1] = reads[s] @ writes[s], and its two factors."""
    N, sizes = len(M), [len(write) for write in writes]
    picture = Picture(
        title,
        f"The same {N} × {N} matrix {N} times, with the block M[s:, :s+1] in color and its factors beside it: O, which "
        "reads, to the right, and W, which writes, below. Numbers of state after each token: "
        + ", ".join(f"{size} at s = {s}" for s, size in enumerate(sizes))
        + ". A dashed frame holds what a block shares with the block before it, all but the first row of that one.",
        size=(9.0, 4.3),
    )
    far = N + 0.6  # where the factors begin
    for s, (ax, read, write) in enumerate(zip(picture.in_rows(N), reads, writes, strict=True)):
        for i, j in np.ndindex(N, N):
            if i >= s >= j:
                _block(ax, j, i, OFF_DIAGONAL, f"{M[i, j]:g}")
            elif i >= j:
                ax.text(j + 0.5, i + 0.5, f"{M[i, j]:g}", ha="center", va="center", color=NEUTRAL)
        for (i, n), value in np.ndenumerate(read):
            _block(ax, far + n, s + i, OUTPUT, f"{value:g}")
        for (n, j), value in np.ndenumerate(write):
            _block(ax, j, far + n, STATE, f"{value:g}")
        _frame(ax, far, s, sizes[s], 1)
        _frame(ax, s, far, 1, sizes[s])
        if s:
            _frame(ax, 0, s, s, N - s, "--")
        ax.text(far + sizes[s] + 0.1, s + 0.5, f"$C_{s}$", va="center")
        ax.text(s + 1.1, far + sizes[s] / 2, f"$B_{s}$", va="center")
        edge = far + max(sizes) + 0.6
        ax.set(title=f"cut at token {s}", xlim=(-0.05, edge), ylim=(edge, -0.05), aspect="equal")
        ax.set(xlabel="written at token j", ylabel="read at token i")
        ax.set_xticks(np.arange(N) + 0.5, map(str, range(N)))
        ax.set_yticks(np.arange(N) + 0.5, map(str, range(N)))
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    picture.legend(
        handles=[
            Patch(color=OFF_DIAGONAL, label="the block M[s:, :s+1]"),
            Patch(color=OUTPUT, label="O reads; its first row is C"),
            Patch(color=STATE, label="W writes; its last column is B"),
            Patch(fill=False, edgecolor="black", linestyle="--", linewidth=2, label="shared with the block before"),
        ],
        loc="outside lower center",
        ncols=2,
    )
    return picture


@styled
def program_grid(heads: int, N: int, block: int, *, title: str) -> Picture:
    """A program for each head and each block of `block` of its N tokens; what a mask leaves out is hatched."""
    blocks = -(-N // block)
    masked = blocks * block - N
    picture = Picture(
        title,
        f"A grid of {heads} × {blocks} programs over {heads} heads of {N} tokens. Each program addresses {block} "
        f"places of one head. Of the places of the last program in each row, {masked} lie beyond the {N} tokens and "
        "are masked out. Without a mask, the first tokens of the next head would be read there, or, after the last "
        "head, memory of no tensor.",
        size=(9.0, 1.6 + 0.55 * heads),
    )
    ax = picture.subplots()
    for head in range(heads):
        for b in range(blocks):
            inside = min(block, N - b * block)
            ax.add_patch(Rectangle((b * block, head + 0.1), inside, 0.8, facecolor=DIAGONAL, edgecolor="white"))
            ax.text(b * block + inside / 2, head + 0.5, f"({head}, {b})", ha="center", va="center", color="white")
        ax.add_patch(
            Rectangle((N, head + 0.1), masked, 0.8, facecolor="white", edgecolor=NEUTRAL, hatch="///", linewidth=0.5)
        )
    ax.set(xlim=(-0.5, blocks * block + 0.5), ylim=(heads, 0), xlabel="token", ylabel="head")
    ax.set_xticks([*range(0, N, block), N])
    ax.set_yticks([h + 0.5 for h in range(heads)], [str(h) for h in range(heads)])
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(False)
    picture.legend(
        handles=[
            Patch(color=DIAGONAL, label="program (head, block)"),
            Patch(facecolor="white", edgecolor=NEUTRAL, hatch="///", label="masked out"),
        ],
        loc="outside lower center",
        ncols=2,
    )
    return picture
