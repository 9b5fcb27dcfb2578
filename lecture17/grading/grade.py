"""Grading: nbval on a scratch copy in which the course's own checks are restored, and a verdict per exercise.

The learner's file is read once and never written. A cell that kills the kernel costs only its own exercise: the
others are run again without it.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from lecture17.course import exercises
from lecture17.course.checking import PASSED
from lecture17.course.exercise import Exercise
from lecture17.course.notebooks import NotANotebook, grade_id, is_answer, is_check, read
from lecture17.course.paths import EXERCISES, NOTEBOOKS, SOLUTIONS, home

from . import TOKEN, reference_use
from .runner import CannotRun, Cell, CellRun, Room, memory, run_all

CELL_TIMEOUT = 15.0  # seconds
INTERRUPTED, DISTURBS = "interrupted", "disturbs checks"
VERDICTS = {  # for what a cell raised
    "SyntaxError": "syntax error",
    "IndentationError": "syntax error",
    "TabError": "syntax error",
    "SystemExit": "ended itself",
    "TooMuchOutput": "too much output",
}
NO_EXERCISES = (
    "no cell of this notebook belongs to an exercise of the course: that stands in the cells' metadata, which some "
    "programs drop"
)
ALONE = "a copy of the notebook is graded alone: put what it needs into one of its cells"
STATES = {  # what is wrong with an exercise's cells, and what grading did about it
    "answer missing": "the answer cell of {} is gone; `python -m lecture17 build --no-run` restores it",
    "answer not code": "the answer cell of {} is text: click on it, then press Esc and Y, which makes it code again",
    "check missing": "the check cell of {} is gone; the course's own check was used.",
    "check duplicated": "there is more than one check cell of {}; the course's own check was used.",
    "check edited": "the check cell of {} was changed; the course's own check was used.",
}


@dataclass(frozen=True)
class Grade:
    """What one exercise earned, and why. `verdict` is "passed" or says in two or three words what happened."""

    file: str
    exercise: str
    points: int
    earned: int
    verdict: str
    reason: str = ""  # the whole message; tables show its first line
    misconception: str = ""  # the mistake, if the check knew it
    remark: bool = False  # beside the exercises: a copy that is not counted, an own cell that did harm

    @property
    def missing(self) -> bool:
        """Whether points are missing, or a file that should have been graded."""
        return not self.remark and not 0 < self.points == self.earned

    @property
    def headline(self) -> str:
        """The reason in one line: what is wrong, and the mistake if the check knew it."""
        why = f"; you get this when {self.misconception}" if self.misconception else ""
        return self.reason.partition("\n")[0] + why


def grade(
    paths: list[Path], timeout: float = CELL_TIMEOUT, say: Callable[[str], object] = lambda _: None
) -> list[Grade]:
    """Grade notebooks, or folders of them, in order; every fault becomes a verdict, never an exception.

    Ctrl-C ends it: what is not graded by then is "interrupted". `say` is told if code could reach files and network.
    """
    files: list[Path] = []
    others: list[Grade] = []
    for path in paths:
        files += _counted(path, others) if path.is_dir() else [path]
    files = list({file.resolve(): file for file in files}.values())  # once, though named twice
    room = Room(timeout)
    beside = {p for folder in {f.parent for f in files} for p in folder.glob("*.ipynb")}
    kept = {p: p.read_bytes() for p in beside if p.is_file() and os.access(p, os.R_OK)}
    with ThreadPoolExecutor(max_workers=2) as pool:
        futures: list[Future[list[Grade]]] = []
        try:
            futures += [pool.submit(grade_file, file, room) for file in files]
            wait(futures)
        except KeyboardInterrupt:
            room.stop.set()
            if not futures:
                raise
    grades = [g for future in futures for g in future.result()] + others
    if room.unconfined:
        say(f"(graded code could reach the network and your files: {room.unconfined})")
        for path, content in kept.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                say(f"{path} was deleted during grading and has been restored")
    return grades


def _counted(folder: Path, others: list[Grade]) -> list[Path]:
    """The notebooks of a folder, each exercise once: a row in `others` says why another notebook does not count."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("[!.]*.ipynb"), key=lambda path: (path.stem not in exercises.stems(), path)):
        try:
            stem = _stem(read(path)) or path.stem
        except (NotANotebook, OSError):
            stem = path.stem
        if found.setdefault(stem, path) != path:
            reason = f"its exercises are those of {found[stem].name}, which counts; to grade it, give its name"
            others.append(Grade(str(path), path.name, 0, 0, "a copy", reason, remark=True))
    if not found:
        others.append(Grade(str(folder), folder.name, 0, 0, "no notebooks", f"there is no notebook in {folder}"))
    return sorted(found.values())


