"""Running the cells of a learner's notebook by nbval, in a process of its own, so that no cell can harm the others."""

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
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

import psutil
from nbformat import v4

from . import confined
from .notebooks import write

MARK = "LECTURE17_GRADING"  # environment variable: all that is started for grading carries it
MEMORY = 4 * 2**30  # bytes that the processes of one notebook may use; less where less is free
STARTUP = 120  # seconds that a kernel may take to start


@dataclass(frozen=True)
class Outcome:
    """What came of running one cell: "passed", "failed", "timeout", "died", "begun" or "not run", and its traceback."""

    status: str
    text: str = ""


@dataclass(frozen=True)
class Cell:
    """A code cell of the scratch copy: the role it plays, and for which exercise.

    Roles: "begin" seals what checks stand on, "own" and "answer" are the learner's, "seal" follows each of these and
    finds what it changed, "check" is the course's own.
    """

    role: str
    owner: str
    source: str


@dataclass
class Room:
    """What is granted to all runs of a grading, and what is found out about them."""

    timeout: float  # seconds a cell may take
    stop: threading.Event = field(default_factory=threading.Event)  # set: end at once
    unconfined: str = ""  # why the network and the files could not be kept from the learner's code, where so


class CannotRun(RuntimeError):
    """No kernel could be started; the message says why."""


def run_all(cells: list[Cell], stem: str, room: Room) -> tuple[dict[int, Outcome], set[int]]:
    """Run the cells; where one ends the kernel, run what was not graded again without it.

    Returns the outcome of each cell that ran, and the learner's cells that ended the kernel. Where an exercise's cells
    end it, and it is not known how, they are tried once more without the other answers: what another has left running
    may have done it.
    """
    outcomes: dict[int, Outcome] = {}
    ended: set[int] = set()
    checks = {i for i, cell in enumerate(cells) if cell.role == "check"}
    while checks - outcomes.keys() and not room.stop.is_set():
        done = checks & outcomes.keys()
        left = [i for i in range(len(cells)) if _source_of(cells, i) not in ended and i not in done]
        found = _found(cells, left, stem, room)
        outcomes |= {i: outcome for i, outcome in found.items() if outcome.status not in ("begun", "not run")}
        ended |= {i for i in left if cells[i].role in ("own", "answer") and found[i].status == "timeout"}
        last = _last(found)
        if room.stop.is_set() or (last == left[-1] and found[last].status not in ("begun", "died")):
            break
        owner = cells[last].owner
        if owner and found[last].status != "timeout" and not found[last].text:
            alone = [i for i, c in enumerate(cells) if _source_of(cells, i) not in ended and c.owner in ("", owner)]
            found = _found(cells, alone, stem, room)
            if all(outcome.status not in ("begun", "died", "not run") for outcome in found.values()):
                outcomes |= found
                continue
            if room.stop.is_set():
                break
            last = _last(found)
        if cells[last].role == "begin":
            raise CannotRun(found[last].text or "no kernel could be started")
        culprit = _source_of(cells, last)
        outcomes[culprit] = Outcome("timeout" if found[last].status == "timeout" else "died", found[last].text)
        others = {i for i in left if cells[i].owner == cells[culprit].owner} - checks
        ended |= others if culprit in checks else {culprit}
    return outcomes, ended


def _found(cells: list[Cell], which: list[int], stem: str, room: Room) -> dict[int, Outcome]:
    """Run some of the cells, in a kernel of their own."""
    return dict(zip(which, _nbval([cells[i] for i in which], stem, room), strict=True))


def _last(found: dict[int, Outcome]) -> int:
    """The last cell that was begun."""
    return max((i for i, outcome in found.items() if outcome.status != "not run"), default=0)


def _source_of(cells: list[Cell], i: int) -> int:
    """The cell whose doing it is if cell i goes wrong: the one before, for a seal."""
    return i - 1 if cells[i].role == "seal" else i


def _nbval(cells: list[Cell], stem: str, room: Room) -> list[Outcome]:
    """Run cells by nbval in a scratch folder, in a process of its own; the outcome of each, in order."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="lecture17-grade-", ignore_cleanup_errors=True) as name:
        scratch = Path(name).resolve()
        notebook, settings = scratch / f"{stem}.ipynb", scratch / "pytest.ini"
        sources = [v4.new_code_cell(c.source, id=f"cell-{i}") for i, c in enumerate(cells)]
        write(v4.new_notebook(cells=sources), notebook)
        settings.write_text("[pytest]\n")
        command = [sys.executable, "-P", confined.__file__, str(scratch), "-q", "-c", str(settings)]
        command += ["-p", "no:cacheprovider", "-p", "nbval.plugin", "-p", f"{__package__}.nbval_report"]
        command += ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={room.timeout:g}", str(notebook)]
        environment = os.environ | {MARK: mark, confined.MEMORY: str(memory())}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
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
            start_new_session=True,  # Ctrl-C reaches `grade` alone, which then ends all this
        )
        try:
            return _listen(process, len(cells), room)
        finally:
            _end(process, mark)


def _listen(process: subprocess.Popen, count: int, room: Room) -> list[Outcome]:
    """Follow the report of a run to its end, or to where nothing has come of it for too long."""
    lines: Queue[bytes] = Queue()

    def read_on() -> None:
        for line in itertools.chain(process.stdout or (), [b""]):
            lines.put(line)

    threading.Thread(target=read_on, daemon=True).start()
    outcomes = [Outcome("not run")] * count
    patience: float = STARTUP
    heard = time.monotonic()
    while not room.stop.is_set():  # where it is set, what has begun is not "timeout": nobody knows
        try:
            line = lines.get(timeout=0.1)
        except Empty:
            if time.monotonic() < heard + patience:
                continue
            process.terminate()
            return [Outcome("timeout") if o.status == "begun" else o for o in outcomes]
        if not line:
            break
        heard = time.monotonic()
        entry = json.loads(line)
        if "unconfined" in entry:
            room.unconfined = entry["unconfined"]
        else:
            outcomes[entry["cell"]] = Outcome(entry["status"], entry["text"])
            patience = room.timeout + 30
    if room.stop.is_set():
        process.terminate()
    return outcomes


def _end(process: subprocess.Popen, mark: str) -> None:
    """End a run, if it has not ended, and whatever carries its mark."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    confined.end_all(lambda: [p for p in psutil.process_iter() if _carries(p, mark)])
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _carries(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(MARK) == mark
    return False


def memory() -> int:
    """Bytes that the processes of one notebook may use."""
    return min(MEMORY, int(0.8 * psutil.virtual_memory().available))
