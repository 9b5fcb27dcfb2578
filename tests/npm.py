"""Tools of the npm registry that checks use, fetched once and kept in pytest's cache."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest


def missing(what: str) -> None:
    """A check that cannot run is a failure where CI=true, and a visible skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


class CannotFetch(RuntimeError):
    """There is no npm, or it could not fetch the package; the message says which."""


def fetch(name: str, folder: Path) -> Path:
    """The unpacked folder of a package, given as name@version, kept in `folder`. Raises CannotFetch."""
    kept = folder / name.replace("@", "-")
    if not kept.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise CannotFetch(f"npm was not found, so there is no {name}; on Debian: apt install npm")
        scratch = kept.with_name(f"{kept.name}.{os.getpid()}")
        scratch.mkdir(parents=True)
        done = subprocess.run([npm, "pack", name], cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(scratch)
            raise CannotFetch(f"npm could not fetch {name}: {done.stderr[-300:]}")
        (archive,) = scratch.glob("*.tgz")
        with tarfile.open(archive) as packed:
            files = [member for member in packed if not member.name.endswith(".map")]  # they are most of a package
            packed.extractall(scratch, files, filter="data")
        if not kept.exists():  # another process may have been quicker
            scratch.rename(kept)
    return kept / "package"


def package(request: pytest.FixtureRequest, name: str) -> Path:
    """The unpacked folder of a package that a check needs, given as name@version."""
    assert request.config.cache is not None
    try:
        return fetch(name, request.config.cache.mkdir("npm"))
    except CannotFetch as error:
        missing(f"{error}. It checked nothing.")
        raise


def installed(request: pytest.FixtureRequest, sources: Path) -> Path:
    """A copy of a folder of JavaScript, kept in pytest's cache, with the packages that its lock file names."""
    assert request.config.cache is not None
    npm = shutil.which("npm")
    if npm is None:
        missing("npm was not found, so the bundle was not built")
    lock = hashlib.sha256((sources / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = request.config.cache.mkdir(f"npm-{sources.name}-{lock}")
    for file in sources.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    if not (folder / "node_modules" / ".bin").exists():
        done = subprocess.run([str(npm), "ci", "--no-audit"], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            missing(f"npm could not fetch what the bundle is built with: {done.stderr[-300:]}")
    return folder


def bundle(tools: Path, target: Path) -> None:
    """Build the bundle of `installed` tools into this file, with the command that their package.json names."""
    command = json.loads((tools / "package.json").read_text(encoding="utf-8"))["scripts"]["build"]
    program, *arguments = command.split()
    arguments = [f"--outfile={target}" if word.startswith("--outfile=") else word for word in arguments]
    done = subprocess.run(
        [tools / "node_modules" / ".bin" / program, *arguments], cwd=tools, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
