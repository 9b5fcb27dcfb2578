"""`python -m lecture17 lab`: which options and settings JupyterLab is started with, and what its files go through."""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ipykernel.ipkernel import IPythonKernel
from jupyter_server.extension.config import ExtensionConfigManager
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from jupyterlab_server.config import get_page_config
from jupyterlab_server.settings_utils import _get_overrides
from jupytext.sync_contentsmanager import build_sync_jupytext_contents_manager_class
from tornado.web import HTTPError

from lecture17.course import lab
from lecture17.course.notebooks import LANGUAGE, read, write
from tests.conftest import ROOT

Patch = pytest.MonkeyPatch


def in_a_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives, also where a browser's event loop runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@pytest.fixture
def started(clone: Path, monkeypatch: Patch) -> list[str]:
    """JupyterLab's arguments; nothing is started."""
    given: list[str] = []
    monkeypatch.setattr(lab.LabApp, "launch_instance", given.extend)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(clone)
    return given


@pytest.mark.parametrize(("user", "options"), [(0, ["--allow-root", "--port=1"]), (1000, ["--port=1"])])
def test_root_is_allowed_to_be_root(started: list[str], monkeypatch: Patch, user: int, options: list[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    lab.start(["--port=1"])
    assert [word for word in started if "_dir=" not in word and "encryption" not in word] == options


@pytest.mark.parametrize("possible", [True, False])
def test_what_kernels_say_is_encrypted_where_zeromq_can_do_it(
    started: list[str], monkeypatch: Patch, possible: bool
) -> None:
    monkeypatch.setattr("zmq.has", lambda what: possible and what == "curve")
    lab.start([])
    server = ServerApp()
    server.parse_command_line(started)
    policy = "auto" if possible else "disabled"
    assert ServerKernelManager(config=server.config).transport_encryption == policy


@pytest.mark.parametrize(
    "settings",
    [
        {"ServerApp": {"root_dir": os.devnull}},
        {"ServerApp": {"preferred_dir": "/"}},
        {"FileContentsManager": {"root_dir": "/", "preferred_dir": "tmp"}},
        {"AsyncLargeFileManager": {"root_dir": "/"}},
    ],
)
def test_the_course_is_opened_whatever_folder_the_users_settings_open(
    started: list[str], clone: Path, settings: dict[str, Any]
) -> None:
    (clone / "jupyter_server_config.json").write_text(json.dumps(settings))
    os.environ["JUPYTER_CONFIG_DIR"] = str(clone)
    lab.start([])
    server = ServerApp()
    server.parse_command_line(started)
    server.load_config_file()
    files = lab.CourseFiles(parent=server)
    assert (server.root_dir, server.preferred_dir, files.root_dir, files.preferred_dir) == (*[str(clone)] * 3, "")


def test_a_home_that_cannot_be_written_to_is_said_and_left_alone(
    started: list[str], clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [*lab._folders(), "XDG_DATA_HOME", "USERPROFILE", "APPDATA"]:
        os.environ.pop(name, None)
    os.environ["HOME"] = os.environ["USERPROFILE"] = os.devnull
    lab.start([])
    assert capsys.readouterr().out.startswith(os.devnull)
    assert all(Path(os.environ[name]).is_relative_to(clone / ".lecture17") for name in lab._folders())


@pytest.mark.parametrize("name", ["JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"])
def test_a_single_folder_that_cannot_be_written_to_is_kept_elsewhere(
    started: list[str], clone: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ.update({each: str(clone / "home" / each) for each in lab._folders()})
    os.environ[name] = before = os.path.join(os.devnull, "another's")
    lab.start([])
    assert capsys.readouterr().out.startswith(f"{before} cannot be written to")
    elsewhere = [each for each in lab._folders() if Path(os.environ[each]).is_relative_to(clone / ".lecture17")]
    assert elsewhere == [name]


def test_a_home_that_can_be_written_to_is_used_as_ever(started: list[str], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    for name in [*lab._folders(), "XDG_DATA_HOME"]:
        os.environ.pop(name, None)
    os.environ["HOME"] = os.environ["USERPROFILE"] = str(tmp_path / "home")
    lab.start([])
    assert "JUPYTER_RUNTIME_DIR" not in os.environ
    assert list((tmp_path / "home").iterdir()) == []


def test_settings_are_found_and_those_of_the_user_come_first(
    started: list[str], tmp_path: Path, monkeypatch: Patch
) -> None:
    os.environ["JUPYTER_CONFIG_PATH"] = str(tmp_path)
    lab.start([])
    assert os.environ["JUPYTER_CONFIG_PATH"] == os.pathsep.join([str(lab.SETTINGS), str(tmp_path)])
    overrides, error = _get_overrides(str(tmp_path))
    assert (error, overrides["@jupyterlab/apputils-extension:notification"]["fetchNews"]) == ("", "false")
    disabled = get_page_config([], str(tmp_path))["disabledExtensions"]
    assert {"@jupyter/nbgrader", "jupyterlab-jupytext"} <= set(disabled)


def test_every_server_extension_that_is_turned_off_has_that_name() -> None:
    """By the names that nbgrader and jupytext install, in the environment of authors."""
    switches = json.loads((lab.SETTINGS / "jupyter_server_config.json").read_text())["ServerApp"]["jpserver_extensions"]
    off = {name for name, on in switches.items() if not on}
    folder = [str(Path(sys.prefix) / "etc" / "jupyter")]
    installed = ExtensionConfigManager(read_config_path=folder).get_jpserver_extensions()
    assert off == {name for name in installed if name.startswith(("nbgrader", "jupyterlab_jupytext"))}


def test_only_the_twins_of_notebooks_are_hidden() -> None:
    globs = json.loads((lab.SETTINGS / "jupyter_server_config.json").read_text())["ContentsManager"]["hide_globs"]
    files = lab.CourseFiles(hide_globs=globs)
    names = {path.name for folder in ("notebooks", "solutions", "lecture17") for path in (ROOT / folder).rglob("*.py")}
    hidden = {name for name in names if not files.should_list(name)}
    assert hidden == {name for name in names if re.match(r"\d\d[a-e]?_", name)}
    assert all(files.should_list(path.name) for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_a_notebook_opens_with_its_kernels_version_and_is_saved_without(tmp_path: Path) -> None:
    nb = read(ROOT / "exercises" / "00_quickstart.ipynb")
    nb.metadata.language_info = LANGUAGE
    path = tmp_path / "a.ipynb"
    write(nb, path)
    before = path.read_bytes()
    files = lab.CourseFiles(root_dir=str(tmp_path))

    async def open_and_save() -> dict:
        model = await files.get("a.ipynb")
        shown = dict(model["content"]["metadata"]["language_info"])
        model["content"]["metadata"]["language_info"] = {**shown, "version": "3.99"}  # opened by another Python
        await files.save(model, "a.ipynb")
        return shown

    assert in_a_thread(open_and_save()) == IPythonKernel.language_info
    assert path.read_bytes() == before


def test_a_notebook_in_another_language_is_left_alone(tmp_path: Path) -> None:
    nb = read(ROOT / "exercises" / "00_quickstart.ipynb")
    nb.metadata.language_info = {"name": "julia", "file_extension": ".jl", "version": "1.12"}
    write(nb, tmp_path / "a.ipynb")
    before = (tmp_path / "a.ipynb").read_bytes()
    files = lab.CourseFiles(root_dir=str(tmp_path))

    async def open_and_save() -> None:
        await files.save(await files.get("a.ipynb"), "a.ipynb")

    in_a_thread(open_and_save())
    assert (tmp_path / "a.ipynb").read_bytes() == before


@pytest.fixture
def edited(tmp_path: Path) -> dict[str, bytes]:
    """A course in which a notebook of the lecture was edited outside JupyterLab, long after its pair was saved."""
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "jupytext.toml", tmp_path)
    for ending in ("py", "ipynb"):
        shutil.copy(ROOT / "notebooks" / f"00_quickstart.{ending}", tmp_path / "notebooks")
    path = tmp_path / "notebooks" / "00_quickstart.ipynb"
    nb = read(path)
    nb.cells[0].source = "# Edited elsewhere"
    write(nb, path)
    os.utime(path.with_suffix(".py"), (1, 1))
    return {p.name: p.read_bytes() for p in path.parent.iterdir()}


def test_a_notebook_that_was_edited_elsewhere_opens_as_it_is_and_saving_keeps_both_files(
    edited: dict[str, bytes], tmp_path: Path
) -> None:
    files = lab.CourseFiles(root_dir=str(tmp_path))

    async def open_and_save() -> str:
        model = await files.get("notebooks/00_quickstart.ipynb")
        await files.save(model, "notebooks/00_quickstart.ipynb")
        return str(model["content"]["cells"][0]["source"])

    assert in_a_thread(open_and_save()) == "# Edited elsewhere"
    assert {p.name: p.read_bytes() for p in (tmp_path / "notebooks").iterdir() if p.is_file()} == edited


def test_where_authors_pair_notebooks_an_edit_elsewhere_is_named_and_nothing_is_lost(
    edited: dict[str, bytes], tmp_path: Path
) -> None:
    files = build_sync_jupytext_contents_manager_class(LargeFileManager)(root_dir=str(tmp_path))
    with pytest.raises(HTTPError, match=r"00_quickstart\.ipynb .* is more recent than .*00_quickstart\.py"):
        files.get("notebooks/00_quickstart.ipynb")
    assert {p.name: p.read_bytes() for p in (tmp_path / "notebooks").iterdir() if p.is_file()} == edited
