"""What all tests share: the course's folder, and a copy of it in which a test may do what a learner does."""

import os
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

ROOT = Path(__file__).parents[1]
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the processors, and threads that wait for a turn are very slow
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of the course's notebooks in a scratch folder, which the package takes for its home."""
    return copied(tmp_path, monkeypatch)


def copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `folder` a clone of the course's notebooks, which the package takes for its home."""
    for name in ("notebooks", "solutions", "exercises"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name in ("constraints.txt", "pyproject.toml", "jupytext.toml"):
        shutil.copy(ROOT / name, folder / name)
    monkeypatch.setenv("LECTURE17_HOME", str(folder))
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """A shell starts what runs in its background deaf to Ctrl-C: here what interrupts is heard."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.option.loadscopereorder = False  # xdist: files in the order below


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that no worker ends with one alone: the last notebooks, which train.

    Where Triton cannot be installed, its notebooks cannot run: they say so, and are skipped.
    """
    items.sort(key=lambda item: item.path.stem if item.path.suffix == ".ipynb" else "", reverse=True)
    if find_spec("triton") is None:
        for item in items:
            if item.path.name == "04b_triton.ipynb":
                item.add_marker(pytest.mark.skip("Triton is not installed: it is made for Linux"))


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say aloud what was not tried in a browser or on a GPU: a quiet skip would look like a pass."""
    skipped = terminalreporter.stats.get("skipped", [])
    places = {
        "tests/browser": "NOT TRIED IN A BROWSER",
        "tests/ops/kernels": "KERNELS NOT ALL TRIED",
        "tests/triton_lab": "KERNELS NOT ALL TRIED",
        "tests/test_gpu.py": "NOT TRIED ON A GPU",
        "04b_triton": "NOT TRIED IN TRITON",
    }
    for folder, what in places.items():
        for reason in sorted({report.longrepr[2] for report in skipped if folder in report.nodeid}):
            terminalreporter.write_line(f"{what}: {reason}", yellow=True)
