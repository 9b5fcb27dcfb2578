"""Which program of a kernel's grid works on which part of a ragged sequence."""

from matplotlib.patches import Patch, Rectangle

from ._picture import Picture
from ._style import DIAGONAL, NEUTRAL, styled


@styled
def program_grid(heads: int, N: int, block: int, *, title: str) -> Picture:
    """A program for each head and each block of `block` of its N tokens; what a mask leaves out is hatched."""
    blocks = -(-N // block)
    masked = blocks * block - N
    picture = Picture(
        title,
        f"A grid of {heads} × {blocks} programs over {heads} heads of {N} tokens. Each program addresses {block} "
        f"places of one head; of those of the last in each row, {masked} lie beyond the {N} tokens and are masked out. "
        "Without a mask they are the first tokens of the next head, or for the last head nobody's.",
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
