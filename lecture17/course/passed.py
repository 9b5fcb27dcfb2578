"""What the learner has passed: recorded by `check`, shown by `progress()` and `python -m lecture17 progress`."""

import json
from datetime import datetime
from pathlib import Path

from . import exercises
from .exercise import Exercise
from .paths import EXERCISES, home, private, write_atomically


def _file() -> Path:
    return private() / "progress.json"


def load() -> dict[str, str]:
    """Exercise id → when it was first passed. A file that cannot be read is set aside, not overwritten."""
    path = _file()
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["passed"])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        aside = path.with_name(f"progress.broken-{datetime.now():%Y%m%d-%H%M%S}.json")
        path.rename(aside)
        print(f"{path.name} could not be read; it is kept as {aside.name}, and a new one begins")
        return {}


def record(exercise: Exercise) -> None:
    """Note that `exercise` is passed. Only work in exercises/ counts: solutions pass without being the learner's."""
    try:
        if Path.cwd().resolve() != (home() / EXERCISES).resolve():
            return
    except FileNotFoundError:  # used outside a clone: nothing to record in
        return
    passed = load()
    if exercise.id not in passed:
        passed[exercise.id] = datetime.now().isoformat(timespec="seconds")
        try:
            write_atomically(_file(), json.dumps({"passed": passed}, indent=1) + "\n")
        except OSError as error:
            print(f"(passed, but progress could not be written: {error})")


def summary() -> str:
    """Points and exercises passed, a line a notebook, and which exercise is next."""
    passed = load()
    lines, next_one, done, total = [], None, 0, 0
    for stem in exercises.stems():
        items = exercises.of_notebook(stem)
        got = sum(e.points for e in items if e.id in passed)
        out_of = sum(e.points for e in items)
        boxes = "".join("■" if e.id in passed else "□" for e in items)
        lines.append(f"{stem:<18} {boxes:<10} {got:>3} of {out_of} points")
        next_one = next_one or next((e for e in items if e.id not in passed), None)
        done, total = done + got, total + out_of
    lines.append(f"{'all':<18} {'':<10} {done:>3} of {total} points")
    lines.append(f"next: {next_one.id}, in exercises/{next_one.stem}.ipynb" if next_one else "every exercise is passed")
    return "\n".join(lines)
