"""A real JupyterLab on a copy of the course, in the Chromium or Chrome that this machine has."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, sync_playwright

from lecture17 import widgets
from tests.conftest import ROOT
from tests.npm import missing, package

from .lab import Lab

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ON_A_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
AXE_CORE = "axe-core@4.14.1"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None) or (str(ON_A_MAC) if ON_A_MAC.exists() else None)
    if found is None:
        missing("no Chromium or Chrome found, so nothing was tried in a browser; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, which is who runs in a container.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course as it is before anybody opens it, and a notebook with every explorer."""
    folder = tmp_path_factory.mktemp("course")
    tracked = ["README.md", "notebooks", "solutions", "exercises", "jupytext.toml", "constraints.txt", "pyproject.toml"]
    for name in tracked:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        else:
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
    """The address of a JupyterLab whose kernels take the copy for their course, with settings of its own."""
    private = tmp_path_factory.mktemp("jupyter")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR")
    own = {**{name: str(private / name.lower()) for name in folders}, "LECTURE17_HOME": str(course)}
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--IdentityProvider.token=",
        "--expose-app-in-browser",
    ]
    no_news = private / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    no_news.mkdir(parents=True)
    (no_news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    with open(private / "log.txt", "w") as log:
        lab = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", *options, f"--ServerApp.root_dir={course}"],
            env={**os.environ, **own, "JUPYTERLAB_WORKSPACES_DIR": str(private / "workspaces")},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api", lab, private / "log.txt")
        yield address
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        try:
            lab.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(lab.pid, signal.SIGKILL)


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


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
