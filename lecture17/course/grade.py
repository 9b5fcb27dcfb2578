"""Grading: nbval on a scratch copy in which the course's own checks are put back, and a verdict per exercise.

The learner's file is read once and never written. A cell that kills the kernel costs its own exercise only: the
others are run again without it.
"""

import json
import os
import re
import textwrap
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from nbformat import NotebookNode

from . import borrowed, exercises
from .checking import UNFILLED
from .exercise import Exercise
from .notebooks import NotANotebook, grade_id, is_answer, is_check, read
from .paths import SOLUTIONS, home
from .running import CannotRun, Cell, Outcome, Room, memory, run_all

CELL_TIMEOUT = 15.0  # seconds
PASSED, INTERRUPTED, DISTURBS = "passed", "interrupted", "disturbs checks"
VERDICTS = {  # what the last line of a traceback, or of a check's message, tells
    r"(SyntaxError|IndentationError|TabError)\b": "syntax error",
    r"(raised )?\w*MemoryError\b": "out of memory",
    r"TooMuchOutput\b": "too much output",
    r"SystemExit\b": "ended itself",
    r"this changed\b": DISTURBS,
}
STATES = {  # how an exercise's cells were found, where not as they were made
    "answer missing": "the answer cell of {} is gone; `python -m lecture17 build --no-run` puts it back",
    "check missing": "the check cell of {} is gone; it was graded by the course's own.",
    "check duplicated": "there is more than one check cell of {}; it was graded by the course's own.",
    "check edited": "the check cell of {} was changed; it was graded by the course's own.",
    DISTURBS: "{}",
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

    @property
    def headline(self) -> str:
        """The reason in one line: what is wrong, and the mistake where the check knew it."""
        why = re.search(r"this is what you get when (.*?): ", " ".join(self.reason.split()))
        return self.reason.partition("\n")[0] + (f"; you get this when {why[1]}" if why else "")


def grade(
    paths: list[Path], timeout: float = CELL_TIMEOUT, say: Callable[[str], object] = lambda _: None
) -> list[Grade]:
    """Grade notebooks, or folders of them, in order; every fault becomes a verdict, none an exception.

    Ctrl-C ends it: what was not graded by then is "interrupted". `say` is told where files and network are in reach.
    """
    files: list[Path] = []
    for path in paths:
        files += sorted(path.glob("*.ipynb")) if path.is_dir() else [path]
    room = Room(timeout)
    kept = {p: p.read_bytes() for folder in {f.parent for f in files} for p in _readable(folder)}
    with ThreadPoolExecutor(max_workers=2) as pool:
        futures: list[Future[list[Grade]]] = []
        try:
            futures += [pool.submit(grade_file, file, room) for file in files]
            grades = [g for future in futures for g in future.result()]
        except KeyboardInterrupt:
            room.stop.set()
            if not futures:
                raise
            grades = [g for future in futures for g in future.result()]
    if room.unconfined:
        say(f"(network and files were in reach of what was graded: {room.unconfined})")
        for path, content in kept.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                say(f"{path} was deleted while grading; it is back")
    return grades


def _readable(folder: Path) -> list[Path]:
    return [p for p in folder.glob("*.ipynb") if p.is_file() and os.access(p, os.R_OK)]


def grade_file(path: Path, room: Room) -> list[Grade]:
    """Grade one notebook file: a grade per exercise that belongs to it, and one per own cell that did harm."""
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
        return none("no exercises", "no cell of this notebook belongs to an exercise of the course")
    items = exercises.of_notebook(stem)
    try:
        solution = read(home() / SOLUTIONS / f"{stem}.ipynb")
        checks = {e.id: c for e in items for c in solution.cells if _belongs(c, e)}
        cells = _scratch(nb, items, checks, stem)
        outcomes, ended = run_all(cells, stem, room)
    except UnicodeEncodeError as error:
        return none("not a notebook", f"a cell holds what is no text: {error.reason}")
    except (CannotRun, OSError) as error:
        return none("not graded", f"{error}: `python -m lecture17 doctor` looks for the reason")
    uses = borrowed.uses(nb, solution)
    states = {e.id: _state(nb, e, checks[e.id].source) for e in items}
    grades = [_verdict(str(path), e, states[e.id], cells, outcomes, uses.get(e.id, "")) for e in items]
    return grades + [_own(str(path), stem, cells, i, outcomes) for i in sorted(_harmful(cells, outcomes, ended))]


def _harmful(cells: list[Cell], outcomes: dict[int, Outcome], ended: set[int]) -> set[int]:
    """The learner's own cells that ended the kernel, did not end, or changed what checks stand on."""
    failed = {i for i, outcome in outcomes.items() if outcome.status == "failed"}
    changed = {i - 1 for i in failed if cells[i].role == "seal"}
    return {i for i in ended | changed if cells[i].role == "own"}


def _own(file: str, stem: str, cells: list[Cell], i: int, outcomes: dict[int, Outcome]) -> Grade:
    """A row without points for an own cell that did harm."""
    verdict, reason = _cause([outcomes[i]], outcomes.get(i + 1, Outcome("failed")))
    begin = (cells[i].source.strip().splitlines() or [""])[0]
    reason = f"your own cell that begins {begin!r} was left out, or undone: {reason}"
    return Grade(file, f"{stem} (own cell)", 0, 0, verdict, reason)


def _stem(nb: NotebookNode) -> str:
    """The notebook of the course that most of the cells with a grade_id belong to, "" if none has one."""
    found = Counter((grade_id(c) or "").split("-", 1)[0] for c in nb.cells if grade_id(c))
    return found.most_common(1)[0][0] if found else ""


def _belongs(cell: NotebookNode, exercise: Exercise) -> bool:
    return is_check(cell) and grade_id(cell) == f"{exercise.id}-check"


def _state(nb: NotebookNode, exercise: Exercise, check: str) -> str:
    """What became of the exercise's own cells: "" where all are as they were made."""
    found = [c for c in nb.cells if _belongs(c, exercise)]
    if not any(is_answer(c) and grade_id(c) == exercise.id for c in nb.cells):
        return "answer missing"
    if not found:
        return "check missing"
    if len(found) > 1:
        return "check duplicated"
    return "" if found[0].source.strip() == check.strip() and found[0].cell_type == "code" else "check edited"


def _scratch(nb: NotebookNode, items: tuple[Exercise, ...], checks: dict[str, NotebookNode], stem: str) -> list[Cell]:
    """The code cells to run: the learner's, and each check as the course made it, after its exercise's last cell."""
    last = {e.id: len(nb.cells) - 1 for e in items}
    for i, cell in enumerate(nb.cells):
        owner = (grade_id(cell) or "").removesuffix("-check")
        if owner in last and (is_answer(cell) or is_check(cell)):
            last[owner] = i
    cells = [Cell("begin", "", f"from lecture17.course import sealed\nsealed.begin({stem!r}, {memory()})")]
    for i, cell in enumerate(nb.cells):
        if cell.cell_type == "code" and not is_check(cell):
            owner = (grade_id(cell) or "") if is_answer(cell) else ""
            cells.append(Cell("answer" if owner else "own", owner, cell.source))
            cells.append(Cell("seal", owner, "from lecture17.course import sealed\nsealed.seal.examine()"))
        for e in items:
            if last[e.id] == i:
                check = "from lecture17.course import check\n" + checks[e.id].source
                source = f"from lecture17.course import sealed\nwith sealed.seal:\n{textwrap.indent(check, '    ')}"
                cells.append(Cell("check", e.id, source))
    return cells


def _verdict(
    file: str, exercise: Exercise, state: str, cells: list[Cell], outcomes: dict[int, Outcome], uses: str
) -> Grade:
    """What the outcomes of an exercise's cells, and the state they were found in, come to."""
    mine = {i: c.role for i, c in enumerate(cells) if c.owner == exercise.id}
    check = next((outcomes[i] for i in mine if mine[i] == "check" and i in outcomes), None)
    if check is None:
        reason = "grading was interrupted before its verdict"
        return Grade(file, exercise.id, exercise.points, 0, INTERRUPTED, reason)
    verdict, reason = _cause([outcomes[i] for i in mine if mine[i] == "answer" and i in outcomes], check)
    changed = [outcomes[i].text for i in mine if mine[i] == "seal" and i in outcomes and outcomes[i].status == "failed"]
    state = state or (DISTURBS if changed else "")
    if state and not (state == "answer missing" and verdict == PASSED):
        found = STATES[state].format(changed[0] if state == DISTURBS else exercise.id)
        verdict, reason = state, found if verdict == PASSED or state == "answer missing" else f"{found} {reason}"
    if uses and check.status == PASSED:
        reason = f"uses the reference: {uses}{f'. {reason}' if reason else ''}"
    return Grade(file, exercise.id, exercise.points, exercise.points if check.status == PASSED else 0, verdict, reason)


def _cause(answers: list[Outcome], check: Outcome) -> tuple[str, str]:
    """Verdict and reason from what running the answer and the check gave."""
    if check.status == PASSED:
        return PASSED, ""
    for outcome in (*answers, check):
        if outcome.status == "died":
            found, _, reason = outcome.text.partition(": ")
            if reason:
                return found, reason
            return "kernel died", "the kernel's process ended while this ran (os._exit, exit(), or a crash)"
        if outcome.status == "timeout":
            return "timed out", "it did not finish in the time a cell is given: is there an endless loop?"
    if check.text.startswith("✗"):
        first, tried, rest = check.text.split(": ", 1)[1].partition("\n  tried: ")
        message = " ".join(first.split()) + tried + rest
        if message.startswith(UNFILLED):
            return "not filled in", message.removeprefix(UNFILLED)
        return _named(message, "wrong"), message
    broken = next((a for a in answers if a.status == "failed"), check)
    last = broken.text.splitlines()[-1] if broken.text else "the cell failed without a message"
    return _named(last, "error"), last if last == broken.text else f"{last}\n{broken.text}"


def _named(line: str, otherwise: str) -> str:
    """The verdict that a line tells."""
    return next((verdict for pattern, verdict in VERDICTS.items() if re.match(pattern, line)), otherwise)


def total(grades: list[Grade]) -> tuple[int, int]:
    """Points earned, and points there were to earn."""
    return sum(g.earned for g in grades), sum(g.points for g in grades)


def to_json(grades: list[Grade]) -> str:
    """The grades as JSON: total, and a record each with the whole reason."""
    earned, points = total(grades)
    return json.dumps({"earned": earned, "points": points, "exercises": [asdict(g) for g in grades]}, indent=1) + "\n"


def to_junit(grades: list[Grade]) -> str:
    """The grades as JUnit XML: a test case an exercise, failed where the verdict is not "passed"."""
    failed = [g for g in grades if g.verdict != PASSED]
    suite = ET.Element("testsuite", name="lecture17", tests=str(len(grades)), failures=str(len(failed)))
    for g in grades:
        case = ET.SubElement(suite, "testcase", classname=Path(g.file).stem, name=g.exercise)
        if g.verdict == PASSED and g.reason:
            ET.SubElement(case, "system-out").text = _printable(g.reason)
        if g.verdict != PASSED:
            ET.SubElement(case, "failure", message=f"{g.verdict}: {g.headline}").text = _printable(g.reason)
    return ET.tostring(suite, encoding="unicode") + "\n"


def to_markdown(grades: list[Grade]) -> str:
    """The grades as a Markdown table, as job summaries show it."""
    earned, points = total(grades)
    rows = [f"| {g.exercise} | {g.earned} of {g.points} | {g.verdict} | {_cell(g.headline)} |" for g in grades]
    head = ["| exercise | points | verdict | reason |", "| --- | --- | --- | --- |"]
    return "\n".join([f"**{earned} of {points} points**", "", *head, *rows]) + "\n"


def _cell(text: str) -> str:
    """Text that neither ends a table's cell nor becomes markup: it may hold what a learner's code printed."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", _printable(text).replace("\n", " "))


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())
