"""The ways to install name the same versions, and importing stays quick."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from importlib.metadata import Distribution, metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from lecture17.course.doctor import PYTHONS, pins
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins(ROOT / "constraints.txt")}


def requirements() -> list[Requirement]:
    extras = [r for extra in PROJECT["optional-dependencies"].values() for r in extra]
    return [r for r in map(Requirement, [*PROJECT["dependencies"], *extras]) if r.name != PROJECT["name"]]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_every_requirement_is_pinned_to_a_version_it_admits(requirement: Requirement) -> None:
    version = PINS[re.sub(r"[-_.]+", "-", requirement.name).lower()]
    assert requirement.specifier.contains(version), f"{requirement} and {version}"


def test_torch_and_triton_fit_together() -> None:
    assert (PINS["torch"], PINS["triton"]) == ("2.13.0", "3.7.1")


def test_every_pin_can_be_installed_on_the_first_release_of_the_oldest_python() -> None:
    """Debian 12 has 3.11.2: a pin that asks for a later 3.11 ends there in a riddle about conflicting versions."""
    oldest = f"{PYTHONS[0][0]}.{PYTHONS[0][1]}.2"
    asked = {
        name: str(metadata(name).json.get("requires_python", ""))
        for name in PINS
        if any(Distribution.discover(name=name))
    }
    assert len(asked) > 100
    assert {name: python for name, python in asked.items() if not SpecifierSet(python).contains(oldest)} == {}


def test_constraints_hold_nothing_but_exact_versions() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line) for line in lines)
    assert [line.lower() for line in lines] == sorted({line.lower() for line in lines}, key=lambda s: s.split("==")[0])


def test_conda_makes_the_same_environment_as_pip() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, pip_part = environment["dependencies"]
    assert re.match(r"python\s*=+\s*([\d.]*)", python), "Binder makes its own environment at the version it reads so"
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.partition("=")[2])
    assert pip == "pip"
    assert pip_part == {"pip": ["-c constraints.txt", "-e ."]}


def test_conda_binder_dev_container_and_a_forks_grading_run_the_same_python_and_the_same_pins() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    grading = yaml.safe_load((ROOT / ".github" / "workflows" / "grade.yml").read_text())["jobs"]["grade"]
    image = (ROOT / ".devcontainer" / container["build"]["dockerfile"]).read_text()
    (setup,) = [step["with"] for step in grading["steps"] if "setup-python" in step.get("uses", "")]
    pythons = {conda["dependencies"][0].partition("=")[2], setup["python-version"]}
    assert pythons == set(re.findall(r"^FROM python:([\d.]+)-", image, re.MULTILINE))
    assert container["postCreateCommand"] == "make install"
    installs = [*(step.get("run", "") for step in grading["steps"]), *conda["dependencies"][2]["pip"]]
    assert [line for line in installs if "-e ." in line and "constraints.txt" not in line] == ["-e ."]
    assert "-c constraints.txt" in installs
    assert not any((ROOT / name).exists() for name in ("binder", ".binder")), "Binder would read that instead"


def test_makefile_doctor_and_readme_name_the_pythons_of_pyproject() -> None:
    (low_major, low), (high_major, high) = PYTHONS
    assert PROJECT["requires-python"] == f">={low_major}.{low},<{high_major}.{high + 1}"
    assert f"{low} <= sys.version_info[1] <= {high}" in (ROOT / "Makefile").read_text()
    assert f"Python {low_major}.{low} to {high_major}.{high}" in (ROOT / "README.md").read_text()


def test_a_learners_install_has_no_tools_of_authors() -> None:
    names = {requirement.name for requirement in map(Requirement, PROJECT["dependencies"])}
    authors = {"nbgrader", "sphinx", "mypy", "playwright", "hypothesis", "pre-commit", "import-linter", "ruff"}
    assert names & (authors | {"furo", "myst-nb", "pytest-xdist"}) == set()
    lines = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "lecture17").rglob("*.py"))
    assert set(re.findall(r"^ *(?:import|from) (\w+)", lines, re.MULTILINE)) & authors == set()


def make(folder: Path, *arguments: str, path: str | None = None, installed_in: str | None = None) -> str:
    """What make says in a clone whose path has a space and letters outside ASCII, where all is installed."""
    clone = folder / "my course 講義"
    (clone / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, clone)
    if path is None:
        (clone / ".venv" / "bin" / "python").write_text('#!/bin/sh\necho "$@"\n')
        (clone / ".venv" / "bin" / "python").chmod(0o755)
        (clone / ".venv" / ".installed").write_text(f"{clone if installed_in is None else installed_in}\n")
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # `make test` itself
    own = outer | {"LC_ALL": "C", "PATH": path or os.environ["PATH"]}
    command = [str(shutil.which("make")), *arguments]
    done = subprocess.run(command, cwd=clone, env=own, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.stdout


def test_make_lab_starts_the_course_in_a_folder_of_any_name(tmp_path: Path) -> None:
    assert make(tmp_path, "lab", "ARGS=--no-browser --port 9999") == "-m lecture17 lab --no-browser --port 9999\n"


def test_a_folder_that_was_moved_is_installed_again(tmp_path: Path) -> None:
    said = make(tmp_path, "lab", "ARGS=", installed_in="/where/it/was")
    assert "-m pip install" in said
    assert said.endswith("-m lecture17 lab\n")
    stamp = tmp_path / "my course 講義" / ".venv" / ".installed"
    assert stamp.read_text(encoding="utf-8").strip().endswith("my course 講義")


def test_missing_points_are_no_error_of_make(tmp_path: Path) -> None:
    assert make(tmp_path, "grade", "ARGS=exercises") == "-m lecture17 grade exercises\n"
    python = tmp_path / "my course 講義" / ".venv" / "bin" / "python"
    for status in (1, 2):
        python.write_text(f"#!/bin/sh\nexit {status}\n")
        os.utime(python.parents[1] / ".installed")  # newer than what it installs
        done = subprocess.run(["make", "grade"], cwd=python.parents[2], capture_output=True, check=False)
        assert (done.returncode != 0) == (status == 2)


def test_make_lab_says_which_pythons_it_needs(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    said = make(tmp_path, "lab", path=str(tmp_path / "bin"))
    assert said == (
        "The course needs Python 3.11, 3.12 or 3.13; none was found. Name one: make lab PYTHON=/path/to/python3.12\n"
    )


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()
    assert re.search(r"^make test$", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_importing_the_package_is_quick_and_loads_nothing_heavy() -> None:
    code = "import time; t = time.perf_counter(); import lecture17; print(time.perf_counter() - t); import sys; "
    code += "print([m for m in ('torch', 'matplotlib', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, loaded = done.stdout.splitlines()
    assert float(seconds) < 0.3
    assert loaded == "[]"


@pytest.mark.parametrize("name", ["course", "course.checking", "course.progress", "figures", "compare", "__main__"])
def test_what_zones_0_to_3_use_does_not_load_what_is_heavy(name: str) -> None:
    code = f"import sys, lecture17.{name}; "
    code += "print([m for m in ('torch', 'matplotlib.pyplot', 'ipywidgets') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_the_quick_start_executes_in_under_10_seconds() -> None:
    from lecture17.course.build import execute, from_source

    begin = time.monotonic()
    execute(from_source(ROOT / "notebooks" / "00_quickstart.py"), ROOT / "notebooks")
    assert time.monotonic() - begin < 10
