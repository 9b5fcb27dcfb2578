"""The doctor: content where all is well; each ailment that it knows is provoked, and the fix is named."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lecture17.__main__ import app
from lecture17.course import doctor, memory
from lecture17.course.build import from_source
from lecture17.course.notebooks import write
from tests.conftest import ROOT

MANAGER = "@jupyter-widgets/jupyterlab-manager"
Patch = pytest.MonkeyPatch


def test_the_doctor_finds_this_installation_well(clone: Path) -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert result.output.count("[ OK ]") == len(doctor.EXAMINATIONS)
    assert "[FAIL]" not in result.output
    assert result.output.endswith("All is well.\n")


def another_python(clone: Path, patch: Patch) -> None:
    patch.setattr(doctor, "PYTHONS", ((3, 8), (3, 9)))


def no_course(clone: Path, patch: Patch) -> None:
    patch.setenv("LECTURE17_HOME", str(clone / "nowhere"))


def refused(error: OSError) -> Callable[[Path, Patch], None]:
    def provoke(clone: Path, patch: Patch) -> None:
        def write_text(*_: object, **__: object) -> None:
            raise error

        patch.setattr(Path, "write_text", write_text)

    return provoke


def other_versions(clone: Path, patch: Patch) -> None:
    (clone / "constraints.txt").write_text("numpy==0.1\nnot-installed==1.0\n")


def package_missing(clone: Path, patch: Patch) -> None:
    (clone / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=2", "not-to-be-found>=1; python_version > \'3\'"]'
    )


def kernel(program: Callable[[Path], str]) -> Callable[[Path, Patch], None]:
    """Jupyter's python3 runs another program."""

    def provoke(clone: Path, patch: Patch) -> None:
        folder = clone / "jupyter" / "kernels" / "python3"
        folder.mkdir(parents=True)
        spec = {"argv": [program(clone), "-m", "ipykernel_launcher"], "display_name": "Python", "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec))
        patch.setenv("JUPYTER_PATH", str(clone / "jupyter"))

    return provoke


def other_program(clone: Path) -> str:
    program = clone / "python-of-another-environment"
    program.write_text("#!/bin/sh\necho /of/another/environment\n")
    program.chmod(0o755)
    return str(program)


def broken_program(clone: Path) -> str:
    program = clone / "broken"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    return str(program)


def no_kernel(clone: Path, patch: Patch) -> None:
    def unknown(*_: object) -> None:
        raise doctor.NoSuchKernel("python3")

    patch.setattr(doctor.KernelSpecManager, "get_kernel_spec", unknown)


def no_front_end(clone: Path, patch: Patch) -> None:
    patch.setattr(doctor, "jupyter_path", lambda *_: [str(clone / "labextensions")])


def older_front_end(name: str) -> Callable[[Path, Patch], None]:
    """An installation of long ago left its front end where JupyterLab looks first."""

    def provoke(clone: Path, patch: Patch) -> None:
        folder = clone / "jupyter" / "labextensions" / name
        folder.mkdir(parents=True)
        about = {"name": name, "version": "0.1", "jupyterlab": {"_build": {"load": "a.js", "extension": "./extension"}}}
        (folder / "package.json").write_text(json.dumps(about))
        patch.setenv("JUPYTER_PATH", str(clone / "jupyter"))

    return provoke


def variable(name: str, value: str) -> Callable[[Path, Patch], None]:
    return lambda clone, patch: patch.setenv(name, value)


def disabled(name: str) -> Callable[[Path, Patch], None]:
    def provoke(clone: Path, patch: Patch) -> None:
        (clone / "labconfig").mkdir()
        (clone / "labconfig" / "page_config.json").write_text(json.dumps({"disabledExtensions": {name: True}}))
        patch.setenv("JUPYTER_CONFIG_DIR", str(clone))

    return provoke


def little_memory(clone: Path, patch: Patch) -> None:
    patch.setattr(doctor, "MEMORY", 1e9)


def small_container(clone: Path, patch: Patch) -> None:
    groups, own = clone / "cgroup", clone / "own"
    groups.mkdir()
    for name, text in {
        "memory.max": 2**30,
        "memory.current": 7 * 2**27,
        "memory.stat": f"inactive_file {2**27 + 2**26}",
    }.items():
        (groups / name).write_text(f"{text}\n")
    own.write_text("0::/\n")
    patch.setattr(memory, "GROUPS", groups)
    patch.setattr(doctor, "free", lambda: memory.free(own))


def damaged(clone: Path, patch: Patch) -> None:
    (clone / "solutions" / "00_quickstart.ipynb").write_text('{"cells": [')


def lost(clone: Path, patch: Patch) -> None:
    (clone / "solutions" / "00_quickstart.ipynb").unlink()


def a_check_that_passes_everything(clone: Path, patch: Patch) -> None:
    source = clone / "solutions" / "00_quickstart.py"
    check, right = 'check("00_quickstart-matrix", {})', "lambda U, V: np.tril(U @ V.T)"
    source.write_text(source.read_text().replace(check.format("semiseparable_matrix"), check.format(right)))
    write(from_source(source), source.with_suffix(".ipynb"))


def no_kernel_starts(clone: Path, patch: Patch) -> None:
    (clone / "path").mkdir()
    (clone / "path" / "ipykernel_launcher.py").write_text("raise SystemExit(1)")
    patch.setenv("PYTHONPATH", f"{clone / 'path'}{os.pathsep}{ROOT}")


def another_clone(clone: Path, patch: Patch) -> None:
    (clone / "another" / "lecture17").mkdir(parents=True)
    (clone / "another" / "lecture17" / "__init__.py").touch()
    patch.setenv("PYTHONPATH", str(clone / "another"))


def hidden(name: str) -> Callable[[Path, Patch], None]:
    """The learner has a file of this name among the exercises."""

    def provoke(clone: Path, patch: Patch) -> None:
        (clone / "exercises" / name).parent.mkdir(exist_ok=True)
        (clone / "exercises" / name).write_text("x = 1")

    return provoke


def read_only(clone: Path, patch: Patch) -> None:
    patch.setattr(os, "access", lambda *_: False)
    refused(DENIED)(clone, patch)


def kept_by_another(clone: Path, patch: Patch) -> None:
    """As after a command that was run with sudo."""
    (clone / ".lecture17").mkdir(exist_ok=True)
    refused(DENIED)(clone, patch)


DENIED, FULL = PermissionError(13, "Permission denied"), OSError(28, "No space left on device")
ALONE = "nothing above explains it"
AILMENTS: dict[str, tuple[str, Callable[[Path, Patch], None], str, str]] = {  # examination, provoked, what, fix
    "another Python": ("Python", another_python, "this is Python 3.", "install Python 3.8 to 3.9"),
    "no clone": ("folder", no_course, "is not a clone of the course", "set LECTURE17_HOME"),
    "a folder that is read only": (
        "folder",
        read_only,
        "Permission denied",
        "move the clone",
    ),
    "an own folder of somebody else's": (
        "folder",
        kept_by_another,
        ".lecture17 cannot be written to",
        "make it yours again: `sudo chown -R $USER",
    ),
    "a full disk": ("folder", refused(FULL), "No space left on device", "free some of the disk"),
    "other versions": (
        "versions",
        other_versions,
        f"numpy is {np.__version__}, pinned 0.1",
        "pip install -c constraints",
    ),
    "a package that is missing": (
        "versions",
        package_missing,
        "not-to-be-found is missing",
        "pip install -c constraints",
    ),
    "no kernel": ("kernel", no_kernel, "no kernel called python3", f"{sys.executable} -m ipykernel install"),
    "a kernel of another Python": ("kernel", kernel(other_program), "belongs to /of/another", "delete the folder"),
    "a kernel that is gone": ("kernel", kernel(lambda clone: str(clone / "gone")), "cannot start", "delete the folder"),
    "a kernel that is broken": ("kernel", kernel(broken_program), "cannot start", "delete the folder"),
    "another clone is installed": ("kernel", another_clone, "another/lecture17, not from", "-e .` again in"),
    "no front end of widgets": ("widgets", no_front_end, f"{MANAGER} is missing", "pip install --force-reinstall"),
    "an older front end of widgets": ("widgets", older_front_end(MANAGER), f"{MANAGER} 0.1 from", "delete the folder"),
    "an older anywidget": ("widgets", older_front_end("anywidget"), "not the 0.", "labextensions/anywidget"),
    "options for pytest": ("environment", variable("PYTEST_ADDOPTS", "-x"), "set to '-x'", "unset PYTEST_ADDOPTS"),
    "asserts switched off": ("environment", variable("PYTHONOPTIMIZE", "2"), "Python obeys", "unset PYTHONOPTIMIZE"),
    "front end disabled": ("widgets", disabled(MANAGER), f"{MANAGER} is disabled", f"labextension enable {MANAGER}"),
    "plugin disabled": ("widgets", disabled("anywidget:plugin"), "anywidget:plugin is", "enable anywidget:plugin"),
    "little memory": ("memory", little_memory, "GiB are free", "close other programs"),
    "a container with little memory": ("memory", small_container, "0.3 GiB are free", "give the container more"),
    "a file named like a module of Python's": ("names", hidden("random.py"), "own random", "give random.py another"),
    "a folder named like a package": ("names", hidden("numpy/__init__.py"), "own numpy", "give numpy another name"),
    "a damaged solution": ("exercise", damaged, "cannot be used: not JSON", "git checkout -- solutions"),
    "a lost solution": ("exercise", lost, "No such file", "git checkout -- solutions"),
    "a check that passes everything": ("exercise", a_check_that_passes_everything, "'passed' when empty", ALONE),
    "no kernel that starts": ("exercise", no_kernel_starts, "graded 'not graded'", ALONE),
}


@pytest.mark.parametrize("ailment", AILMENTS)
def test_the_doctor_names_what_is_wrong_and_the_fix(ailment: str, clone: Path, monkeypatch: Patch) -> None:
    name, provoke, what, fix = AILMENTS[ailment]
    examination = doctor.EXAMINATIONS[name]
    lines: list[str] = []
    provoke(clone, monkeypatch)
    monkeypatch.setattr(doctor, "EXAMINATIONS", {name: examination})
    well = doctor.examine(lines.append)
    monkeypatch.undo()
    assert not well
    said, last = lines
    assert said.startswith(f"[FAIL] {name}: ")
    found, named = said.split("\n       fix: ")
    assert what in found
    assert fix in named
    assert last == f"Do this first: {named}"


def test_every_examination_is_provoked() -> None:
    assert {name for name, *_ in AILMENTS.values()} == doctor.EXAMINATIONS.keys()


def test_an_examination_that_breaks_does_not_end_the_others(monkeypatch: Patch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(doctor, "EXAMINATIONS", {"broken": lambda: str(1 // 0), "memory": doctor.memory})
    assert not doctor.examine(lines.append)
    assert [line[:6] for line in lines] == ["[FAIL]", "[ OK ]", "Do thi"]
    assert "ZeroDivisionError" in lines[0]


def test_what_failed_above_is_named_only_where_something_did(monkeypatch: Patch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(doctor, "EXAMINATIONS", {"one": lambda: str(1 // 0), "two": lambda: str(1 // 0)})
    doctor.examine(lines.append)
    assert [("above explains" in line, "failed above" in line) for line in lines[:2]] == [(True, False), (False, True)]
