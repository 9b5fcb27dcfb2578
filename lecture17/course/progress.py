"""What the learner has passed: recorded by `check`, shown by `progress()` and `python -m lecture17 progress`."""

from collections.abc import Container, Sequence
from datetime import datetime
from pathlib import Path

from IPython.core.getipython import get_ipython
from IPython.display import Markdown, display

from . import assessment, exercises, predictions
from .exercise import Exercise
from .paths import EXERCISES, NOTEBOOKS, SOLUTIONS, add_kept, home, read_kept
from .say import say

# The lecture's seven zones, by the first digit of a notebook's number, with the stars of their hardest notebook.
ZONES = {
    "Quick start": "★☆☆",
    "Tour": "★☆☆",
    "Intuition": "★☆☆",
    "Theory": "★★★",
    "Machines": "★★★",
    "Measured": "★★☆",
    "Review": "★☆☆",
}


def load() -> dict[str, str]:
    """Exercise id → when it was first passed."""
    return read_kept("progress.json", "passed", dict)


def keep(exercise_id: str) -> str:
    """Record that an exercise is passed; returns how far the learner has come and what is next, in Markdown.

    Only work in exercises/ counts: elsewhere the result says so. In solutions/, where a pass is not the learner's, and
    where there is no course to record it in, the result is "".
    """
    try:
        now, counts = Path.cwd(), (home() / EXERCISES).resolve()
    except FileNotFoundError:
        return ""
    begun = Path(getattr(get_ipython(), "starting_dir", now)).resolve()  # a cell may have gone elsewhere
    here = counts if counts in (begun, now.resolve()) else begun
    if here == counts.with_name(SOLUTIONS):
        return ""
    if here != counts:
        fix = "In VS Code, set `jupyter.notebookFileRoot` to `${fileDirname}` and restart the kernel."
        if here.name == EXERCISES and (here.parent / SOLUTIONS).is_dir():
            fix = f"This is another clone: to work in it, run `make lab` or `pip install -e .` in `{here.parent}`."
        return f"Not recorded: this notebook runs in `{here}`, and what counts is what runs in `{counts}`. {fix}"
    passed = load()
    if exercise_id not in passed:
        passed[exercise_id] = datetime.now().isoformat(timespec="seconds")
        try:
            add_kept("progress.json", "passed", {exercise_id: passed[exercise_id]})
        except OSError as error:
            return f"Passed, but progress could not be written: {error}"
    stem = exercises.get(exercise_id).stem
    (done, total), upcoming = _points(passed, exercises.all_exercises()), first_open(passed, exercise_id)
    step = f"Next: `{upcoming.id}` in this notebook." if upcoming and upcoming.stem == stem else _step(upcoming)
    return f"{done} of {total} points, {done / total:.0%}. {step}"


def _points(passed: Container[str], some: Sequence[Exercise]) -> tuple[int, int]:
    """Points earned with these exercises, and points there are."""
    return sum(e.points for e in some if e.id in passed), sum(e.points for e in some)


def first_open(passed: Container[str], here: str = "") -> Exercise | None:
    """The first exercise not passed: after the exercise `here`, or from the notebook `here` on, then from the start."""
    course = exercises.all_exercises()
    at = next((i for i, e in enumerate(course) if here in (e.id, e.stem) or e.stem > here), 0)
    return next((e for e in [*course[at:], *course[:at]] if e.id not in passed), None)


def _step(upcoming: Exercise | None, stem: str = "") -> str:
    """What to do next, in Markdown with links that hold in notebooks/ and in exercises/, for a reader of `stem`."""
    if upcoming is None:
        return "Every exercise is passed. [06 · Review](../notebooks/06_review.ipynb) sums up the course."
    lecture, exercise = (
        f"[{folder}/{upcoming.stem}](../{folder}/{upcoming.stem}.ipynb)" for folder in (NOTEBOOKS, EXERCISES)
    )
    return f"Next: `{upcoming.id}` in {exercise}{'' if upcoming.stem == stem else f', after {lecture}'}."


def progress(stem: str | None = None) -> None:
    """Show what is passed and what is next: of the whole course, or in a line at the end of the notebook `stem`."""
    if stem is None:
        say(summary())
    else:
        from lecture17.widgets.front import somebody_watches  # with ipywidgets, which a check does without

        now = datetime.now()
        when = f" *As of {now.day} {now:%B, %H:%M}: run this cell again for a newer count.*"
        display(Markdown(so_far(stem) + when * somebody_watches()))


def so_far(stem: str) -> str:
    """How far one has come with a notebook and with the course, and what is next, in Markdown.

    Raises KeyError for a notebook that there is not.
    """
    known = sorted({*exercises.stems(), *predictions.stems()})
    if stem not in known:
        raise KeyError(f"no notebook is called {stem!r}: expected one of {', '.join(known)}")
    passed, here = load(), []
    if stem in exercises.stems():
        done, total = _points(passed, exercises.of_notebook(stem))
        here.append(f"{done} of {total} points")
    made, right = predictions.counted(stem)
    here.append(f"{made} of {len(predictions.of_notebook(stem))} predictions made, {right} right")
    done, total = _points(passed, exercises.all_exercises())
    whole = f"the course: {done} of {total} points, {done / total:.0%}"
    return f"**Your progress.** This notebook: {', '.join(here)}; {whole}. {_step(first_open(passed, stem), stem)}"


def summary() -> str:
    """Points and exercises passed, a line per notebook, predictions, the self-assessment, and what is next."""
    passed = load()
    lines, zone = [], ""
    for stem in exercises.stems():
        if stem[1] != zone:
            zone = stem[1]
            name, stars = list(ZONES.items())[int(zone)]
            lines.append(f"zone {zone} · {name} {stars}")
        items = exercises.of_notebook(stem)
        got, out_of = _points(passed, items)
        boxes = "".join("■" if e.id in passed else "□" for e in items)
        lines.append(f"  {stem:<18} {boxes:<10} {got:>3} of {out_of} points")
    (done, total), upcoming = _points(passed, exercises.all_exercises()), first_open(passed)
    lines.append(f"{'all':<20} {'':<10} {done:>3} of {total} points, {done / total:.0%}")
    lines.append(predictions.outcome())
    lines.append(assessment.words(assessment.ticked()))
    lines.append(f"next: {upcoming.id}, in exercises/{upcoming.stem}.ipynb" if upcoming else "every exercise is passed")
    return "\n".join(lines)
