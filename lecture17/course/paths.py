"""Where the course is on this machine."""

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from .say import say

Kept = TypeVar("Kept", dict, list)

LOCKED = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4)  # seconds after which a file that is locked is tried again
EXERCISES, SOLUTIONS, NOTEBOOKS = "exercises", "solutions", "notebooks"


def home() -> Path:
    """The folder that holds notebooks/, exercises/ and solutions/: LECTURE17_HOME, or the clone of this package.

    Raises FileNotFoundError, which says how to fix it, if that is not a folder of the course.
    """
    named = os.environ.get("LECTURE17_HOME")
    folder = Path(named) if named else Path(__file__).parents[2]
    if not (folder / SOLUTIONS).is_dir():
        raise FileNotFoundError(
            f"{folder} is not a clone of the course (it has no {SOLUTIONS}/): "
            "install with `pip install -e .` from a clone, or set LECTURE17_HOME to one"
        )
    return folder


def private() -> Path:
    """The learner's own folder, `.lecture17/`: progress and backups, never under version control."""
    return home() / ".lecture17"


def write_atomically(path: Path, text: str) -> None:
    """Write `text` so that even after a crash there is either the old file or the new one, never a mixture.

    A link stays one, and a file keeps its mode. On Windows a file that another program is reading just now cannot be
    replaced: it is tried again for a second. What is no file, a pipe or a device as /dev/stdout, is written to.
    """
    if path.is_relative_to("/dev") or (path.exists() and not path.is_file()):
        with path.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        scratch.write_text(text, encoding="utf-8", newline="\n")  # the same bytes on Windows
        if path.exists():
            shutil.copymode(path, scratch)
        for pause in (*LOCKED, None):
            try:
                os.replace(scratch, path)
                break
            except PermissionError:
                if sys.platform != "win32" or pause is None:
                    raise
                time.sleep(pause)
    finally:
        scratch.unlink(missing_ok=True)


def write_kept(name: str, key: str, value: Any) -> None:
    """Keep `value` under `key` in a JSON file of the learner's own folder."""
    write_atomically(private() / name, json.dumps({key: value}, indent=1, ensure_ascii=False) + "\n")


def add_kept(name: str, key: str, more: dict[str, Any]) -> None:
    """Add entries to the dictionary kept under `key`; nothing is lost when two notebooks do it at once."""
    private().mkdir(parents=True, exist_ok=True)
    with FileLock(private() / f"{name}.lock", timeout=10):
        write_kept(name, key, read_kept(name, key, dict) | more)


def read_kept(name: str, key: str, kind: type[Kept]) -> Kept:
    """What `write_kept` has kept, as a `kind`; an empty one if there is no file.

    A file that cannot be read is set aside, not overwritten.
    """
    path = private() / name
    try:
        return kind(json.loads(path.read_text(encoding="utf-8"))[key])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        aside = path.with_name(f"{path.stem}.broken-{datetime.now():%Y%m%d-%H%M%S}.json")
        with suppress(OSError):  # a folder that cannot be written to, where nothing will be overwritten either
            path.rename(aside)
            say(f"{path.name} could not be read; it is now called {aside.name}, and a new one is started")
    return kind()
