"""`check`: run a learner's answer on fresh random inputs, and name the mistake it makes.

`judge` returns a `Record`. Its fields are for programs such as grading; its text is for people, and may change.
"""

import copy
import re
import sys
import textwrap
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from IPython.core.getipython import get_ipython
from IPython.display import Markdown, display

from . import exercises
from .exercise import Exercise, Function, Inputs, Misconception, WrongForm
from .progress import keep

SEEDS = range(12)  # the same for everybody
WIDTH = 86  # columns of a message: what fits on a line of JupyterLab on a small screen
N_UNSEEDED = 12  # and as many that nobody has seen
PASSED, UNFILLED, WRONG, NO_MEMORY = "passed", "not filled in", "wrong", "out of memory"
last_failed: list[str] = []  # the exercise whose check failed last, for `hint()`
outdated: set[str] = set()  # functions whose newest text has a syntax error: what they name is older


@dataclass(frozen=True)
class Record:
    """What a check found about an answer; `str` gives the text that the learner reads.

    Attributes
    ----------
    exercise, points: the exercise's id and what it is worth
    status: PASSED, UNFILLED, WRONG or NO_MEMORY
    summary: in one line what was verified, what is wrong, or what there is to do
    misconception: the name of the mistake that gives exactly this answer, "" if no known one does
    where: the first wrong entry and its values, or the line of the cell that raised, "" if there is none
    details: the lines below the first: what was tried, where it differs, why, and how to go on
    """

    exercise: str
    points: int
    status: str
    summary: str
    misconception: str = ""
    where: str = ""
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.status == UNFILLED:
            return f"✗ {self.exercise}: not filled in yet. {self.summary}"
        points = "1 point" if self.points == 1 else f"{self.points} points"
        head = f"✓ {self.exercise} ({points})" if self.status == PASSED else f"✗ {self.exercise}"
        return "\n".join([_wrap(f"{head}: {self.summary}"), *self.details])


class CheckFailed(AssertionError):
    """An answer that is not right (yet), with its `record`. IPython shows the message alone, without a traceback."""

    def __init__(self, record: Record) -> None:
        super().__init__(str(record))
        self.record = record

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass
class Returned:
    """What calling an answer on one case gave: outputs by name, or the exception, or a fault of form."""

    outputs: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    fault: str | None = None


@dataclass
class Failure:
    """Why one case failed: what differs, and where."""

    what: str
    where: str = ""
    value: np.ndarray | None = None
    right: np.ndarray | None = None


def check(exercise_id: str, answer: Function, *, seed: int | None = None) -> None:
    """Check an answer against the definition: print what was verified, or raise CheckFailed, which says what is wrong.

    The answer is called on random inputs, half of them drawn anew at every call. `seed` repeats one case,
    which a failure message names. A pass is recorded in the learner's progress.

    Raises KeyError for an unknown exercise, CheckFailed for an answer that is not right.
    """
    record = judge(exercise_id, answer, seed=seed)
    if record.status != PASSED:
        last_failed[:] = [record.exercise]
        raise CheckFailed(record)
    print(record)
    if standing := keep(record.exercise):
        display(Markdown(standing))


def judge(exercise_id: str, answer: Function, *, seed: int | None = None) -> Record:
    """What `check` says of an answer, as a record. Raises KeyError for an unknown exercise."""
    exercise = exercises.get(exercise_id)
    if not callable(answer):
        return _record(exercise, WRONG, f"expected a function, got {type(answer).__name__}")
    if (name := getattr(answer, "__name__", "")) in outdated:
        why = f"the cell that defines `{name}` has a syntax error, so an older `{name}` is still in use"
        return _record(exercise, WRONG, why, lines=["next:  fix that cell and run it, then run this check again"])
    seeds = [*SEEDS, *fresh_seeds()] if seed is None else [seed]
    for s in seeds:
        inputs = exercise.draw(np.random.default_rng(s))
        returned = call(exercise, answer, inputs)
        failure = compare(exercise, inputs, returned)
        if failure is not None:
            return _explain(exercise, answer, s, inputs, returned.error, failure)
    if exercise.at_last is not None:
        try:
            exercise.at_last(answer)
        except WrongForm as fault:
            return _record(exercise, WRONG, str(fault), lines=["next:  hint() helps"])
    names = " and ".join(exercise.returns)
    tolerance = f" to {exercise.tol:.0e}" if exercise.expected else ""
    claim = f"{names} {'matches' if len(exercise.returns) == 1 else 'match'} the definition{tolerance}"
    return _record(exercise, PASSED, f"{claim} on {len(seeds)} random cases, {exercise.verified}")


