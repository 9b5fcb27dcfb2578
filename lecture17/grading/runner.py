"""Running the cells of a learner's notebook with nbval, in a process of its own, so that no cell can harm others."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

import psutil
from nbformat import v4

from lecture17.course.checking import Record
from lecture17.course.memory import free
from lecture17.course.notebooks import write

from . import PATIENCE, STARTUP, sandbox

MARK = "LECTURE17_GRADING"  # environment variable that every process started for grading carries
MEMORY = 4 * 2**30  # bytes that the processes of one notebook may use; less if less is free
# The variables of the caller's environment that a run sees, by name or beginning; all others could change what it does.
KEPT: tuple[str, ...] = ("LECTURE17_", "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_", "TZ", "PYTHONPATH")
KEPT += ("VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_", "CUDA_", "OMP_NUM_THREADS")
KEPT += ("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "TEMP", "TMP", "APPDATA", "LOCALAPPDATA")  # Windows


@dataclass(frozen=True)
class CellRun:
    """The outcome of running one cell."""

    status: str  # "not run", "begun", "ran", "timed out", or "died": the kernel ended, or was ended
    cause: str = ""  # the name of the exception that the cell raised; for a death, its verdict if known
    reason: str = ""
    changed: Sequence[str] = ()  # what this cell changed of what checks rely on
    record: Record | None = None  # of the check that ran to its end in this cell


@dataclass(frozen=True)
class Cell:
    """A code cell of the scratch copy: its role, and for which exercise.

    Roles: "begin" saves what checks rely on, "own" and "answer" are the learner's, "check" runs the course's own.
    """

    role: str
    owner: str
    source: str


@dataclass
class Room:
    """What all runs of a grading share, and what is found out about them."""

    timeout: float  # seconds of processor time that a cell may take
    stop: threading.Event = field(default_factory=threading.Event)  # set: end at once
    unconfined: str = ""  # why the learner's code could reach the network and files, "" if it could not


class CannotRun(RuntimeError):
    """No kernel could be started; the message says why."""


def run_all(cells: list[Cell], stem: str, room: Room) -> tuple[dict[int, CellRun], set[int]]:
    """Run the cells; if one ends the kernel, run what is not graded yet again without it.

    Returns the outcome of each cell that ran, and which of the learner's cells ended the kernel. If an exercise's cells
    end it for an unknown reason, they are tried once more without the other answers, because something that another
    answer left running may have done it.
    """
    runs: dict[int, CellRun] = {}
    ended: set[int] = set()
    checks = {i for i, cell in enumerate(cells) if cell.role == "check"}
    while checks - runs.keys() and not room.stop.is_set():
        left = [i for i in range(len(cells)) if i not in ended and i not in checks & runs.keys()]
        found = _found(cells, left, stem, room)
        runs |= {i: run for i, run in found.items() if run.status not in ("begun", "not run")}
        ended |= {i for i in left if cells[i].role in ("own", "answer") and found[i].status == "timed out"}
        last, end = _end(found)
        if end is None or room.stop.is_set():
            break
        if cells[last].owner and end == CellRun("died"):
            alone = [i for i, c in enumerate(cells) if i not in ended and c.owner in ("", cells[last].owner)]
            found = _found(cells, alone, stem, room)
            last, end = _end(found)
            if room.stop.is_set():
                break
            if end is None:
                runs |= found
                continue
        runs[last] = end
        ended |= {i for i in left if cells[i].owner == cells[last].owner} - checks if last in checks else {last}
    return runs, ended


def _found(cells: list[Cell], which: list[int], stem: str, room: Room) -> dict[int, CellRun]:
    """Run some of the cells, the first among them, in a kernel of their own."""
    found = dict(zip(which, _nbval([cells[i] for i in which], stem, room), strict=True))
    if not room.stop.is_set() and (found[0].status != "ran" or found[0].cause):
        raise CannotRun(found[0].reason.partition("\n")[0] or "no kernel could be started")
    return found


def _end(found: dict[int, CellRun]) -> tuple[int, CellRun | None]:
    """The last cell that was begun, and how the kernel ended there; None if all cells ran."""
    last = max((i for i, run in found.items() if run.status != "not run"), default=0)
    if found[last].status in ("timed out", "died"):
        return last, None if last == max(found) and found[last].status == "timed out" else found[last]
    return last, None if last == max(found) and found[last].status == "ran" else CellRun("died")


def _nbval(cells: list[Cell], stem: str, room: Room) -> list[CellRun]:
    """Run cells with nbval in a scratch folder, in a process of its own; returns their outcomes in order."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="lecture17-grade-", ignore_cleanup_errors=True) as name:
        scratch = Path(name).resolve()
        notebook, settings = scratch / f"{stem}.ipynb", scratch / "pytest.ini"
        sources = [v4.new_code_cell(c.source, id=f"cell-{i}") for i, c in enumerate(cells)]
        write(v4.new_notebook(cells=sources), notebook)
        settings.write_text("[pytest]\n", encoding="utf-8")
        command = [sys.executable, "-P", sandbox.__file__, str(scratch), "-q", "-c", str(settings)]
        command += ["-s", "--tb=no", "-p", "no:cacheprovider", "-p", "nbval.plugin"]
        command += ["-p", f"{__package__}.nbval_plugin"]
        command += ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={room.timeout:g}"]
        command += [f"--nbval-kernel-startup-timeout={STARTUP}", notebook.name]  # pytest parses [ and ::
        environment = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
        environment |= {MARK: mark, sandbox.MEMORY: str(memory()), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        for variable in ("TMPDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
            environment[variable] = str(scratch / variable.lower())
            (scratch / variable.lower()).mkdir()
        process = subprocess.Popen(
            command,
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches only `grade`, which then ends all this
        )
        try:
            return _listen(process, len(cells), room)
        finally:
            _stop(process, mark)


def _listen(process: subprocess.Popen, count: int, room: Room) -> list[CellRun]:
    """Follow the report of a run to its end, or until it has been silent for too long."""
    lines: Queue[bytes] = Queue()

    def read_on() -> None:
        for line in itertools.chain(process.stdout or (), [b""]):
            lines.put(line)

    threading.Thread(target=read_on, daemon=True).start()
    runs = [CellRun("not run")] * count
    patience: float = 2 * STARTUP  # of Python, then of the kernel
    heard = time.monotonic()
    while not room.stop.is_set():  # once it is set, a cell that has begun is not "timed out": nobody knows
        try:
            line = lines.get(timeout=0.1)
        except Empty:
            if time.monotonic() < heard + patience:
                continue
            process.terminate()
            return [CellRun("timed out") if run.status == "begun" else run for run in runs]
        if not line:
            break
        heard = time.monotonic()
        entry = json.loads(line)
        if "unconfined" in entry:
            room.unconfined = entry["unconfined"]
        elif "broken" in entry:
            runs[0] = CellRun("not run", reason=entry["broken"]) if runs[0].status == "not run" else runs[0]
        else:
            cell, record = entry.pop("cell"), entry.pop("record", None)
            runs[cell] = CellRun(**entry, record=Record(**record) if record else None)
            patience = PATIENCE * (room.timeout if cell else STARTUP) + 30
    if room.stop.is_set():
        process.terminate()
    return runs


def _stop(process: subprocess.Popen, mark: str) -> None:
    """End a run if it is still going, and every process that carries its mark."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    sandbox.end_all(lambda: [p for p in psutil.process_iter() if _carries(p, mark)])
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _carries(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(MARK) == mark
    return False


def memory() -> int:
    """Bytes that the processes of one notebook may use."""
    return min(MEMORY, int(0.8 * free()))
