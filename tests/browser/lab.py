"""What a person does in JupyterLab: open a notebook, run it, type, move a control, read what is shown."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page, expect

CURRENT = "window.jupyterapp.shell.currentWidget"  # the notebook in front
# JupyterLab asks a kernel that is just being restarted for its debugger, and complains that nothing answers.
# ipywidgets closes the comms of a kernel that was restarted when its notebook closes, and complains that they are gone.
# It says too that a widget of an earlier day has no model, before it gives way to the still.
# And a notebook that is closed while its kernel starts has a request of JupyterLab's own on the way.
NOT_OURS = (
    "Error: Canceled future for create_subshell_request message",
    "Could not restore the debugger state",
    "Error: Kernel connection is disposed",
    "Error: widget model not found",
)
PATIENCE = 60_000  # milliseconds; a machine under load is slow, not wrong


@contextmanager
def serve(course: Path, private: Path, *more: str) -> Iterator[str]:
    """JupyterLab on a copy of the course as `make lab` starts it, in a home folder of its own; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--no-browser", f"--port={port}", "--IdentityProvider.token=", "--expose-app-in-browser", *more]
    strange = ("JUPYTER", "IPYTHON")  # settings of who runs this
    own = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    own |= {"HOME": str(private), "LECTURE17_HOME": str(course)}
    with open(private / "log.txt", "w") as log:
        lab = subprocess.Popen(
            [sys.executable, "-m", "lecture17", "lab", *options],
            env=own,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api", lab, private / "log.txt")
        yield address
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        try:
            lab.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(lab.pid, signal.SIGKILL)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


class Lab:
    """One JupyterLab window."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(NOT_OURS):
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    def open(self, path: str) -> None:
        """Open a notebook, alone, with the file browser folded away, and wait for its kernel."""
        if self.page.url == "about:blank":
            self._load(path)
        elif self.page.evaluate(f"{CURRENT}?.context?.path") != path:
            if self.page.evaluate(f"Boolean({CURRENT}?.context)"):
                self._close()
            self.command("docmanager:open", {"path": path})
            self._ready()

    def _close(self) -> None:
        """Close the notebook in front, which asks if a picture came after the last saving: save until none does."""
        self.idle()
        self.save()
        quiet = 0
        while quiet < 5:  # in a row: a picture may still be on its way
            time.sleep(0.1)
            quiet += 1
            if self.page.evaluate(f"{CURRENT}.context.model.dirty"):
                self.save()
                quiet = 0
        self.command("application:close-all")

    def reload(self) -> None:
        """Load the page anew, with the notebook in front and no other."""
        self._load(self.page.evaluate(f"{CURRENT}.context.path"))

    def _load(self, path: str) -> None:
        self.page.goto(f"{self.address}/lab/tree/{path}?reset")
        self._ready()

    def _ready(self) -> None:
        self.page.wait_for_function("() => window.jupyterapp?.shell")
        self.page.evaluate("window.jupyterapp.restored")
        self.page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")
        self.page.wait_for_function(f"() => {CURRENT}?.sessionContext?.session?.kernel?.status === 'idle'")
        if self.page.locator("#jp-left-stack").is_visible():
            self.command("application:toggle-left-area")

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """What a menu entry does; returns when it is done."""
        # What a command gives, a whole widget perhaps, is not to be carried over here.
        execute = "async ([name, args]) => { await window.jupyterapp.commands.execute(name, args) }"
        self.page.evaluate(execute, [name, arguments or {}])

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def restart_and_run_all(self) -> None:
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:restart-run-all') }")
        old = self.page.locator(".jp-OutputArea-output").first.element_handle()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        if old is not None:
            old.wait_for_element_state("hidden")
        self.idle()

    def idle(self) -> None:
        """Wait until no cell is running or waiting to run."""
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.jp-InputPrompt')].some((p) => p.textContent.includes('*'))"
            f" && {CURRENT}?.sessionContext?.session?.kernel?.status === 'idle'"
        )

    def save(self) -> None:
        self.command("docmanager:save")

    def theme(self, name: str) -> None:
        self.command("apputils:change-theme", {"theme": name})
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=PATIENCE)

    def cell(self, text: str) -> Locator:
        """The code cell that contains `text`."""
        return self.page.locator(".jp-CodeCell").filter(has=self.page.locator(".cm-content", has_text=text)).first

    def errors(self) -> Locator:
        """Error outputs, and widgets that could not be shown."""
        text = self.page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]')
        wrong = text.filter(has_text="Traceback (most recent call last)")  # JupyterLab shows errors as it shows stderr
        return wrong.or_(self.page.get_by_text("Error displaying widget"))

    def explorer(self) -> "ExplorerOnPage":
        view = self.page.locator(".lecture17-explorer:visible")
        expect(view).to_have_count(1, timeout=PATIENCE)
        return ExplorerOnPage(view)

    def screenshot(self, path: Path) -> None:
        self.page.screenshot(path=path)


class ExplorerOnPage:
    """An explorer as a person sees it."""

    def __init__(self, view: Locator) -> None:
        self.view = view
        self.words = view.locator(".words")

    def control(self, label: str) -> Locator:
        """Its folded settings are opened first."""
        self.view.evaluate("(view) => view.querySelectorAll('details').forEach((fold) => (fold.open = true))")
        return self.view.get_by_label(label, exact=True)

    def shows(self, words: str) -> None:
        """Wait until the line below the panels, and what a screen reader is told, are these words."""
        expect(self.words).to_have_text(words, timeout=PATIENCE)
        expect(self.view.locator(".panels")).to_have_attribute("aria-label", words)