def note_definitions(result: Any) -> None:
    """After each cell (IPython's post_run_cell): note which functions are older than what the cells now say."""
    names = set(re.findall(r"^ *def +(\w+)", result.info.raw_cell or "", re.MULTILINE))
    outdated.difference_update(names)
    if result.error_before_exec is not None:
        outdated.update(names)


if shell := get_ipython():
    shell.events.register("post_run_cell", note_definitions)


def fresh_seeds() -> list[int]:
    """Seeds of cases that nobody has seen, different ones at every call."""
    return np.random.default_rng().integers(1_000_000, 10_000_000, N_UNSEEDED).tolist()


def call(exercise: Exercise, answer: Function, inputs: Inputs) -> Returned:
    """Call `answer` on copies of `inputs` and see that what comes back has the right form."""
    given = copy.deepcopy(inputs)
    try:
        with np.errstate(all="ignore"):
            result = exercise.run(answer, given) if exercise.run else answer(*given.values())
    except WrongForm as fault:
        return Returned(fault=str(fault))
    except Exception as error:
        return Returned(error=error)
    changed = [n for n in inputs if not _identical(inputs[n], given[n])]
    if changed:
        return Returned(fault=f"the answer changed its argument {changed[0]} in place: work on a copy")
    if result is None:
        return Returned(fault="the answer returned None: is a `return` missing?")
    n = len(exercise.returns)
    if n > 1 and not (isinstance(result, tuple) and len(result) == n):
        got = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        return Returned(fault=f"expected a tuple ({', '.join(exercise.returns)}), got {got}")
    return Returned(outputs=dict(zip(exercise.returns, result if n > 1 else (result,), strict=True)))


def compare(exercise: Exercise, inputs: Inputs, returned: Returned) -> Failure | None:
    """What is wrong with what an answer returned, None if nothing."""
    if returned.error is not None:
        return Failure(f"raised {type(returned.error).__name__}: {_first_line(returned.error)}", _place(returned.error))
    if returned.fault is not None:
        return Failure(returned.fault)
    if exercise.verify is not None:
        complaint = exercise.verify(inputs, returned.outputs)
        return None if complaint is None else Failure(complaint)
    assert exercise.expected is not None
    right = exercise.expected(*copy.deepcopy(inputs).values())
    rights = dict(zip(exercise.returns, right if len(exercise.returns) > 1 else (right,), strict=True))
    for name, expected in rights.items():
        failure = _difference(exercise, inputs, name, returned.outputs[name], np.asarray(expected))
        if failure is not None:
            return failure
    return None


def _difference(exercise: Exercise, inputs: Inputs, name: str, value: Any, right: np.ndarray) -> Failure | None:
    """How one output differs from the right one: its type, its shape, its numbers, in this order."""
    if not isinstance(value, (np.ndarray, float, int, np.number)):
        return Failure(f"{name} is a {type(value).__name__}: expected a NumPy array of shape {right.shape}")
    value = np.asarray(value)
    if value.shape != right.shape:
        return Failure(f"{name} has shape {value.shape}: expected {right.shape}", value=value, right=right)
    if right.dtype.kind != value.dtype.kind or value.dtype.itemsize < right.dtype.itemsize:
        return Failure(f"{name} has type {value.dtype}: expected {right.dtype}", value=value, right=right)
    if not np.isfinite(value).all():
        what, wrong = f"{name} has entries that are not finite", ~np.isfinite(value)
        error = np.nan
    else:
        scale = np.abs(right).max(initial=0.0) or 1.0
        what, wrong = f"{name} differs from the definition", np.abs(value - right) > exercise.tol * scale
        error = float(np.abs(value - right).max(initial=0.0))
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = exercise.where(inputs, index) if exercise.where and name == exercise.returns[0] else ""
    at = f"{name}[{', '.join(map(str, index))}]" if index else name
    got, expected = value[index], right[index]
    where = f"first at {at}{', ' + where if where else ''}: got {got:.6g}, expected {expected:.6g}"
    where += f"; {int(wrong.sum())} of {wrong.size} entries are wrong"
    if np.isfinite(error):
        where += f", largest error {error:.1e}"
    return Failure(what, where, value, right)


