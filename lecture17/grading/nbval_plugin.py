"""A pytest plugin for `runner`: reports the outcome of each cell as a line of JSON, and watches over the kernel.

The outcome is read from the kernel's reply, which also holds a check's record; outputs are ignored.

nbval would wait for a dead kernel until the cell's time is up, and for the rest of its output until that times out.
Here both waits check four times a second that the kernel is alive; the first also ends a kernel that takes more memory,
processes or threads than an answer can need.
"""

import contextlib
import json
import os
import re
import secrets
import time
from queue import Empty
from typing import Any

import psutil
import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell

from . import PATIENCE, SOURCE, STARTUP, TOKEN
from .sandbox import MEMORY, REPORT, end_children

FULL = {  # what the kernel ran out of before this plugin noticed, by the end of the exception's name, and why
    "MemoryError": ("out of memory", "there was none left"),
    "TooManyThreads": ("too many threads", "no more could be started"),
}
PROCESSES, THREADS = 24, 200 + 4 * (os.cpu_count() or 1)
TICK = 0.25  # seconds
LONGEST = 20_000  # characters of a message, and of a traceback
_await_reply, _get_message = RunningKernel.await_reply, RunningKernel.get_message


class KernelDied(RuntimeError):
    """The kernel's process ended while a cell was running: `KernelDied(verdict, reason)`, without them if unknown."""


def excess(memory: float) -> tuple[str, str] | None:
    """What this process's kernel takes too much of, as verdict and reason; None if nothing."""
    used, threads = 0, 0
    family = psutil.Process().children(recursive=True)
    for process in family:
        try:
            info = process.memory_info()
            used, threads = used + info.rss - getattr(info, "shared", 0), threads + process.num_threads()
        except psutil.Error:
            continue  # it has ended
    if len(family) > PROCESSES:
        return "too many processes", f"more than {PROCESSES} were started"
    if threads > THREADS:
        return "too many threads", f"more than {THREADS} were started"
    if used > memory:
        return "out of memory", f"more than {memory / 2**30:.1f} GiB were used"
    return None


def processor_time() -> float:
    """Seconds of processor time that this process's kernel has taken so far, with all that it has started."""
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            spent += sum(process.cpu_times()[:4])  # user and system, its own and of children that have ended
    return spent


def _watchful_await_reply(self: RunningKernel, msg_id: str, timeout: float | None = None) -> Any:
    self.reply, self.late = None, False
    budget = max(timeout or float("inf"), STARTUP * self.first)  # the first cell only imports the course
    deadline, begun = time.monotonic() + PATIENCE * budget, processor_time()
    memory = float(os.environ.get(MEMORY, "inf"))
    while True:
        replied = True
        try:
            _await_reply(self, msg_id, timeout=max(0.0, min(TICK, deadline - time.monotonic())))
        except Empty:
            replied = False
        if trouble := excess(memory):
            end_children()
            while self.is_alive():  # its threads may end after it; until then nbval would run the next cell
                time.sleep(0.01)
            raise KernelDied(*trouble)
        if replied:
            return
        if not self.is_alive():
            raise KernelDied
        if time.monotonic() >= deadline or processor_time() - begun >= budget:
            self.late = True  # nbval interrupts it now; even if that ends the kernel, the cause is the time
            raise Empty


def _watchful_get_message(self: RunningKernel, stream: str, timeout: float | None = None) -> Any:
    if stream != "iopub":
        self.reply = _get_message(self, stream, timeout)  # the last awaited reply is the cell's
        return self.reply
    deadline = time.monotonic() + (timeout or float("inf"))
    ended = False
    while True:
        try:
            return _get_message(self, stream, max(0.0, min(TICK, deadline - time.monotonic())))
        except Empty:
            if ended:  # it died after its reply, and everything it had sent is read
                raise KernelDied from None
            if time.monotonic() >= deadline:
                self.late = True
                raise
        ended = not self.is_alive() and not self.late


RunningKernel.await_reply, RunningKernel.get_message = _watchful_await_reply, _watchful_get_message
RunningKernel.first = True  # until a cell has been run


def _say(**entry: object) -> None:
    text = json.dumps(entry, ensure_ascii=False) + "\n"
    os.write(int(os.environ[REPORT]), text.encode(errors="replace"))  # lone surrogates cannot be encoded


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A learner's comment cannot tell nbval to skip a cell."""
    for item in items:
        if isinstance(item, IPyNbCell):
            item.options.clear()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Report that a cell begins: if no more follows, it ended this process too. With a dead kernel, none begins."""
    if isinstance(item, IPyNbCell):
        item.begun = item.parent.kernel.is_alive()
        item.parent.kernel.first = item.cell_num == 0
        if not item.begun:
            pytest.skip()
        item.token = secrets.token_hex()  # never on disk, and different in every run
        item.cell.source = item.cell.source.replace(TOKEN, item.token)
        _say(cell=item.cell_num, status="begun")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Report the outcome of a cell that was begun, as the fields of `runner.CellRun`, or why there is no kernel."""
    error = call.excinfo and call.excinfo.value
    if call.when == "call" and isinstance(item, IPyNbCell) and item.begun:
        _say(cell=item.cell_num, **_came_to(item, error))
    elif call.when == "setup" and error is not None:
        _say(broken=str(error))


def _died(cause: str = "", reason: str = "") -> dict[str, Any]:
    return {"status": "died", "cause": cause, "reason": reason}


def _came_to(item: IPyNbCell, error: BaseException | None) -> dict[str, Any]:
    kernel = item.parent.kernel
    if isinstance(error, KernelDied):
        return _died(*error.args)
    if kernel.late:
        return {"status": "timed out"}
    if kernel.reply is None:
        return _died()
    reply = kernel.reply["content"]
    name = reply.get("ename", "")
    if full := next((FULL[end] for end in FULL if name.endswith(end)), None):
        end_children()  # whatever filled it is still there
        return _died(*full)
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(reply.get("traceback", [])))[-LONGEST:]
    sent = [p for p in reply.get("payload", []) if p.get("source") == SOURCE]
    return {
        "status": "ran",
        "cause": name,
        "reason": "\n".join(filter(None, [f"{name}: {reply['evalue'][:LONGEST]}", text])) if name else "",
        "changed": [name for p in sent for name in p.get("changed", [])],
        "record": next((json.loads(p["record"]) for p in sent if p.get("token") == item.token), None),
    }
