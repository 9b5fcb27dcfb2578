"""Grading: nbval on a scratch copy in which the course's own checks are put back, and a verdict per exercise.

The learner's file is read once and never written. A cell that kills the kernel costs its own exercise only: the
others are run again without it.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from nbformat import NotebookNode, v4

from . import exercises, nbval_report
from .checking import UNFILLED
from .exercise import Exercise
from .notebooks import NotANotebook, grade_id, is_answer, is_check, read, write
from .paths import SOLUTIONS, home

CELL_TIMEOUT = 15.0  # seconds
PASSED = "passed"
SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")
STATES = {  # how an exercise's cells were found, where not as they were made
    "answer missing": "the answer cell of {} is gone; `python -m lecture17 build --no-run` puts it back",
    "check missing": "the check cell of {} is gone; it was graded by the course's own.",
    "check duplicated": "there is more than one check cell of {}; it was graded by the course's own.",
    "check edited": "the check cell of {} was changed; it was graded by the course's own.",
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


@dataclass(frozen=True)
class Outcome:
    """What came of running one cell: "passed", "failed", "timeout", "died" or "not run", and its traceback."""

    status: str
    text: str = ""


@dataclass(frozen=True)
class Cell:
    """A code cell of the scratch copy: the role it plays ("answer", "check" or "own"), and for which exercise."""

    role: str
    owner: str
    source: str


def grade(paths: list[Path], timeout: float = CELL_TIMEOUT) -> list[Grade]:
    """Grade notebooks, or folders of them, in order; every fault becomes a verdict, none an exception."""
    files: list[Path] = []
    for path in paths:
        files += sorted(path.glob("*.ipynb")) if path.is_dir() else [path]
    with ThreadPoolExecutor(max_workers=2) as pool:
        return [g for grades in pool.map(lambda f: grade_file(f, timeout), files) for g in grades]


def grade_file(path: Path, timeout: float = CELL_TIMEOUT) -> list[Grade]:
    """Grade one notebook file: a grade per exercise that belongs to it, and one per own cell that killed the kernel."""
    items = exercises.of_notebook(path.stem) if path.stem in exercises.stems() else ()

    def none(verdict: str, reason: str) -> list[Grade]:
        return [Grade(str(path), path.name, sum(e.points for e in items), 0, verdict, reason)]

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
    checks = {e.id: c for e in items for c in read(home() / SOLUTIONS / f"{stem}.ipynb").cells if _belongs(c, e)}
    states = {e.id: _state(nb, e, checks[e.id].source) for e in items}
    cells = _scratch(nb, items, checks)
    outcomes, culprits = _run_all(cells, stem, timeout)
    grades = [_verdict(str(path), e, states[e.id], cells, outcomes) for e in items]
    for i in culprits:
        if cells[i].role == "own":
            reason = (
                f"your own cell that begins {cells[i].source.splitlines()[0]!r} ended the kernel; graded without it"
            )
            grades.append(Grade(str(path), f"{stem} (own cell)", 0, 0, "kernel died", reason))
    return grades


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


def _scratch(nb: NotebookNode, items: tuple[Exercise, ...], checks: dict[str, NotebookNode]) -> list[Cell]:
    """The code cells to run: the learner's, and each check as the course made it, after its exercise's last cell."""
    last = {e.id: len(nb.cells) - 1 for e in items}
    for i, cell in enumerate(nb.cells):
        owner = (grade_id(cell) or "").removesuffix("-check")
        if owner in last and (is_answer(cell) or is_check(cell)):
            last[owner] = i
    cells: list[Cell] = []
    for i, cell in enumerate(nb.cells):
        if cell.cell_type == "code" and not is_check(cell):
            owner = (grade_id(cell) or "") if is_answer(cell) else ""
            cells.append(Cell("answer" if owner else "own", owner, cell.source))
        for e in items:
            if last[e.id] == i:
                cells.append(Cell("check", e.id, f"from lecture17.course import check\n{checks[e.id].source}"))
    return cells


def _run_all(cells: list[Cell], stem: str, timeout: float) -> tuple[dict[int, Outcome], list[int]]:
    """Run the cells; where one kills the kernel, run what was not graded again without it.

    Returns the outcome of each cell that ran, and the cells that killed the kernel.
    """
    outcomes: dict[int, Outcome] = {}
    culprits: list[int] = []
    while True:
        left = [
            i
            for i, cell in enumerate(cells)
            if i not in outcomes or (cell.role != "check" and outcomes[i].status not in ("died", "timeout"))
        ]
        if not any(cells[i].role == "check" for i in left):
            return outcomes, culprits
        results = dict(zip(left, _nbval([cells[i].source for i in left], stem, timeout), strict=True))
        ran = {i: outcome for i, outcome in results.items() if outcome.status != "not run"}
        outcomes |= ran
        if len(ran) == len(left):
            return outcomes, culprits
        if not ran:
            raise RuntimeError(f"nbval ran no cell of {stem}: `python -m lecture17 doctor` looks for the reason")
        culprits.append(max(ran))


def _nbval(sources: list[str], stem: str, timeout: float) -> list[Outcome]:
    """Run cells by nbval in a scratch folder, in a process of its own; the outcome of each, in order."""
    with tempfile.TemporaryDirectory(prefix="lecture17-grade-") as scratch:
        notebook, report = Path(scratch) / f"{stem}.ipynb", Path(scratch) / "report.jsonl"
        write(v4.new_notebook(cells=[v4.new_code_cell(s, id=f"cell-{i}") for i, s in enumerate(sources)]), notebook)
        report.touch()
        settings = Path(scratch) / "pytest.ini"
        settings.write_text("[pytest]\n")
        command = [sys.executable, "-m", "pytest", "-q", "-c", str(settings), "-p", "no:cacheprovider"]
        command += ["-p", "nbval.plugin", "-p", nbval_report.__name__]
        command += ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={timeout:g}", str(notebook)]
        environment = os.environ | {nbval_report.REPORT: str(report), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        with contextlib.suppress(subprocess.TimeoutExpired):  # what was reported until then counts
            limit = 120 + len(sources) * (timeout + 10)
            subprocess.run(command, cwd=scratch, env=environment, capture_output=True, timeout=limit, check=False)
        outcomes = [Outcome("not run")] * len(sources)
        for line in report.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            outcomes[entry["cell"]] = Outcome(entry["status"], entry["text"])
        return outcomes


def _verdict(file: str, exercise: Exercise, state: str, cells: list[Cell], outcomes: dict[int, Outcome]) -> Grade:
    """What the outcomes of an exercise's cells, and the state they were found in, come to."""
    answers = [
        outcomes[i] for i, c in enumerate(cells) if c.role == "answer" and c.owner == exercise.id and i in outcomes
    ]
    check = next(outcomes[i] for i, c in enumerate(cells) if c.role == "check" and c.owner == exercise.id)
    verdict, reason = _cause(answers, check)
    if state and not (state == "answer missing" and verdict == PASSED):
        found = STATES[state].format(exercise.id)
        verdict, reason = state, found if verdict == PASSED or state == "answer missing" else f"{found} {reason}"
    return Grade(file, exercise.id, exercise.points, exercise.points if check.status == PASSED else 0, verdict, reason)


def _cause(answers: list[Outcome], check: Outcome) -> tuple[str, str]:
    """Verdict and reason from what running the answer and the check gave."""
    if check.status == PASSED:
        return PASSED, ""
    for outcome in (*answers, check):
        if outcome.status == "died":
            return "kernel died", "the kernel's process ended while this ran (os._exit, a crash, or out of memory)"
        if outcome.status == "timeout":
            return "timed out", "it did not finish in the time a cell is given: is there an endless loop?"
    if check.text.startswith("✗"):
        first, tried, rest = check.text.split(": ", 1)[1].partition("\n  tried: ")
        message = " ".join(first.split()) + tried + rest
        if message.startswith(UNFILLED):
            return "not filled in", message.removeprefix(UNFILLED)
        return "wrong", message
    broken = next((a for a in answers if a.status == "failed"), check)
    last = broken.text.splitlines()[-1] if broken.text else "the cell failed without a message"
    return ("syntax error" if last.startswith(SYNTAX_ERRORS) else "error"), f"{last}\n{broken.text}"


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
