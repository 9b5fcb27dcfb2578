"""When each architecture was first described: the month is read from its arXiv identifier."""

from collections.abc import Mapping, Sequence

from .picture import ATTENTION, DIAGONAL, OFF_DIAGONAL, OUTPUT, STATE, Picture, styled

COLORS = (DIAGONAL, STATE, OFF_DIAGONAL, OUTPUT, ATTENTION)

NEAR = 0.6  # years: names on the same side of a line that would touch


def year(identifier: str) -> float:
    """The year and month of an arXiv identifier, `yymm.number`, as a number of years.

    Raises ValueError for what is no such identifier.
    """
    months, _, number = identifier.partition(".")
    if not (len(months) == 4 and (months + number).isdigit() and number and 1 <= int(months[2:]) <= 12):
        raise ValueError(f"identifier is {identifier!r}: expected yymm.number, as in 2405.21060")
    return 2000 + int(months[:2]) + (int(months[2:]) - 0.5) / 12


@styled
def timeline(lines: Mapping[str, Sequence[tuple[str, str]]], *, title: str) -> Picture:
    """For each line of descent its (name, arXiv identifier) pairs along the years, one row each."""
    everything = sorted((year(i), name) for papers in lines.values() for name, i in papers)
    told = "; ".join(f"{line}: {', '.join(f'{name} ({i})' for name, i in papers)}" for line, papers in lines.items())
    picture = Picture(
        title,
        f"{len(everything)} architectures by the month of their first arXiv paper, from {everything[0][1]} to "
        f"{everything[-1][1]}. {told}.",
        size=(9.6, 1.1 + 0.68 * len(lines)),
    )
    ax = picture.subplots()
    for row, ((_, papers), color) in enumerate(zip(lines.items(), COLORS, strict=False)):
        ax.axhline(row, color=color, linewidth=1, alpha=0.5)
        dated = sorted((year(identifier), name) for name, identifier in papers)
        for k, (x, name) in enumerate(dated):  # by turns above and below the line
            before, after = (abs(x - dated[j][0]) < NEAR if 0 <= j < len(dated) else False for j in (k - 2, k + 2))
            ax.plot(x, row, "o", color=color, markersize=8)
            ax.annotate(
                name,
                (x, row),
                (0, -8 if k % 2 else 8),
                textcoords="offset points",
                ha="left" if before else "right" if after else "center",
                va="top" if k % 2 else "bottom",
            )
    ax.set_yticks(range(len(lines)), list(lines))
    first, last = everything[0][0], everything[-1][0]
    ax.set(xlim=(first - 0.6, last + 0.6), ylim=(len(lines) - 0.4, -0.6), xlabel="year", ylabel="line of descent")
    ax.set_xticks(range(int(first), int(last) + 1))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    return picture
