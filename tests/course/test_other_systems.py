"""What Windows and macOS do otherwise, simulated: locked files, line ends, consoles, no fork and no namespaces."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lecture17.course import paths
from lecture17.course.notebooks import is_answer, read, write
from lecture17.grading import sandbox
from lecture17.grading.grade import grade
from tests.conftest import ROOT

Patch = pytest.MonkeyPatch

# In every Python that a grading starts: no fork, no limits, and the course's modules believe that this is Windows.
LIKE_WINDOWS = """
import os, sys
from importlib.machinery import PathFinder
from types import SimpleNamespace
for name in ("fork", "register_at_fork", "nice"):
    delattr(os, name)
import resource
resource.setrlimit = resource.getrlimit = None
class Elsewhere:
    def find_spec(self, name, path=None, target=None):
        if name in ("lecture17.grading.tampering", "lecture17.course.paths"):
            spec = PathFinder.find_spec(name, path)
            run = spec.loader.exec_module
            def exec_module(module):
                run(module)
                module.sys = type("sys", (), {"__getattr__": lambda _, part: getattr(sys, part), "platform": "win32"})()
            spec.loader.exec_module = exec_module
            return spec
sys.meta_path.insert(0, Elsewhere())
"""


def locked(patch: Patch, times: int, platform: str) -> list[float]:
    """A file cannot be replaced so many times; gives the pauses that were made."""
    pauses: list[float] = []
    replace = os.replace

    def refuse(*names: Path) -> None:
        nonlocal times
        times -= 1
        if times >= 0:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        replace(*names)

    patch.setattr(paths.os, "replace", refuse)
    patch.setattr(paths, "sys", SimpleNamespace(platform=platform))
    patch.setattr(paths, "time", SimpleNamespace(sleep=pauses.append))
    return pauses


def test_a_file_that_is_locked_for_a_moment_is_written_after_it(tmp_path: Path, monkeypatch: Patch) -> None:
    (tmp_path / "a.json").write_text("old")
    pauses = locked(monkeypatch, 2, "win32")
    paths.write_atomically(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "new"
    assert pauses == list(paths.LOCKED[:2])


@pytest.mark.parametrize(("platform", "tries"), [("win32", len(paths.LOCKED)), ("linux", 0), ("darwin", 0)])
def test_a_file_that_stays_locked_is_left_as_it_was(
    tmp_path: Path, monkeypatch: Patch, platform: str, tries: int
) -> None:
    (tmp_path / "a.json").write_text("old")
    pauses = locked(monkeypatch, 99, platform)
    with pytest.raises(PermissionError, match="used by another process"):
        paths.write_atomically(tmp_path / "a.json", "new")
    assert len(pauses) == tries
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.json": "old"}


def test_git_converts_no_line_ends_where_it_is_set_to(tmp_path: Path) -> None:
    """As Git for Windows is by default."""

    def git(*words: str) -> str:
        own = ["-c", "core.autocrlf=true", "-c", "user.name=a", "-c", "user.email=a@localhost"]
        command = ["git", "-C", str(tmp_path), *own, *words]
        return subprocess.run(command, capture_output=True, check=True).stdout.decode()

    git("init", "-q")
    (tmp_path / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())
    texts = {"lf.ipynb": b"{\n}\n", "crlf.py": b"1\r\n2\r\n", "mixed.md": b"1\r\n2\n"}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    git("add", ".")
    git("commit", "-qm", "all")
    for name in texts:
        (tmp_path / name).unlink()
    git("restore", ".")
    assert {name: (tmp_path / name).read_bytes() for name in texts} == texts
    assert git("status", "--porcelain") == ""


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_without_namespaces_it_is_said_which_system_has_none(platform: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(sandbox, "sys", SimpleNamespace(platform=platform))
    sandbox.prctl(sandbox.SET_DUMPABLE, 0)  # which there is not
    assert sandbox.confine(Path()) == f"{platform} has no namespaces"


def test_without_fork_limits_and_namespaces_grading_gives_the_same_verdicts(clone: Path, monkeypatch: Patch) -> None:
    (clone / "path").mkdir()
    (clone / "path" / "sitecustomize.py").write_text(LIKE_WINDOWS)
    monkeypatch.setenv("PYTHONPATH", f"{clone / 'path'}{os.pathsep}{ROOT}")
    monkeypatch.setenv(sandbox.OPEN, "1")
    nb = read(clone / "solutions" / "00_quickstart.ipynb")
    cell = next(filter(is_answer, nb.cells))
    like = "import os, lecture17.grading.tampering as t\nassert t.sys.platform == 'win32' and not hasattr(os, 'fork')\n"
    cell.source = like + cell.source
    write(nb, clone / "exercises" / "00_quickstart.ipynb")
    cell.source = "def semiseparable_matrix(U, V):\n    while True: pass"
    write(nb, clone / "exercises" / "loop.ipynb")
    said: list[str] = []
    files = [clone / "exercises" / name for name in ("00_quickstart.ipynb", "loop.ipynb")]
    grades = [g for g in grade(files, 5, said.append) if g.exercise == "00_quickstart-matrix"]
    assert [(g.verdict, g.earned) for g in grades] == [("passed", 3), ("timed out", 0)], grades[0].reason
    assert said == [f"(graded code could reach the network and your files: {sandbox.OPEN} is set)"]


def test_a_console_of_windows_shows_what_it_can_of_a_verdict(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    next(filter(is_answer, nb.cells)).source = "def semiseparable_matrix(U, V):\n    raise ValueError('κ̂ → ☃ é')"
    write(nb, path)
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lecture17", "grade", str(path), "--json", str(clone / "grades.json")]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (1, b"")
    assert "? ? ? é" in done.stdout.decode("cp1252").replace("?? ", "? ")
    row, *_ = json.loads((clone / "grades.json").read_text(encoding="utf-8"))["exercises"]
    assert "κ̂ → ☃ é" in row["reason"]
