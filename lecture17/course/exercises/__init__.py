"""The exercises of the course: one module a notebook, `ex_<stem>`, loaded when first asked for."""

import difflib
import importlib
import pkgutil

from ..exercise import Exercise


def stems() -> list[str]:
    """The notebooks that have exercises, in the order of the course."""
    return sorted(m.name.removeprefix("ex_") for m in pkgutil.iter_modules(__path__) if m.name.startswith("ex_"))


def of_notebook(stem: str) -> tuple[Exercise, ...]:
    """The exercises of one notebook, in order. Raises KeyError for a notebook without exercises."""
    if stem not in stems():
        raise KeyError(f"no notebook with exercises is called {stem!r}: expected one of {', '.join(stems())}")
    return importlib.import_module(f".ex_{stem}", __package__).EXERCISES


def all_exercises() -> list[Exercise]:
    """Every exercise of the course, in order."""
    return [e for stem in stems() for e in of_notebook(stem)]


class UnknownExercise(KeyError):
    """An id that no exercise has. IPython shows the message alone, without a traceback."""

    def __str__(self) -> str:
        return str(self.args[0])

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def get(exercise_id: str) -> Exercise:
    """The exercise of that id, or the only one whose id ends in it. Raises UnknownExercise with what comes nearest."""
    stem = exercise_id.split("-", 1)[0]
    by_id = {e.id: e for e in (of_notebook(stem) if stem in stems() else all_exercises())}
    matches = [i for i in by_id if i == exercise_id] or [i for i in by_id if i.endswith(f"-{exercise_id}")]
    if len(matches) == 1:
        return by_id[matches[0]]
    near = matches or difflib.get_close_matches(exercise_id, by_id, n=2, cutoff=0.5)
    if part := [s for s in stems() if exercise_id in (s, s.partition("_")[0])]:
        meant = f"there are {', '.join(e.id for s in part for e in of_notebook(s))}"
    elif near:
        meant = f"did you mean {' or '.join(near)}?"
    else:
        meant = f"the `check(…)` below an answer has its id; the notebooks with exercises are {', '.join(stems())}"
    raise UnknownExercise(f"no exercise is called {exercise_id!r}: {meant}")
