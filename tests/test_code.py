"""Lint, format, types and imports of everything that is written by hand, and the hooks that run before a commit."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

BIN = Path(sys.executable).parent
SOURCES = sorted([*ROOT.glob("lecture17/**/*.py"), *ROOT.glob("tests/**/*.py")])


@pytest.mark.parametrize(
    "command", ["ruff check .", "ruff format --check lecture17 tests", "mypy", "lint-imports --no-cache"]
)
def test_the_tool_finds_nothing(command: str) -> None:
    tool, *words = command.split()
    done = subprocess.run([BIN / tool, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def imported(path: Path) -> Iterator[tuple[str, ...]]:
    """The names that a module imports, in full."""
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            above = here[: -node.level] if node.level else ()
            start = (*above, *(node.module.split(".") if node.module else ()))
            yield from ((*start, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)


def length(path: Path) -> int:
    """The lines of a module, without the table of mixers, which grows by a row with each of them."""
    text = path.read_text(encoding="utf-8")
    tables = [
        node.end_lineno - node.lineno
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_ROWS" and node.end_lineno
    ]
    return len(text.splitlines()) - sum(tables)


def test_a_module_is_at_most_350_lines() -> None:
    modules = [path for path in (ROOT / "lecture17").rglob("*.py") if path.parent.name != "exercises"]
    lengths = {path: length(path) for path in modules}
    assert len(lengths) > 100
    assert {path: lines for path, lines in lengths.items() if lines > 350} == {}
    assert length(ROOT / "lecture17" / "mixers.py") < 100


def test_every_test_that_the_table_of_manners_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "manners.md").read_text(encoding="utf-8"))
    assert len(named) > 30
    assert [name for path, name in named if f"\ndef {name}(" not in (ROOT / path).read_text(encoding="utf-8")] == []


def test_a_private_name_is_used_in_its_own_folder_and_its_tests() -> None:
    """`lecture17/ops/_chunks.py` serves lecture17/ops/ and what lies below it, and tests/ops/."""
    strangers = []
    for path in SOURCES:
        here = path.relative_to(ROOT).parent.parts[1:]
        for name in imported(path):
            private = next((i for i, part in enumerate(name) if re.match("_(?!_)", part)), None)
            if name[0] == "lecture17" and private:
                owner = ROOT.joinpath(*name[:private])
                folder = owner if owner.is_dir() else owner.parent
                if here[: len(folder.relative_to(ROOT).parts) - 1] != folder.relative_to(ROOT).parts[1:]:
                    strangers.append(f"{path.relative_to(ROOT)} imports {'.'.join(name)}")
    assert strangers == []


def test_text_is_read_and_written_in_an_encoding_that_is_named() -> None:
    """Otherwise it is the machine's: on Windows, γ comes back as two other letters."""
    unnamed = []
    for path in ROOT.glob("lecture17/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) not in ("os.open", "tarfile.open"):
                named = {word.arg for word in node.keywords}
                in_bytes = any(isinstance(a, ast.Constant) and "b" in str(a.value) for a in node.args)
                text = called.split(".")[-1] in ("open", "read_text", "write_text") and not in_bytes
                text |= called.startswith("subprocess.") and "text" in named
                if text and "encoding" not in named:
                    unnamed.append(f"{path.relative_to(ROOT)}:{node.lineno}: {called}")
    assert unnamed == []


def test_the_reference_imports_numpy_and_what_checks_shapes() -> None:
    known = {"lecture17", "numpy", "jaxtyping", "beartype", *sys.stdlib_module_names}
    for path in ROOT.glob("lecture17/reference/*.py"):
        assert {name[0] for name in imported(path)} <= known, path
        assert all(name[:2] == ("lecture17", "reference") for name in imported(path) if name[0] == "lecture17"), path


def test_the_hooks_stop_a_commit_with_a_fault_and_a_notebook_out_of_step(
    clone: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copy(ROOT / ".pre-commit-config.yaml", clone)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)

    def commit() -> tuple[int, list[str]]:
        run("git", "add", "-A")
        done = run("git", "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-m", "A step")
        return done.returncode, [line.split("..")[0] for line in done.stderr.splitlines() if line.endswith("Failed")]

    run("git", "init", "-q")
    assert "installed" in run("pre-commit", "install").stdout
    assert commit() == (0, [])
    (clone / "tests").mkdir()
    (clone / "tests" / "test_new.py").write_text("import os\nx = ( 1)\n")
    assert commit() == (1, ["ruff finds no fault", "ruff has nothing to format"])
    assert (clone / "tests" / "test_new.py").read_text() == "x = 1\n"
    assert commit() == (0, [])
    source = clone / "notebooks" / "00_quickstart.py"
    source.write_text(source.read_text() + "\n# %%\nprint(1)\n")
    assert commit() == (1, ["each notebook is what its .py makes"])
