"""What turns notebooks into a course. In a notebook: `from lecture17.course import check, hint, predict, progress`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .checking import CheckFailed, check
from .progress import progress

if TYPE_CHECKING:
    from .predicting import Prediction

__all__ = ["CheckFailed", "check", "hint", "own_answer", "predict", "progress"]


def hint(exercise_id: str | int | None = None, number: int | None = None) -> None:
    """Print the titles of an exercise's hints, or the hint with that number.

    `hint()` lists the hints for the check that failed last, and `hint(2)` prints the second of them. An id may be
    shortened to its end: `hint("matrix")` for `00_quickstart-matrix`. An unknown exercise or hint prints a message.
    """
    from .checking import last_failed
    from .hints import hint_text
    from .say import say

    if isinstance(exercise_id, int):
        exercise_id, number = None, exercise_id
    try:
        say(hint_text(exercise_id or next(iter(last_failed), None), number))
    except (KeyError, ValueError) as error:
        say(error.args[0])


def predict(question_id: str) -> "Prediction":
    """Ask for a prediction, as the last expression of a cell. Raises KeyError for an unknown id."""
    from .predicting import ask

    return ask(question_id)


def own_answer(exercise_id: str) -> Callable[..., Any]:
    """The learner's function for an exercise that is passed, else the course's; says which. KeyError: unknown id."""
    from .own_answers import own_answer

    return own_answer(exercise_id)
