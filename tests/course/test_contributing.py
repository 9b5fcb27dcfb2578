"""CONTRIBUTING.md, followed to the letter in a copy: the exercise grades, and the mixer is one like the others."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lecture17.course.notebooks import grade_id, is_answer, read, write
from tests.conftest import ROOT
from tests.npm import bundle, installed

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXERCISE, MIXER = (PAGE.split(f"\n## A{word}\n")[1].split("\n## A ")[0] for word in ("n exercise", " mixer"))
NEW = "01_tour-decay-mask"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name}: {old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def insert(path: Path, text: str, before: str) -> None:
    replace(path, before, text + before)


def unless_followed(path: str, word: str) -> pytest.MarkDecorator:
    """Where somebody tries the page, what it adds is there already."""
    file = ROOT / path
    followed = file.exists() and word in file.read_text(encoding="utf-8")
    return pytest.mark.skipif(followed, reason="the recipe has been followed in this clone")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository."""
    left = shutil.ignore_patterns(".*", "build", "__pycache__", "*.egg-info", "screenshots", "node_modules")
    return shutil.copytree(ROOT, tmp_path / "lecture17", ignore=left)


def run(copy: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run what begins with `python` by this one, in the copy and on its package."""
    own = os.environ | {"PYTHONPATH": str(copy), "LECTURE17_HOME": str(copy)}
    words = command.replace("python", sys.executable, 1).split()
    return subprocess.run(words, cwd=copy, env=own, capture_output=True, text=True, check=False)


def lint(copy: Path) -> None:
    done = run(copy, "python -m ruff check solutions notebooks lecture17")
    assert done.returncode == 0, done.stdout


@unless_followed("solutions/01_tour.py", NEW)
def test_the_page_adds_an_exercise_that_earns_nothing_empty_and_everything_solved(copy: Path) -> None:
    exercises_of = "lecture17/course/exercises/ex_01_tour.py"
    assert f"In `{exercises_of}`, before `EXERCISES`:" in EXERCISE
    assert "In `solutions/01_tour.py`, before `# ## Where next` and its `# %% [markdown]`:" in EXERCISE
    cells, entry = blocks(EXERCISE, "python")
    insert(copy / "solutions" / "01_tour.py", cells, "# %% [markdown]\n# ## Where next")
    insert(copy / exercises_of, entry, "EXERCISES = (")
    for name, changes in zip((exercises_of, "README.md"), blocks(EXERCISE, "diff"), strict=True):
        [(old, new)] = re.findall(r"^-(.*)\n\+(.*)$", changes, re.MULTILINE)
        replace(copy / name, old, new)

    (commands,) = blocks(EXERCISE, "sh")
    build, grade, test = commands.splitlines()
    built = run(copy, build)
    assert built.returncode == 0, built.stderr
    graded = run(copy, grade)
    assert re.search(rf"{NEW} +0 of 2 +not filled in", graded.stdout), graded.stdout + graded.stderr
    path = copy / "exercises" / "01_tour.ipynb"
    nb = read(path)
    assert "BEGIN SOLUTION" not in str(nb.cells)
    answers = {grade_id(c): c.source for c in read(copy / "solutions" / path.name).cells if is_answer(c)}
    for cell in nb.cells:
        if is_answer(cell):
            cell.source = answers[grade_id(cell)]
    write(nb, path)
    graded = run(copy, grade)
    assert "18 of 18 points" in graded.stdout, graded.stdout + graded.stderr
    tested = run(copy, f"{test} tests/test_notebooks.py -v -p no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    assert f"test_every_mutant_of_the_solution_is_rejected[{NEW}] PASSED" in tested.stdout
    lint(copy)


@unless_followed("lecture17/reference/weighted.py", "def matrix")
def test_the_page_adds_a_mixer_that_everything_about_mixers_takes(copy: Path, request: pytest.FixtureRequest) -> None:
    assert "In `lecture17/reference/weighted.py`:" in MIXER
    assert "In `lecture17/ops/weighted.py`:" in MIXER
    assert "In `lecture17/mixers.py`, as the last of `_ROWS`:" in MIXER
    assert "In `notebooks/03c_family.py`, before `# ## Recap`:" in MIXER
    of_reference, of_ops, row, cell = blocks(MIXER, "python")
    (copy / "lecture17/reference/weighted.py").write_text(of_reference, encoding="utf-8")
    (copy / "lecture17/ops/weighted.py").write_text(of_ops, encoding="utf-8")
    insert(copy / "lecture17/mixers.py", row, ")\nMIXERS = ")
    insert(copy / "notebooks/03c_family.py", cell, "# ## Recap\n")
    assert "In `lecture17/widgets/js/sequence.js`, as the first of `TOKENS`:" in MIXER
    (rule,) = blocks(MIXER, "js")
    insert(copy / "lecture17/widgets/js/sequence.js", rule, "  linear_attention: (s) =>")
    bundle(installed(request, copy / "lecture17/widgets/js"), copy / "lecture17/widgets/explorers.js")
    twins = run(
        copy, "python -m pytest tests/widgets/test_twins.py -k semiseparable_explorer_computes -p no:cacheprovider"
    )
    assert twins.returncode == 0, twins.stdout
    (command,) = blocks(MIXER, "sh")
    tested = run(copy, f"{command.strip()} -v -p no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    for kind in ("row_names_what_there_is", "all_forms_give_the_same", "every_form_is_the_reference"):
        assert re.search(rf"{kind}.*weighted.* PASSED", tested.stdout), tested.stdout
    lint(copy)
