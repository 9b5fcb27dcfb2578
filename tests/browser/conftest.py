"""A real JupyterLab on a copy of the course, in the Chromium or Chrome that this machine has."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser

from lecture17 import widgets
from lecture17.widgets.redraws import chromium, find_browser
from tests.conftest import ROOT
from tests.npm import missing, package

from .lab import Lab, serve

AXE_CORE = "axe-core@4.14.1"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if find_browser() is None:
        missing("no Chromium or Chrome found, so nothing was tried in a browser; on Debian: apt install chromium")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course as it is before anybody opens it, and a notebook with every explorer."""
    folder = tmp_path_factory.mktemp("course")
    tracked = ["notebooks", "solutions", "exercises", "docs/corrections.md"]
    for name in (*tracked, "jupytext.toml", "constraints.txt", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        else:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(source, folder / name)
    for name in widgets.__all__:
        write_notebook(folder / f"{name}.ipynb", [f"from lecture17 import widgets\n\nwidgets.{name}()"])
    return folder


def write_notebook(path: Path, sources: list[str]) -> None:
    kernelspec = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernelspec}), path)


@pytest.fixture(scope="session")
def server(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a learner's JupyterLab whose kernels take the copy for their course."""
    with serve(course, tmp_path_factory.mktemp("jupyter")) as address:
        yield address


@pytest.fixture(scope="session")
def window(browser: Browser, server: str) -> Iterator[Lab]:
    """One JupyterLab window for all tests: opening it takes longer than most of them."""
    page = browser.new_page()
    yield Lab(page, server)
    page.close()


@pytest.fixture
def lab(window: Lab) -> Iterator[Lab]:
    """JupyterLab at 1200 × 900; at the end, nothing may have gone wrong in its console."""
    window.page.set_viewport_size({"width": 1200, "height": 900})
    window.complaints.clear()
    yield window
    assert not window.complaints


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures for review go: LECTURE17_SCREENSHOTS, or a folder beside these tests that git ignores."""
    folder = Path(os.environ.get("LECTURE17_SCREENSHOTS") or Path(__file__).with_name("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The source of axe-core, which checks contrast and labels."""
    return (package(request, AXE_CORE) / "axe.min.js").read_text(encoding="utf-8")
