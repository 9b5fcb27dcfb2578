"""What the learner has passed: recorded by `check`, shown by `progress()` and `python -m lecture17 progress`."""

import json
from collections.abc import Container
from datetime import datetime
from pathlib import Path

from . import assessment, exercises, predictions
from .exercise import Exercise
from .paths import EXERCISES, home, private, read_kept, write_atomically

# The lecture's seven zones, by the first digit of a notebook's number, as README's table names them.
ZONES = ("Quick start", "Tour", "Intuition", "Theory", "Machines", "Measured", "Review")


def _file() -> Path:
    return private() / "progress.json"


def load() -> dict[str, str]:
    """Exercise id → when it was first passed."""
    return read_kept(_file(), "passed", dict)


def keep(exercise_id: str) -> str:
    """Record that an exercise is passed; returns how far the learner has come and what is next, in Markdown.

    Only work in exercises/ counts. Elsewhere the result is "", because solutions pass without being the learner's.
    """
    try:
        if Path.cwd().resolve() != (home() / EXERCISES).resolve():
            return ""
    except FileNotFoundError:  # used outside a clone: there is nowhere to record it
        return ""
    passed = load()
    if exercise_id not in passed:
        passed[exercise_id] = datetime.now().isoformat(timespec="seconds")
        try:
            write_atomically(_file(), json.dumps({"passed": passed}, indent=1) + "\n")
        except OSError as error:
            return f"Passed, but progress could not be written: {error}"
    done, total, upcoming = standing(passed)
    here = exercises.get(exercise_id).stem
    if upcoming is None:
        step = "That was the last exercise. [06 · Review](../notebooks/06_review.ipynb) sums up the course."
    elif upcoming.stem == here:
        step = f"Next: `{upcoming.id}`, below or above in this notebook."
    else:
        lecture = f"[notebooks/{upcoming.stem}](../notebooks/{upcoming.stem}.ipynb)"
        step = f"Next: `{upcoming.id}` in [exercises/{upcoming.stem}]({upcoming.stem}.ipynb), after {lecture}."
    return f"{done} of {total} points, {done / total:.0%}. {step}"


def standing(passed: Container[str]) -> tuple[int, int, Exercise | None]:
    """Points earned, points there are, and the first exercise in the course's order that is not passed yet."""
    everything = exercises.all_exercises()
    upcoming = next((e for e in everything if e.id not in passed), None)
    return sum(e.points for e in everything if e.id in passed), sum(e.points for e in everything), upcoming


def progress() -> None:
    """Print what is passed and what is next."""
    print(summary())


def summary() -> str:
    """Points and exercises passed, a line per notebook, predictions, the self-assessment, and what is next."""
    passed = load()
    lines, zone = [], ""
    for stem in exercises.stems():
        if stem[1] != zone:
            zone = stem[1]
            lines.append(f"zone {zone} · {ZONES[int(zone)]}")
        items = exercises.of_notebook(stem)
        got, out_of = (sum(e.points for e in some) for some in ([e for e in items if e.id in passed], items))
        boxes = "".join("■" if e.id in passed else "□" for e in items)
        lines.append(f"  {stem:<18} {boxes:<10} {got:>3} of {out_of} points")
    done, total, upcoming = standing(passed)
    lines.append(f"{'all':<20} {'':<10} {done:>3} of {total} points, {done / total:.0%}")
    lines.append(predictions.outcome())
    lines.append(assessment.words(assessment.ticked()))
    lines.append(f"next: {upcoming.id}, in exercises/{upcoming.stem}.ipynb" if upcoming else "every exercise is passed")
    return "\n".join(lines)
