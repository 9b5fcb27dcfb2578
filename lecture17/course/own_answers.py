"""The learner's function for an exercise, for notebooks that run it: where it is not passed yet, the course's own."""

from collections.abc import Callable
from typing import Any

from .exercises import get
from .notebooks import grade_id, read
from .paths import EXERCISES, SOLUTIONS, home
from .progress import load
from .say import say


def own_answer(exercise_id: str) -> Callable[..., Any]:
    """The function that the answer cell defines, after the imports of its notebook; says whose it is.

    Raises KeyError for an exercise that does not exist.
    """
    exercise = get(exercise_id)
    passed = exercise.id in load()
    cells = read(home() / (EXERCISES if passed else SOLUTIONS) / f"{exercise.stem}.ipynb").cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    answer = next(cell.source for cell in code if grade_id(cell) == exercise.id)
    names: dict[str, Any] = {}
    exec(compile(code[0].source, f"<the imports of {exercise.stem}>", "exec"), names)
    before = set(names)
    exec(compile(answer, f"<your answer to {exercise.id}>", "exec"), names)
    say(f"{exercise.id}: {'your own answer' if passed else 'the answer of the course, until yours is passed'}")
    return next(names[name] for name in reversed(names) if name not in before)
