"""A class with nbgrader, by the commands of docs/classes.md: its scores are those of `python -m lecture17 grade`."""

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

from nbformat import NotebookNode

from lecture17.course import exercises
from lecture17.course.notebooks import grade_id, is_answer, read, write
from lecture17.grading.grade import grade
from tests.conftest import ROOT

STUDENTS = ("right", "wrong", "empty")
SCORES = """
    SELECT submitted_assignment.student_id, base_cell.name, coalesce(grade.auto_score, 0), grade_cells.max_score
    FROM grade JOIN grade_cells ON grade.cell_id = grade_cells.id JOIN base_cell ON base_cell.id = grade_cells.id
    JOIN submitted_notebook ON grade.notebook_id = submitted_notebook.id
    JOIN submitted_assignment ON submitted_notebook.assignment_id = submitted_assignment.id
"""


def submit(student: str, nb: NotebookNode, solutions: dict[str | None, str]) -> NotebookNode:
    """What a student hands in: everything right; the first right, then one wrong and one that is no Python; nothing."""
    answers = [c for c in nb.cells if is_answer(c)]
    if student == "right":
        for cell in answers:
            cell.source = solutions[grade_id(cell)]
    elif student == "wrong":
        answers[0].source = solutions[grade_id(answers[0])]
        for cell, body in zip(answers[1:], ("    return args[0]", "    return ("), strict=False):
            name = re.search(r"def (\w+)", cell.source)
            assert name is not None
            cell.source = f"def {name[1]}(*args):\n{body}"
    return nb


def test_scores_of_a_class_are_those_of_grade(clone: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "classes.md").read_text(encoding="utf-8").split("## A class")[1]
    prepare, collect = re.findall(r"^```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[:2]
    own = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LECTURE17_HOME": str(tmp_path / "elsewhere"),  # a grader's machine need not have a clone
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
    }

    def run(commands: str, folder: Path) -> None:
        done = subprocess.run(
            ["bash", "-e", "-c", commands], cwd=folder, env=own, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "App | INFO]" in done.stderr
        assert re.findall(r".*App \| (?:WARNING|ERROR|CRITICAL)\].*", done.stderr) == []

    run(prepare, clone)
    course = clone / "course"
    (released,) = (course / "release").iterdir()
    (notebook,) = released.glob("*.ipynb")
    cells = read(clone / "solutions" / notebook.name).cells
    solutions = {grade_id(c): c.source for c in cells if is_answer(c)}
    for student in STUDENTS:
        target = course / "submitted" / student / released.name / notebook.name
        write(submit(student, read(notebook), solutions), target)
    run(collect, course)

    with sqlite3.connect(course / "gradebook.db") as gradebook:
        scores = {(who, name.removesuffix("-check")): (got, of) for who, name, got, of in gradebook.execute(SCORES)}
    graded = {
        (student, g.exercise): (g.earned, g.points)
        for student in STUDENTS
        for g in grade([course / "submitted" / student / released.name])
    }
    assert scores == graded
    sums = {student: sum(got for (who, _), (got, _) in graded.items() if who == student) for student in STUDENTS}
    points = [e.points for e in exercises.of_notebook(notebook.stem)]
    assert sums == {"right": sum(points), "wrong": points[0], "empty": 0}
    assert not (clone / ".lecture17").exists(), "grading others' work is not one's own progress"
    assert not (tmp_path / "elsewhere").exists()
