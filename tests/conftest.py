"""What all tests share: the course's folder, and a copy of it in which a test may do what a learner does."""

import os
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


class Displayed(list[dict[str, Any]]):
    """What a cell displays where somebody watches, as MIME bundles in order; `updates` replaced the first one later."""

    def __init__(self) -> None:
        super().__init__()
        self.updates: list[dict[str, Any]] = []

    def display(self, bundle: dict[str, Any], raw: bool) -> None:
        assert raw
        self.append(bundle)

    def handle(self) -> SimpleNamespace:
        return SimpleNamespace(display=self.display, update=lambda bundle, raw: self.updates.append(bundle))

    def show(self, what: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The still and the widget that a cell ending with `what` displays."""
        what._ipython_display_()
        still, live = self[-2:]
        assert "lecture17-still" in (still.get("text/html") or still["text/markdown"])
        assert "model_id" in live["application/vnd.jupyter.widget-view+json"]
        assert live["text/html"] == live["text/plain"] == ""  # an export without widgets shows the still alone
        return still, live


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Displayed:
    from lecture17.widgets import front  # not above: NumPy must not be imported before the number of threads is set

    displayed = Displayed()
    monkeypatch.setattr(front, "somebody_watches", lambda: True)
    monkeypatch.setattr(front, "display", displayed.display)
    monkeypatch.setattr(front, "DisplayHandle", displayed.handle)
    return displayed


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
