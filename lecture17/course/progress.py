"""What the learner has passed: recorded by `check`, shown by `progress()` and `python -m lecture17 progress`."""

import json
from datetime import datetime
from pathlib import Path

from . import assessment, exercises, predictions
from .paths import EXERCISES, home, private, read_kept, write_atomically


def _file() -> Path:
    return private() / "progress.json"


def load() -> dict[str, str]:
    """Exercise id → when it was first passed."""
    return read_kept(_file(), "passed", dict)


def keep(exercise_id: str) -> None:
    """Keep that an exercise is passed. Only work in exercises/ counts: solutions pass without being the learner's."""
    try:
        if Path.cwd().resolve() != (home() / EXERCISES).resolve():
            return
    except FileNotFoundError:  # used outside a clone: nothing to record in
        return
    passed = load()
    if exercise_id not in passed:
        passed[exercise_id] = datetime.now().isoformat(timespec="seconds")
        try:
            write_atomically(_file(), json.dumps({"passed": passed}, indent=1) + "\n")
        except OSError as error:
            print(f"(passed, but progress could not be written: {error})")


def progress() -> None:
    """Print what is passed and what is next."""
    print(summary())


def summary() -> str:
    """Points and exercises passed, a line a notebook, the predictions, the self-assessment, and what is next."""
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
    lines.append(predictions.outcome())
    lines.append(assessment.words(assessment.ticked()))
    lines.append(f"next: {next_one.id}, in exercises/{next_one.stem}.ipynb" if next_one else "every exercise is passed")
    return "\n".join(lines)
