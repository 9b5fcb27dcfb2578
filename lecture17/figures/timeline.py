"""When each architecture was first described: the month is read from its arXiv identifier."""

from collections.abc import Mapping, Sequence

from .picture import ATTENTION, DIAGONAL, OFF_DIAGONAL, OUTPUT, STATE, Picture, styled

COLORS = (DIAGONAL, STATE, OFF_DIAGONAL, OUTPUT, ATTENTION)

INCHES = 0.85  # for a year
LINE = 0.19  # years: the height of a name


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
    """For each line of descent its (name, arXiv identifier) pairs, a column each; years run downwards."""
    everything = sorted((year(i), name) for papers in lines.values() for name, i in papers)
    told = "; ".join(
        f"{' '.join(line.split())}: {', '.join(f'{name} ({i})' for name, i in papers)}"
        for line, papers in lines.items()
    )
    first, last = everything[0][0], everything[-1][0]
    picture = Picture(
        title,
        f"{len(everything)} architectures by the month of their first arXiv paper, from {everything[0][1]} to "
        f"{everything[-1][1]}. {told}.",
        size=(9.6, 1.3 + INCHES * (last - first + 0.6)),
    )
    ax = picture.subplots()
    for column, ((_, papers), color) in enumerate(zip(lines.items(), COLORS, strict=False)):
        ax.axvline(column, color=color, linewidth=1, alpha=0.5)
        free = 0.0  # where the next name may stand
        for when, name in sorted((year(identifier), name) for name, identifier in papers):
            free = max(when, free)
            ax.plot(column, when, "o", color=color, markersize=8)
            ax.annotate(name, (column, free), (9, 0), textcoords="offset points", va="center")
            free += LINE
    ax.set_xticks(range(len(lines)), list(lines))
    ax.set_yticks(range(int(first), int(last) + 1))
    ax.set(xlim=(-0.25, len(lines) - 0.2), ylim=(last + 0.3, first - 0.3), xlabel="line of descent", ylabel="year")
    ax.tick_params(axis="x", length=0, labeltop=True, labelbottom=False)
    ax.xaxis.set_label_position("top")
    ax.spines["bottom"].set_visible(False)
    return picture
