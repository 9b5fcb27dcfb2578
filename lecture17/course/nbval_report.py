"""A pytest plugin for `grade`: writes what became of each cell as a line of JSON, and notices a dead kernel at once.

nbval waits for a dead kernel until the cell's time is up; here the wait looks every second whether it still lives.
"""

import json
import os
import re
import time
from queue import Empty
from typing import Any

import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, NbCellError

REPORT = "LECTURE17_NBVAL_REPORT"  # environment variable: the file to write to
_await_reply = RunningKernel.await_reply


class KernelDied(RuntimeError):
    """The kernel's process ended while a cell was running."""


def _watchful_await_reply(self: RunningKernel, msg_id: str, timeout: float | None = None) -> Any:
    deadline = time.monotonic() + (timeout or float("inf"))
    while True:
        try:
            return _await_reply(self, msg_id, timeout=max(0.0, min(1.0, deadline - time.monotonic())))
        except Empty:
            if not self.is_alive():
                raise KernelDied("the kernel died") from None
            if time.monotonic() >= deadline:
                raise


RunningKernel.await_reply = _watchful_await_reply


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Append {cell, status, text} for a cell that was run: passed, failed, timeout, died, or not run."""
    if call.when != "call" or not isinstance(item, IPyNbCell):
        return
    error = call.excinfo.value if call.excinfo else None
    text = ""
    if error is None:
        status = "passed"
    elif isinstance(error, KernelDied):
        status = "died"
    elif isinstance(error, NbCellError):
        status = "timeout" if str(error).startswith("Timeout") else "failed"
        text = re.sub(r"\x1b\[[0-9;]*m", "", (error.inner_traceback or "").strip("\n"))
    else:
        status, text = "not run", str(error)
    line = {"cell": item.cell_num, "status": status, "text": text[-20_000:]}
    with open(os.environ[REPORT], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
