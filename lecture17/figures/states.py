"""What a token does to the state: eigenvalues, orbits and mirrors, and the states of a mixer at play."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .matrices import draw_matrix
from .picture import DIAGONAL, NEUTRAL, OFF_DIAGONAL, OUTPUT, STATE, Picture, each, styled

SIGNALS = ("plateau", "spike")


@styled
def eigenvalues(transitions: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """The eigenvalues of transition matrices (tokens, r, r), a panel with the unit circle for each name."""
    columns = 3
    values = {name: np.linalg.eigvals(A).ravel() for name, A in transitions.items()}
    told = each(
        values,
        lambda v: (
            f"real parts from {v.real.min():.2f} to {v.real.max():.2f}, imaginary parts up to "
            f"{np.abs(v.imag).max():.2f}"
        ),
    )
    picture = Picture(
        title,
        f"Eigenvalues of transition matrices in the complex plane, with the unit circle: {told}.",
        size=(9.0, 3.2 * -(-len(values) // columns)),
    )
    turn = np.exp(2j * np.pi * np.linspace(0, 1, 200))
    for ax, (name, v) in zip(picture.in_rows(len(values), columns), values.items(), strict=True):
        ax.plot(turn.real, turn.imag, color=NEUTRAL, linewidth=1)
        ax.plot(v.real, v.imag, ".", color=STATE, alpha=0.5, markersize=4, markeredgewidth=0)
        ax.plot(0, 0, "+", color="black")
        ax.set(title=name, xlabel="real part", ylabel="imaginary part", aspect="equal")
        ax.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    return picture


@styled
def orbits(states: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """For each name the states after 0, 1, 2, … tokens: one number (T,) against time, or two (T, 2) in their plane."""
    told = each(
        states,
        lambda h: (
            f"{'one number, from' if h.ndim == 1 else 'two numbers, from'} {h[0].round(2) + 0.0} over "
            f"{h[1].round(2) + 0.0} to {h[-1].round(2) + 0.0} after {len(h) - 1} tokens"
        ),
    )
    picture = Picture(title, f"States reached by one token repeated: {told}.", size=(9.6, 3.3))
    for ax, (name, h) in zip(picture.in_rows(len(states)), states.items(), strict=True):
        if h.ndim == 1:
            ax.axhline(0, color=NEUTRAL, linewidth=0.8)
            ax.plot(h, "o-", color=STATE)
            ax.set(xlabel="tokens so far", ylabel="state", ylim=(-1.15, 1.15))
        else:
            around = np.linspace(0, 2 * np.pi, 200)
            ax.plot(np.cos(around), np.sin(around), color=NEUTRAL, linewidth=0.8)
            ax.plot(*h.T, "o-", color=STATE)
            for place in np.unique(h.round(6), axis=0):
                times = np.flatnonzero(np.isclose(h, place, atol=1e-5).all(1))
                ax.annotate(
                    ", ".join(map(str, times[:3])) + (", …" if len(times) > 3 else ""),
                    (1.15 if place[0] > 0.5 else 1.45) * place,
                    ha="left" if place[0] > 0.5 else "center",
                    va="center",
                )
            ax.set(xlabel="first state entry", ylabel="second state entry", aspect="equal")
            ax.set(xlim=(-1.6, 2.2), ylim=(-1.6, 1.6))
        ax.set_title(name)
    return picture


@styled
def mirrors(corners: np.ndarray, normals: Sequence[np.ndarray], *, title: str) -> Picture:
    """The corners (3, 2) of a triangle, before and after each reflection I - 2 k kᵀ with the given normals k (2,)."""
    stages = [corners]
    for k in normals:
        stages.append(stages[-1] - 2 * np.outer(stages[-1] @ k, k))
    angles = [np.degrees(np.arctan2(k[0], -k[1])) % 180 for k in normals]  # of the mirrors, not of their normals
    moved = [int(np.argmin(np.linalg.norm(corners - place, axis=1))) for place in stages[-1]]
    picture = Picture(
        title,
        f"A triangle with corners 0, 1 and 2, reflected in a line at {angles[0]:.0f} degrees and then in one at "
        f"{angles[1]:.0f} degrees; after both, corners 0, 1 and 2 lie where {moved[0]}, {moved[1]} and {moved[2]} lay "
        "before: the triangle has been turned.",
        size=(9.6, 3.5),
    )
    names = ["before", "after the first mirror", "after the second: a turn"]
    for ax, stage, name, mirror in zip(picture.subplots(1, 3), stages, names, [*normals, None], strict=True):
        ax.fill(*corners.T, facecolor="none", edgecolor=NEUTRAL, linewidth=1.2)
        for number, (place, color) in enumerate(zip(stage, (DIAGONAL, OFF_DIAGONAL, OUTPUT), strict=True)):
            ax.plot(*place, "o", color=color, markersize=17, zorder=3)
            ink = "black" if number else "white"
            ax.annotate(str(number), place, ha="center", va="center", color=ink, fontsize=11, zorder=4)
        if mirror is not None:
            along = 1.5 * np.array([-mirror[1], mirror[0]])
            ax.plot(*np.array([-along, along]).T, "--", color=STATE)
            ax.annotate("", 0.55 * mirror, -0.55 * mirror, arrowprops={"arrowstyle": "<->", "color": STATE})
        ax.set(title=name, xlabel="first state entry", ylabel="second state entry", aspect="equal")
        ax.set(xlim=(-1.6, 1.6), ylim=(-1.5, 1.5))
    return picture


class Play(NamedTuple):
    """What is shown of a mixer: its matrix (N, N), its states (N, rows, 2), two signals and what comes out, (N, 2)."""

    M: np.ndarray
    states: np.ndarray
    x: np.ndarray
    y: np.ndarray
    title: str

    def describe(self) -> str:
        M, S, y = self.M, self.states, self.y
        last = [
            f"{', '.join(f'{number:z.2f}' for number in rows)} for the {name}"
            for rows, name in zip(S[-1].T, SIGNALS, strict=True)
        ]
        return (
            f"The {len(M)} × {len(M)} matrix has entries from {M.min():z.2f} to {M.max():z.2f}; the one in the lower "
            f"left corner is {M[-1, 0]:z.2f}. The state holds {S.shape[1]} numbers for each of the two signals, "
            f"from {S.min():z.2f} to {S.max():z.2f}. After the last token they are, row by row, {'; '.join(last)}. "
            f"The outputs reach {y[:, 0].max():z.2f} and {y[:, 1].max():z.2f}."
        )


@styled
def plateau_and_spike(play: Play, room: Sequence[Play] = ()) -> Picture:
    """A mixer's matrix, its states, and what comes out; with `room` on axes wide enough for these plays too."""
    picture = Picture(play.title, play.describe(), size=(9.6, 4.0))
    axes = picture.subplot_mosaic([["M", "S0", "y0"], ["M", "S1", "y1"]], width_ratios=(1.45, 1, 1))
    draw_matrix(axes["M"], play.M, "the matrix M", like=[other.M for other in room])
    for c, name in enumerate(SIGNALS):
        state, out = axes[f"S{c}"], axes[f"y{c}"]
        rows = state.plot(play.states[:, :, c], color=STATE)
        if len(rows) > 1:  # each has a line style of its own
            for number, (row, style) in enumerate(zip(rows, ("-", "--", ":", "-."), strict=False)):
                row.set(linestyle=style, label=f"row {number}")
            state.legend(loc="upper left", ncols=len(rows), columnspacing=1)
        state.set(title=f"state of the {name}", xlabel="after token t", ylabel="value")
        out.plot(play.x[:, c], color=NEUTRAL, drawstyle="steps-mid", linestyle="--", label="in")
        out.plot(play.y[:, c], color=OUTPUT, label="out")
        for other in room:
            for ax, numbers in ((state, other.states), (out, other.y)):
                ax.update_datalim([(0, numbers[..., c].min()), (0, numbers[..., c].max())])
                ax.autoscale_view()
        low, high = out.get_ylim()
        out.set_ylim(low, high + 0.35 * (high - low))  # room for the legend
        out.set(title=f"output of the {name}", xlabel="token t", ylabel="value")
        out.legend(loc="upper right", ncols=2)
    return picture
