"""An associative scan: which tokens combine what they hold, and in which round. Introduced in 02_intuition."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .picture import NEUTRAL, OFF_DIAGONAL, STATE, Picture, styled

Round = Sequence[tuple[int, int]]


@styled
def scan_rounds(schedules: Mapping[str, Sequence[Round]], N: int, *, title: str) -> Picture:
    """The rounds of each schedule from top to bottom; (i, t) in a round: what i holds goes in front of what t holds."""
    counts = {name: (len(rounds), sum(map(len, rounds))) for name, rounds in schedules.items()}
    picture = Picture(
        title,
        f"Which of {N} tokens combine in which round of a scan, rounds running downward: "
        + "; ".join(f"{name}, {rounds} rounds with {done} combinations" for name, (rounds, done) in counts.items())
        + ".",
        size=(9.6, 4.6),
    )
    last = max(rounds for rounds, _ in counts.values())
    for ax, (name, rounds) in zip(picture.in_rows(len(schedules), sharey=True), schedules.items(), strict=True):
        first = list(range(N))  # the first token of the stretch that each token holds
        ax.vlines(range(N), 0, len(rounds), color=NEUTRAL, linewidth=0.6, alpha=0.5, zorder=0)
        ax.plot(range(1, N), [0] * (N - 1), "o", color=STATE, markerfacecolor="white")
        ax.plot(0, 0, "o", color=STATE)
        for number, combined in enumerate(rounds, 1):
            before = list(first)
            for i, t in combined:
                first[t] = before[i]
                ax.plot([i, t], [number - 1, number], color=OFF_DIAGONAL, linewidth=1.2, zorder=1)
                ax.plot(t, number, "o", color=STATE, markerfacecolor="white" if first[t] else STATE)
        rounds_done, combinations = counts[name]
        ax.set(title=f"{name}: {rounds_done} rounds,\n{combinations} combinations", xlabel="token", ylabel="round")
        ax.set(xlim=(-0.8, N - 0.2), ylim=(last + 0.6, -0.6))
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
    dot: dict[str, Any] = {"marker": "o", "color": STATE, "linestyle": ""}
    picture.legend(
        handles=[
            Line2D([], [], **dot, markerfacecolor="white", label="holds a stretch of tokens"),
            Line2D([], [], **dot, label="holds all tokens up to itself: the state"),
            Line2D([], [], color=OFF_DIAGONAL, label="goes in front"),
        ],
        loc="outside lower center",
        ncols=3,
    )
    return picture
