"""The stop button, the progress bar, and one process for each seed. Introduced in 03d_expressivity."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from functools import partial
from multiprocessing import get_context
from types import FrameType
from typing import Any, TypeVar

import torch
from tqdm import tqdm

_Result = TypeVar("_Result")
OnStep = Callable[[int], bool | None]

_steps_done: Any = None  # a counter and a flag that all processes share; set in each by _begin
_stop: Any = None


class StopButton:
    """Jupyter's ■ (Interrupt) or Ctrl-C, noticed between two steps: `asked` becomes True, and what was learned is kept.

    with StopButton() as button:
        while not button.asked: ...

    A second one raises KeyboardInterrupt at once, as it would without this. Where interrupts do not arrive (in a thread
    other than the main one) or something else already handles them, `asked` stays False.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> "StopButton":
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class _NotebookLine:
    """A file that shows what tqdm writes to it as one line of a notebook's output, rewritten in place.

    tqdm's own bar for notebooks is a widget, and a notebook opened the next day would show only an error in its place.
    """

    encoding = "utf-8"

    def __init__(self) -> None:
        from IPython.display import display

        self.output = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> None:
        if line := text.strip():
            self.output.update({"text/plain": line}, raw=True)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


def progress_bar(total: int, what: str) -> tqdm:
    """tqdm's bar in a notebook's output or a terminal; silent elsewhere."""
    ipython = sys.modules.get("IPython")
    in_notebook = hasattr(ipython and ipython.get_ipython(), "kernel")
    return tqdm(total=total, desc=what, file=_NotebookLine() if in_notebook else None, disable=None, ncols=100)


def in_processes(job: Callable[..., _Result], seeds: Sequence[int], steps: int, processes: int = 2) -> list[_Result]:
    """Call job(seed=…, on_step=…) for every seed, in one-thread processes, with a progress bar; a result per seed.

    steps    of all trainings with one seed, for the bar and the time that remains

    The job calls `on_step` with the number of steps done so far. When the stop button is pressed, on_step returns True,
    which tells every running job to end, and seeds whose job had not begun are missing.
    """
    context = get_context("spawn")
    counter, stop = context.Value("q", 0), context.Value("b", 0)
    workers = min(processes, len(seeds))
    pool = ProcessPoolExecutor(workers, context, _begin, (counter, stop))
    total = len(seeds) * steps
    title = f"{len(seeds)} seed{'s' * (len(seeds) != 1)}, {total:,} steps"
    with progress_bar(total, title) as bar, StopButton() as button:
        try:
            started = [pool.submit(_counted, partial(job, seed=seed)) for seed in seeds]
            waiting: set[Future[_Result | None]] = set(started)
            while waiting:
                _, waiting = wait(waiting, timeout=0.2)
                bar.update(counter.value - bar.n)
                if button.asked:
                    stop.value = 1
                    waiting = {future for future in waiting if not future.cancel()}
            results = [future.result() for future in started if not future.cancelled()]
            return [result for result in results if result is not None]
        finally:
            stop.value = 1
            pool.shutdown(cancel_futures=True)


def _begin(counter: Any, stop: Any) -> None:
    """What each process does first."""
    global _steps_done, _stop
    _steps_done, _stop = counter, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Jupyter's ■ reaches all processes; the first one tells the others
    torch.set_num_threads(1)


def _counted(job: Callable[..., _Result]) -> _Result | None:
    """The job's result, or None if it was to stop before it began."""
    if _stop.value:
        return None
    seen = 0

    def count(step: int) -> bool:
        nonlocal seen
        with _steps_done.get_lock():
            _steps_done.value += step - seen  # more than one after a checkpoint
        seen = step
        return bool(_stop.value)

    return job(on_step=count)
