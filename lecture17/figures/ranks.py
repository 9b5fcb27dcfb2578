"""How much must pass from the past to the future: block ranks against the length of the sequence."""

from collections.abc import Sequence

from ._picture import Picture
from ._style import ATTENTION, NEUTRAL, STATE, styled


@styled
def block_ranks(
    lengths: Sequence[int], softmax: Sequence[int], power_law: Sequence[int], ssd: Sequence[int], *, title: str
) -> Picture:
    """Numerical ranks of the lower left block at each length N: softmax attention, a power-law mask, an SSD matrix."""
    picture = Picture(
        title,
        f"Rank of the lower left block against the number of tokens N from {lengths[0]} to {lengths[-1]}: softmax "
        f"attention grows from {softmax[0]} to {softmax[-1]}, the power-law mask from {power_law[0]} to "
        f"{power_law[-1]}, SSD goes from {ssd[0]} to {ssd[-1]}.",
        size=(7.5, 3.8),
    )
    ax = picture.subplots()
    ax.plot(lengths, softmax, "o-", color=ATTENTION, label="softmax attention")
    ax.plot(lengths, power_law, "s-", color=NEUTRAL, label="mask 1 / (1 + i − j)")
    ax.plot(lengths, ssd, "^-", color=STATE, label="SSD")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.set(xlabel="tokens N", ylabel="rank of M[N/2:, :N/2]")
    ax.set_xticks(lengths, [str(N) for N in lengths])
    ax.yaxis.set_major_formatter("{x:.0f}")
    ax.legend()
    return picture
