"""A line that says how far a computation is and how long it will still take."""

import sys
import time
from types import TracebackType
from typing import Any

_WIDTH = 30  # of the bar, in characters
_EVERY = 0.5  # seconds between two looks


class Progress:
    """A bar in a notebook's output or a terminal, silent elsewhere. What it leaves behind never varies.

    with Progress(1000, "1000 steps") as progress:
        progress.show(done=250)             1000 steps  ███████░░░░░░░░░░░░░░░░░░░░░░░  25%, 3:10 left
    """

    def __init__(self, total: int, what: str):
        self.total, self.what = total, what
        self._begin = self._shown = time.monotonic()
        self._handle = _notebook_output()

    def __enter__(self) -> "Progress":
        self._write(self._line(0))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(f"{self.what}: {'done' if kind is None else 'stopped'}")
        if self._handle is None and sys.stderr.isatty():
            sys.stderr.write("\n")

    def show(self, done: int) -> None:
        """Draw the line for `done` of the total, at most twice a second."""
        if time.monotonic() - self._shown >= _EVERY:
            self._shown = time.monotonic()
            self._write(self._line(done))

    def _line(self, done: int) -> str:
        share = min(done / self.total, 1.0)
        bar = "█" * round(share * _WIDTH) + "░" * (_WIDTH - round(share * _WIDTH))
        return f"{self.what}  {bar} {share:4.0%}, {self._left(share)}"

    def _left(self, share: float) -> str:
        if share == 0:
            return "starting"
        seconds = round((time.monotonic() - self._begin) * (1 - share) / share)
        return f"{seconds // 60}:{seconds % 60:02d} left"

    def _write(self, line: str) -> None:
        if self._handle is not None:
            self._handle.update({"text/plain": line}, raw=True)
        elif sys.stderr.isatty():
            sys.stderr.write(f"\r{line}\033[K")
            sys.stderr.flush()


def _notebook_output() -> Any:
    """A display of the running notebook that can be rewritten; None where there is no notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display({"text/plain": ""}, raw=True, display_id=True)
