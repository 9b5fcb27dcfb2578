"""`python -m lecture17 lab`, which is `make lab`: JupyterLab as a learner needs it, opened on the quick start.

The settings in `jupyter/` beside this file apply to this JupyterLab only: no question about news, no check for updates,
none of the authors' tools, and a mark on the tabs of exercises. Nothing is installed, and nobody's own settings are
touched; what learners change in JupyterLab's settings takes precedence. Authors start `jupyter lab`, which pairs
notebooks with their .py by jupytext.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import zmq
from ipykernel.ipkernel import IPythonKernel
from jupyter_client.manager import KernelManager
from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir, jupyter_runtime_dir
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyterlab.labapp import LabApp

from .notebooks import LANGUAGE
from .paths import home, private
from .say import say

SETTINGS = Path(__file__).with_name("jupyter")


class CourseFiles(AsyncLargeFileManager):
    """Notebook files with the version of Python added on opening and left out on saving.

    JupyterLab writes what the kernel says about itself into every notebook that it opens. If that is there already,
    nothing changes, and closing the notebook asks nothing. The file stays the same on every machine.
    """

    async def get(self, *args: Any, **options: Any) -> dict[str, Any]:
        """The file or folder at a path, as in Jupyter's own manager."""
        model = await super().get(*args, **options)
        if model["type"] == "notebook" and model["content"] is not None:
            metadata = model["content"]["metadata"]
            if metadata.get("language_info") == LANGUAGE:
                metadata["language_info"] = IPythonKernel.language_info
        return model

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        """Write a file, as in Jupyter's own manager."""
        if model["type"] == "notebook":
            metadata = model["content"]["metadata"]
            if metadata.get("language_info", {}) | {"version": ""} == LANGUAGE | {"version": ""}:
                metadata["language_info"] = LANGUAGE
        return await super().save(model, path)


def start(arguments: list[str]) -> None:
    """Run JupyterLab in the course's folder until it is stopped; `arguments` are JupyterLab's own."""
    os.chdir(home())
    paths = [str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    own = private() / "jupyter"
    if closed := {name: folder for name, folder in _folders().items() if not _can_be_written_to(Path(folder))}:
        say(f"{next(iter(closed.values()))} cannot be written to, so JupyterLab keeps its files in {own}")
        os.environ.update({name: str(own / name.lower()) for name in closed})
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments = ["--allow-root", *arguments]  # in a container the user is root
    here = ("ServerApp.root_dir", "ServerApp.preferred_dir", "CourseFiles.root_dir")
    root = [*(f"--{each}={os.getcwd()}" for each in here), "--CourseFiles.preferred_dir="]
    if hasattr(KernelManager, "transport_encryption") and zmq.has("curve"):
        root.append("--KernelManager.transport_encryption=auto")  # a kernel warns when it has to do without
    LabApp.launch_instance([*root, *arguments])  # whatever folder the user's own settings open


def _folders() -> dict[str, str]:
    """Variable of the environment → the folder of the user's own that Jupyter, IPython or Matplotlib writes to."""
    return {
        "JUPYTER_CONFIG_DIR": jupyter_config_dir(),
        "JUPYTER_DATA_DIR": jupyter_data_dir(),
        "JUPYTER_RUNTIME_DIR": jupyter_runtime_dir(),
        "IPYTHONDIR": os.environ.get("IPYTHONDIR") or os.path.expanduser("~/.ipython"),
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR") or os.path.expanduser("~/.config/matplotlib"),
    }


def _can_be_written_to(folder: Path) -> bool:
    """Whether a folder, or where it would be made, can be written to."""
    try:
        tempfile.TemporaryFile(dir=next(f for f in (folder, *folder.parents) if os.path.exists(f))).close()
    except OSError:
        return False
    return True


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Serve custom.css, for which Jupyter has no setting."""
    server.web_app.settings["static_custom_path"].insert(0, str(SETTINGS / "custom"))
