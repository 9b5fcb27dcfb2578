"""A sequence mixer at play: a plateau and a spike go in, and what is left of them comes out."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ._live import LivePicture
from ._style import NEUTRAL, OUTPUT, STATE, styled
from .matrices import draw_matrix, lower_triangle

SIGNALS = ("plateau", "spike")


class Play(NamedTuple):
    """What is seen of a mixer: its matrix (N, N), its states (N, rows, 2), two signals and what comes out, (N, 2)."""

    M: np.ndarray
    states: np.ndarray
    x: np.ndarray
    y: np.ndarray
    title: str

    def describe(self) -> str:
        M, S, y = self.M, np.abs(self.states), self.y
        last = S[-1].max(axis=0)
        return (
            f"Left, the {len(M)} × {len(M)} matrix, entries from {M.min():.2f} to {M.max():.2f}, {abs(M[-1, 0]):.2f} "
            f"in size in the lower left corner. Middle, the {S.shape[1]} numbers of the state that belong to each of "
            f"two signals, at most {S.max():.2f} in size; after the last token at most {last[0]:.2f} are left of the "
            f"{SIGNALS[0]} and {last[1]:.2f} of the {SIGNALS[1]}. Right, the signals that go in, and those that come "
            f"out, which reach {y[:, 0].max():.2f} and {y[:, 1].max():.2f}."
        )

    def curves(self) -> Iterator[np.ndarray]:
        """The numbers of all lines that move, in the order in which they are drawn."""
        for c in range(len(SIGNALS)):
            yield from self.states[:, :, c].T
            yield self.y[:, c]


class PlateauAndSpike(LivePicture):
    """The picture of `play`, on axes that are wide enough for all of `room`; it follows other plays."""

    @styled
    def __init__(self, play: Play, room: Sequence[Play]) -> None:
        super().__init__(play.title, play.describe(), size=(9.6, 4.0))
        axes = self.subplot_mosaic([["M", "S0", "y0"], ["M", "S1", "y1"]], width_ratios=(1.45, 1, 1))
        self.headline = self.suptitle(play.title)
        self.matrix = draw_matrix(axes["M"], play.M, "the matrix M", like=[other.M for other in room])
        self.lines = []
        for c, name in enumerate(SIGNALS):
            state, out = axes[f"S{c}"], axes[f"y{c}"]
            self.lines += state.plot(play.states[:, :, c], color=STATE)
            state.set(title=f"state of the {name}", xlabel="after token t", ylabel="value")
            out.plot(play.x[:, c], color=NEUTRAL, drawstyle="steps-mid", linestyle="--", label="in")
            self.lines += out.plot(play.y[:, c], color=OUTPUT, label="out")
            for other in room:
                for ax, numbers in ((state, other.states), (out, other.y)):
                    ax.update_datalim([(0, numbers[..., c].min()), (0, numbers[..., c].max())])
                    ax.autoscale_view()
            low, high = out.get_ylim()
            out.set_ylim(low, high + 0.35 * (high - low))  # room for the legend
            out.set(title=f"output of the {name}", xlabel="token t", ylabel="value")
            out.legend(loc="upper right", ncols=2)
        self.moving = [self.matrix, *self.lines, self.headline]

    def follow(self, play: Play) -> None:
        self.headline.set_text(play.title)
        self.description = play.describe()
        self.matrix.set_data(lower_triangle(play.M))
        for line, numbers in zip(self.lines, play.curves(), strict=True):
            line.set_ydata(numbers)


def plateau_and_spike(play: Play, room: Sequence[Play] = ()) -> PlateauAndSpike:
    """A mixer's matrix, its states, and what comes out; with `room` on axes wide enough for these plays too."""
    return PlateauAndSpike(play, room)