def diagnose(exercise: Exercise, answer: Function, seeds: Iterable[int]) -> Misconception | None:
    """The misconception whose code gives what `answer` gives on each of `seeds`, None if there is none.

    One of the seeds must be a case that the answer fails: then so does the misconception.
    """
    candidates = list(exercise.misconceptions)
    for s in seeds:
        inputs = exercise.draw(np.random.default_rng(s))
        returned = call(exercise, answer, inputs)
        candidates = [m for m in candidates if _same(exercise, returned, call(exercise, m.wrong, inputs), m.of)]
        if not candidates:
            return None
    return candidates[0]


def _explain(
    exercise: Exercise, answer: Function, seed: int, inputs: Inputs, error: BaseException | None, failure: Failure
) -> Record:
    """The record of an answer that fails a case: what was tried, where it differs, why, and how to go on."""
    if isinstance(error, NotImplementedError):
        return _record(exercise, UNFILLED, exercise.unfilled)
    mistake = diagnose(exercise, answer, [*SEEDS, seed])
    if mistake is not None:
        why = f"this is what you get when {mistake.name}: {mistake.advice}"
    else:
        why = _guess(failure) or "none of the usual mistakes gives exactly this answer"
    lines = [
        f"tried: {describe(inputs)}",
        *([f"where: {failure.where}"] if failure.where else []),
        f"why:   {why}",
        f"next:  hint() in a new cell helps; check(…, seed={seed}) repeats this case",
    ]
    status = NO_MEMORY if type(error).__name__.endswith("MemoryError") else WRONG
    return _record(exercise, status, failure.what, mistake.name if mistake else "", failure.where, lines)


def _guess(failure: Failure) -> str | None:
    """What can be said about a wrong array that matches no misconception."""
    value, right = failure.value, failure.right
    if value is None or right is None:
        return None
    if right.ndim == 2 and value.shape == right.shape[::-1] and _close(value.T, right):
        return "this is the right answer, transposed"
    if value.shape != right.shape:
        return None
    if not value.any():
        return "every entry is zero"
    if value.dtype.kind == "f" and value.dtype.itemsize < right.dtype.itemsize:
        return f"this was computed in {value.dtype}; keep the precision of the inputs, {right.dtype}"
    ratio = float((value * right).sum() / (right * right).sum()) if right.any() else 0.0
    if ratio and _close(value, ratio * right):
        return f"this is the right answer times {ratio:.6g}"
    return None


def _record(
    exercise: Exercise, status: str, summary: str, misconception: str = "", where: str = "", lines: Iterable[str] = ()
) -> Record:
    details = tuple(_wrap(text, first="  ", then=" " * 9) for text in lines)
    summary = " ".join(summary.split())
    return Record(exercise.id, exercise.points, status, summary, misconception, where, details)


def _wrap(text: str, first: str = "", then: str = "  ") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)


def describe(inputs: Inputs) -> str:
    """The inputs in words: shapes of arrays, values of numbers, and how many are -inf."""
    words, notes = [], []
    for name, value in inputs.items():
        if isinstance(value, np.ndarray) and value.ndim:
            words.append(f"{name} {value.shape}")
            if np.isneginf(value).any():
                notes.append(f"{int(np.isneginf(value).sum())} of {name} -inf")
        else:
            words.append(f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}")
    return ", ".join(words) + "".join(f"; {n}" for n in notes)


def _same(exercise: Exercise, a: Returned, b: Returned, names: tuple[str, ...]) -> bool:
    if a.error is not None or b.error is not None:
        return type(a.error) is type(b.error)
    if a.fault is not None or b.fault is not None:
        return a.fault == b.fault
    return all(_close(a.outputs[n], b.outputs[n], max(exercise.tol, 1e-8)) for n in names or a.outputs)


def _close(a: Any, b: Any, tol: float = 1e-8) -> bool:
    try:
        a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    scale = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=tol * scale, equal_nan=True)


def _identical(a: Any, b: Any) -> bool:
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def _place(error: BaseException) -> str:
    """The line of the learner's own cell where the exception arose."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "ipykernel" in f.filename or f.filename[:1] == "<"
    ]
    if not frames and error.__traceback__ is not None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if sys.prefix not in f.filename][1:]
    return f"line {frames[-1].lineno} of your cell: {frames[-1].line}" if frames else ""
