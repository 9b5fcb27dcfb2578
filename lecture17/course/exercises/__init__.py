"""The exercises of the course: one module a notebook, `ex_<stem>`, loaded when first asked for."""

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


def get(exercise_id: str) -> Exercise:
    """The exercise of that id. Raises KeyError, naming the ids there are, for an unknown one."""
    stem = exercise_id.split("-", 1)[0]
    known = of_notebook(stem) if stem in stems() else tuple(all_exercises())
    for exercise in known:
        if exercise.id == exercise_id:
            return exercise
    raise KeyError(f"no exercise is called {exercise_id!r}: expected one of {', '.join(e.id for e in known)}")
