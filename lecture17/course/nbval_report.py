"""A pytest plugin for `grade`: reports what becomes of each cell as a line of JSON, and looks after the kernel.

nbval waits for a dead kernel until the cell's time is up, and for the rest of its output until that is late. Here both
waits look four times a second whether it still lives; the first one also ends it where it takes more memory, processes
or threads than an answer can need.
"""

import json
import os
import re
import time
from queue import Empty
from typing import Any

import psutil
import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, NbCellError

from .confined import MEMORY, REPORT, end_children

FULL = {  # how a traceback tells that the kernel was full before it was seen, and what is said then
    r"^\w*MemoryError\b.*\Z": "out of memory: there was none left",
    r"RuntimeError:\s+can't\s+start\s+new\s+thread": "too many threads: no more could be started",
}
PROCESSES, THREADS = 24, 200 + 4 * (os.cpu_count() or 1)
TICK = 0.25  # seconds
_await_reply, _get_message = RunningKernel.await_reply, RunningKernel.get_message


class KernelDied(RuntimeError):
    """The kernel's process ended while a cell was running; the message says why, if that is known."""


def excess(memory: float) -> str:
    """What this process's kernel takes too much of, in words; "" if nothing."""
    used, threads = 0, 0
    family = psutil.Process().children(recursive=True)
    for process in family:
        try:
            info = process.memory_info()
            used, threads = used + info.rss - getattr(info, "shared", 0), threads + process.num_threads()
        except psutil.Error:
            continue  # it has ended
    if len(family) > PROCESSES:
        return f"too many processes: more than {PROCESSES} were started"
    if threads > THREADS:
        return f"too many threads: more than {THREADS} were started"
    if used > memory:
        return f"out of memory: more than {memory / 2**30:.1f} GiB were used"
    return ""


def _watchful_await_reply(self: RunningKernel, msg_id: str, timeout: float | None = None) -> Any:
    self.interrupted = False
    deadline = time.monotonic() + (timeout or float("inf"))
    memory = float(os.environ.get(MEMORY, "inf"))
    while True:
        try:
            reply = _await_reply(self, msg_id, timeout=max(0.0, min(TICK, deadline - time.monotonic())))
        except Empty:
            reply = Empty
        if trouble := excess(memory):
            end_children()
            while self.is_alive():  # its threads may end after it; until then nbval would go on with the next cell
                time.sleep(0.01)
            raise KernelDied(trouble)
        if reply is not Empty:
            return reply
        if not self.is_alive():
            raise KernelDied
        if time.monotonic() >= deadline:
            self.interrupted = True  # by nbval, now; where that ends the kernel, it is still the time that was up
            raise Empty


def _watchful_get_message(self: RunningKernel, stream: str, timeout: float | None = None) -> Any:
    if stream != "iopub":
        return _get_message(self, stream, timeout)
    deadline = time.monotonic() + (timeout or float("inf"))
    ended = False
    while True:
        try:
            return _get_message(self, stream, max(0.0, min(TICK, deadline - time.monotonic())))
        except Empty:
            if ended:  # after its reply, and what it had sent by then is read
                raise KernelDied from None
            if time.monotonic() >= deadline:
                raise
        ended = not self.is_alive() and not self.interrupted


RunningKernel.await_reply, RunningKernel.get_message = _watchful_await_reply, _watchful_get_message


def _say(**entry: object) -> None:
    os.write(int(os.environ[REPORT]), (json.dumps(entry) + "\n").encode())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A learner's comment must not tell nbval to skip a cell."""
    for item in items:
        if isinstance(item, IPyNbCell):
            item.options.clear()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Report that a cell begins: if nothing follows, it ended this process too."""
    if isinstance(item, IPyNbCell):
        _say(cell=item.cell_num, status="begun", text="")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Report {cell, status, text} for a cell that was run: passed, failed, timeout, died, or not run."""
    if call.when != "call" or not isinstance(item, IPyNbCell):
        return
    error = call.excinfo.value if call.excinfo else None
    text = ""
    if error is None:
        status = "passed"
    elif isinstance(error, KernelDied):
        status, text = "died", str(error)
    elif isinstance(error, NbCellError):
        status = "timeout" if str(error).startswith("Timeout") else "failed"
        text = re.sub(r"\x1b\[[0-9;]*m", "", (error.inner_traceback or "")[-100_000:].strip("\n"))
        if status == "failed" and (cause := next((c for sign, c in FULL.items() if re.search(sign, text, re.M)), "")):
            end_children()  # what fills the kernel is still there
            status, text = "died", cause
    else:
        status = "not run" if str(error) == "Kernel dead on test start" else "died"
    _say(cell=item.cell_num, status=status, text=text[-20_000:])
