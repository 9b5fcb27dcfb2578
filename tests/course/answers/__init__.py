"""Answers as learners write them, with what the check must say of each.

They were written from the texts of the exercises alone. A wrong answer's function is named after what is wrong with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An answer; `cause` is a piece of what the check must say of it: None if right, "" if no cause is known."""

    exercise: str
    function: Callable[..., Any]
    cause: str | None


ANSWERS: list[Answer] = []


def right(exercise: str) -> Callable[[Any], Any]:
    """The answer below is right, however unusual."""
    return _add(exercise, None)


def wrong(exercise: str, cause: str) -> Callable[[Any], Any]:
    """The answer below is wrong, and the check must name `cause`."""
    return _add(exercise, cause)


def _add(exercise: str, cause: str | None) -> Callable[[Any], Any]:
    def add(function: Any) -> Any:
        ANSWERS.append(Answer(exercise, function, cause))
        return function

    return add
