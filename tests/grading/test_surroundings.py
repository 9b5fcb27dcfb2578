"""Grading whatever surrounds it: variables of the caller's environment, slow imports, a kernel that does not start."""

import os
from pathlib import Path

import pytest

from lecture17.course.notebooks import is_answer, read, write
from lecture17.grading.grade import grade
from tests.conftest import ROOT

Patch = pytest.MonkeyPatch
OTHERS = {
    "PYTEST_ADDOPTS": "-n 4 --maxfail=1",
    "PYTEST_PLUGINS": "there.is.no.such.plugin",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONSTARTUP": "/nowhere",
    "PYTHONBREAKPOINT": "nothing",
    "JUPYTER_CONFIG_PATH": "/nowhere",
    "MPLBACKEND": "nonsense",
    "A_SECRET": "token",
}


def beside(clone: Path, patch: Patch, name: str, source: str) -> None:
    """A module that every Python finds first."""
    (clone / "path").mkdir()
    (clone / "path" / name).write_text(source)
    patch.setenv("PYTHONPATH", f"{clone / 'path'}{os.pathsep}{ROOT}")


def test_nothing_of_the_callers_environment_changes_a_verdict(clone: Path, monkeypatch: Patch) -> None:
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    path = clone / "solutions" / "00_quickstart.ipynb"
    nb = read(path)
    cell = next(filter(is_answer, nb.cells))
    alone = f"import os\nassert not {OTHERS!r}.items() & os.environ.items() and 'PATH' in os.environ\n"
    cell.source = alone + cell.source
    write(nb, path)
    assert [(g.verdict, g.reason) for g in grade([path])] == [("passed", "")]


def test_what_the_course_imports_is_not_the_learners_time(clone: Path, monkeypatch: Patch) -> None:
    slow = (
        "import sys, time\nclass Slow:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n            sys.meta_path.remove(self)\n"
        "            while time.process_time() < 6: pass\nsys.meta_path.insert(0, Slow())\n"
    )
    beside(clone, monkeypatch, "sitecustomize.py", slow)
    grades = grade([clone / "exercises" / "04a_torch.ipynb"], timeout=4)
    assert {g.verdict for g in grades} == {"not filled in"}, grades


def test_why_nothing_could_be_run_is_said(clone: Path, monkeypatch: Patch) -> None:
    beside(clone, monkeypatch, "ipykernel_launcher.py", "raise SystemExit(1)")
    [only] = grade([clone / "solutions" / "00_quickstart.ipynb"])
    assert only.verdict == "not graded"
    assert only.reason.startswith("Kernel died before replying to kernel_info")


def test_a_scratch_folder_may_have_a_name_that_pytest_parses(clone: Path, monkeypatch: Patch) -> None:
    (clone / "a::b[c]").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(clone / "a::b[c]"))
    [only] = grade([clone / "solutions" / "00_quickstart.ipynb"])
    assert only.verdict == "passed", only.reason