def grade_file(path: Path, room: Room) -> list[Grade]:
    """Grade one notebook file: a grade for each of its exercises, and one for each own cell that did harm."""
    items = exercises.of_notebook(path.stem) if path.stem in exercises.stems() else ()

    def none(verdict: str, reason: str) -> list[Grade]:
        return [Grade(str(path), path.name, sum(e.points for e in items), 0, verdict, reason)]

    if room.stop.is_set():
        return none(INTERRUPTED, "grading was interrupted before it began")
    if not path.is_file():
        return none("no such file", f"there is no file {path}")
    try:
        nb = read(path)
    except NotANotebook as error:
        return none("not a notebook", str(error))
    except OSError as error:
        return none("unreadable", str(error))
    stem = _stem(nb)
    if stem not in exercises.stems():
        if path.resolve().parent == home() / NOTEBOOKS:
            return none("no exercises", f"this is the lecture; exercises are in {EXERCISES}/, under the same name")
        mend = f": `python -m lecture17 build --no-run {path.stem}` puts them back beside your cells"
        return none("no exercises", NO_EXERCISES + mend * bool(items))
    items = exercises.of_notebook(stem)
    try:
        solution = read(home() / SOLUTIONS / f"{stem}.ipynb")
        checks = {e.id: c for e in items for c in solution.cells if _belongs(c, e)}
        imports = next(c.source for c in solution.cells if c.cell_type == "code")
        cells = _scratch(nb, items, checks, stem, imports)
        runs, ended = run_all(cells, stem, room)
    except UnicodeEncodeError as error:
        return none("not a notebook", f"a cell holds characters that are not text: {error.reason}")
    except (CannotRun, OSError) as error:
        return none("not graded", f"{error}: `python -m lecture17 doctor` looks for the reason")
    uses = reference_use.uses(nb, solution)
    states = {e.id: _state(nb, e, checks[e.id].source) for e in items}
    grades = [_verdict(str(path), e, states[e.id], cells, runs, uses.get(e.id, "")) for e in items]
    harmful = {i for i, run in runs.items() if run.changed} | ended
    return grades + [_own(str(path), stem, cells[i], runs[i]) for i in sorted(harmful) if cells[i].role == "own"]


def _own(file: str, stem: str, cell: Cell, run: CellRun) -> Grade:
    """A row without points for an own cell that ended the kernel, did not end, or changed what checks rely on."""
    verdict, reason = (DISTURBS, _undone(run)) if run.changed else _cause([run])
    begin = (cell.source.strip().splitlines() or [""])[0]
    reason = f"your own cell that begins with {begin!r} was skipped or undone: {reason}"
    return Grade(file, f"{stem} (own cell)", 0, 0, verdict, reason, remark=True)


def _undone(run: CellRun) -> str:
    return f"this changed {', '.join(run.changed)}; the change was undone before the checks ran."


def _stem(nb: NotebookNode) -> str:
    """The notebook of the course that most of the cells with a grade_id belong to, "" if none has one."""
    found = Counter((grade_id(c) or "").split("-", 1)[0] for c in nb.cells if grade_id(c))
    return found.most_common(1)[0][0] if found else ""


def _belongs(cell: NotebookNode, exercise: Exercise) -> bool:
    return is_check(cell) and grade_id(cell) == f"{exercise.id}-check"


def _state(nb: NotebookNode, exercise: Exercise, check: str) -> str:
    """What is wrong with the exercise's own cells: "" if all are as they were built."""
    found = [c for c in nb.cells if _belongs(c, exercise)]
    answers = [c.cell_type for c in nb.cells if is_answer(c) and grade_id(c) == exercise.id]
    if "code" not in answers:
        return "answer not code" if answers else "answer missing"
    if not found:
        return "check missing"
    if len(found) > 1:
        return "check duplicated"
    return "" if found[0].source.strip() == check.strip() and found[0].cell_type == "code" else "check edited"


