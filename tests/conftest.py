"""What all tests share: the course's folder, and a copy of it in which a test may do what a learner does."""

import shutil
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of the course's notebooks in a scratch folder, which the package takes for its home."""
    for name in ("notebooks", "solutions", "exercises"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name in ("constraints.txt", "pyproject.toml", "jupytext.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setenv("LECTURE17_HOME", str(tmp_path))
    return tmp_path


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say aloud what was not tried in a browser or on a GPU: a quiet skip would look like a pass."""
    skipped = terminalreporter.stats.get("skipped", [])
    for folder, what in (("tests/browser", "NOT TRIED IN A BROWSER"), ("tests/ops/kernels", "KERNELS NOT ALL TRIED")):
        for reason in sorted({report.longrepr[2] for report in skipped if folder in report.nodeid}):
            terminalreporter.write_line(f"{what}: {reason}", yellow=True)
