"""Tools of the npm registry that checks use, fetched once and kept in pytest's cache."""

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


def package(request: pytest.FixtureRequest, name: str) -> Path:
    """The unpacked folder of a package, given as name@version."""
    assert request.config.cache is not None
    kept = request.config.cache.mkdir("npm") / name.replace("@", "-")
    if not kept.exists():
        npm = shutil.which("npm")
        if npm is None:
            missing(f"npm was not found, so {name} checked nothing; on Debian: apt install npm")
        scratch = kept.with_name(f"{kept.name}.{os.getpid()}")
        scratch.mkdir()
        done = subprocess.run([str(npm), "pack", name], cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(scratch)
            missing(f"npm could not fetch {name}, so it checked nothing: {done.stderr[-300:]}")
        (archive,) = scratch.glob("*.tgz")
        with tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
        if not kept.exists():  # another process may have been quicker
            scratch.rename(kept)
    return kept / "package"