def _places(nb: NotebookNode, exercise: Exercise) -> set[int]:
    """The cells after which to check: the exercise's check, and its last answer if that comes later or alone."""
    checks = [i for i, c in enumerate(nb.cells) if _belongs(c, exercise)]
    answers = [i for i, c in enumerate(nb.cells) if is_answer(c) and grade_id(c) == exercise.id]
    return {max(found) for found in (checks, checks + answers) if found} or {len(nb.cells) - 1}


def _scratch(
    nb: NotebookNode, items: tuple[Exercise, ...], checks: dict[str, NotebookNode], stem: str, imports: str
) -> list[Cell]:
    """The code cells to run: the learner's, and each check as the course built it, where `_places` says."""
    places = {e.id: _places(nb, e) for e in items}
    tampering = "import lecture17.grading.tampering as _tampering\n_tampering"
    cells = [Cell("begin", "", f"{tampering}.begin({stem!r}, {memory()}, {imports!r})")]
    for i, cell in enumerate(nb.cells):
        if cell.cell_type == "code" and not is_check(cell):
            owner = (grade_id(cell) or "") if is_answer(cell) else ""
            cells.append(Cell("answer" if owner else "own", owner, cell.source))
        for e in items:
            if i in places[e.id]:
                cells.append(Cell("check", e.id, f"{tampering}.guard.check({TOKEN!r}, {checks[e.id].source!r})"))
    return cells


def _verdict(
    file: str, exercise: Exercise, state: str, cells: list[Cell], runs: dict[int, CellRun], uses: str
) -> Grade:
    """The grade of an exercise, from how its cells ran and the state they were found in."""

    mine = {
        role: [runs[i] for i, c in enumerate(cells) if (c.role, c.owner) == (role, exercise.id) and i in runs]
        for role in ("answer", "check")
    }
    if not mine["check"]:
        reason = "grading was interrupted before this exercise"
        return Grade(file, exercise.id, exercise.points, 0, INTERRUPTED, reason)
    check = next((c for c in mine["check"] if _told(c, exercise, PASSED)), mine["check"][-1])
    record = check.record if _told(check, exercise) else None
    if record:
        verdict, reason = record.status, "" if record.status == PASSED else "\n".join([record.summary, *record.details])
    elif check.changed:
        verdict, reason = DISTURBS, f"this changed {', '.join(check.changed)} while it was checked"
    else:
        verdict, reason = _cause([*mine["answer"], check])
    first, *rest = reason.split("\n")
    if re.search(r"\b(ModuleNotFoundError|FileNotFoundError)\b", first) and _lies_beside(Path(file).parent, first):
        reason = "\n".join([f"{first}; {ALONE}", *rest])
    passed = verdict == PASSED
    found = STATES[state].format(exercise.id) if state else "".join(_undone(r) for r in mine["answer"] if r.changed)
    no_answer = state in ("answer missing", "answer not code")
    if found and not (no_answer and passed):
        verdict = state or DISTURBS
        reason = found if passed or no_answer else f"{found} {reason}"
    if uses and passed:
        reason = f"uses the reference: {uses}{f'. {reason}' if reason else ''}"
    earned, misconception = exercise.points if passed else 0, record.misconception if record else ""
    return Grade(file, exercise.id, exercise.points, earned, verdict, reason, misconception)


def _lies_beside(folder: Path, message: str) -> bool:
    """Whether a message names a file of this folder, or a module that is one."""
    found = [word.strip(".") for word in re.findall(r"[\w./-]+", message)]
    return any((folder / name).is_file() or (folder / f"{name.split('.')[0]}.py").is_file() for name in found)


def _told(check: CellRun, exercise: Exercise, status: str = "") -> bool:
    """Whether this check left a record of this exercise (with this status, if one is given) that can be trusted."""
    record = check.record
    return bool(record and record.exercise == exercise.id and status in ("", record.status) and not check.changed)


def _cause(runs: list[CellRun]) -> tuple[str, str]:
    """Verdict and reason where there is no record: from the first cell that ended badly."""
    for run in runs:
        if run.status == "died":
            unknown = "the kernel's process ended while this ran (os._exit, exit(), or a crash)"
            return run.cause or "kernel died", run.reason or unknown
        if run.status == "timed out":
            return "timed out", "it did not finish in the time that a cell may take: is there an endless loop?"
    for run in runs:
        if run.cause:
            memory_error = run.cause.endswith("MemoryError")
            return "out of memory" if memory_error else VERDICTS.get(run.cause, "error"), run.reason
    return "not checked", "the check left no record: does a cell of this notebook change how cells are run?"
