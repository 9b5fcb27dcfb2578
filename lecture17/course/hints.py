"""Hints, titled by what the learner sees go wrong."""

from .exercises import get
from .progress import first_open, load


def hint_text(exercise_id: str | None, number: int | None = None, call: str = 'hint("{}", 1)') -> str:
    """The symptoms an exercise has hints for, or the hint of that number (from 1); without an id, for the next one.

    call: how the learner asks for the first hint of an id, for which there is {}.
    Raises KeyError for an unknown exercise, ValueError for a number without a hint.
    """
    if exercise_id is None:
        upcoming = first_open(load())
        if upcoming is None:
            return 'You have passed every exercise. hint("03a_semiseparable-segsum") shows the hints of one.'
        exercise_id = upcoming.id
    exercise = get(exercise_id)
    if number is None:
        lines = [f"{i}  {symptom}" for i, (symptom, _) in enumerate(exercise.hints, 1)]
        opens = f"{call.format(exercise.id)} opens the first"
        return "\n".join([f"{exercise.id}: which of these is it?", *lines, opens])
    if not 1 <= number <= len(exercise.hints):
        raise ValueError(f"number is {number}: {exercise.id} has hints 1 to {len(exercise.hints)}")
    symptom, help_ = exercise.hints[number - 1]
    return f"{symptom}:\n{help_}"
