"""CONTRIBUTING.md, followed to the letter in a copy of the repository, adds an exercise that grades as it should."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from lecture17.course.notebooks import grade_id, is_answer, read, write
from tests.conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NEW = "00_quickstart-decay-mask"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def insert(path: Path, text: str, before: str) -> None:
    old = path.read_text(encoding="utf-8")
    assert old.count(before) == 1
    path.write_text(old.replace(before, text + before), encoding="utf-8")


def test_the_page_adds_an_exercise_that_earns_nothing_empty_and_everything_solved(tmp_path: Path) -> None:
    copy = tmp_path / "lecture17"
    left = shutil.ignore_patterns(".*", "build", "__pycache__", "*.egg-info", "screenshots")
    shutil.copytree(ROOT, copy, ignore=left)
    exercises_of = "lecture17/course/exercises/ex_00_quickstart.py"
    assert f"In `{exercises_of}`, as the last of `EXERCISES`:" in PAGE
    assert "In `solutions/00_quickstart.py`, before `# ## Where next` and its `# %% [markdown]`:" in PAGE
    assert "In `README.md` and in `tests/course/test_exercises.py`:" in PAGE
    cells, entry = blocks("python")
    insert(copy / "solutions" / "00_quickstart.py", cells, "# %% [markdown]\n# ## Where next")
    (copy / exercises_of).write_text((ROOT / exercises_of).read_text().removesuffix(")\n") + entry + ")\n")
    (changes,) = blocks("diff")
    for name, (old, new) in zip(
        ("README.md", "tests/course/test_exercises.py"), re.findall(r"^-(.*)\n\+(.*)$", changes, re.M), strict=True
    ):
        text = (copy / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has no {old}"
        (copy / name).write_text(text.replace(old, new), encoding="utf-8")

    (commands,) = blocks("sh")
    build, grade, test = [command.replace("python", sys.executable, 1) for command in commands.splitlines()]
    own = os.environ | {"PYTHONPATH": str(copy), "LECTURE17_HOME": str(copy)}

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command.split(), cwd=copy, env=own, capture_output=True, text=True, check=False)

    built = run(build)
    assert built.returncode == 0, built.stderr
    graded = run(grade)
    assert re.search(rf"{NEW} +0 of 2 +not filled in", graded.stdout), graded.stdout + graded.stderr
    path = copy / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    assert "BEGIN SOLUTION" not in str(nb.cells)
    answers = {grade_id(c): c.source for c in read(copy / "solutions" / path.name).cells if is_answer(c)}
    for cell in nb.cells:
        if is_answer(cell):
            cell.source = answers[grade_id(cell)]
    write(nb, path)
    graded = run(grade)
    assert "5 of 5 points" in graded.stdout, graded.stdout + graded.stderr
    tested = run(f"{test} -v -p no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    assert f"test_every_mutant_of_the_solution_is_rejected[{NEW}] PASSED" in tested.stdout
    lint = run(f"{sys.executable} -m ruff check solutions lecture17")
    assert lint.returncode == 0, lint.stdout
