"""The stop button: a wish to stop that a training hears between two steps, never in the middle of one."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopButton:
    """Jupyter's ■ (Interrupt) or Ctrl-C, as a wish: `asked` becomes True, and what was learned is kept.

    with StopButton() as button:
        while not button.asked: ...

    A second one raises KeyboardInterrupt at once, as it would without this. Where interrupts do not arrive (another
    thread than the main one) or somebody else already listens to them, `asked` stays False.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> "StopButton":
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
