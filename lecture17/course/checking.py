"""`check`: run a learner's answer on random inputs, half of them fresh, and name the mistake it makes.

`judge` returns a `Record`. Its fields are for programs such as grading; its text is for people, and may change.
"""

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from IPython.core.getipython import get_ipython
from IPython.display import Markdown, display

from . import exercises
from .answers import Failure, Returned, call, close, compare, defined_settings, first_line, twins
from .exercise import Exercise, Function, Inputs, Misconception, WrongForm
from .progress import keep
from .say import say

SEEDS = range(12)  # the same for everybody
WIDTH = 86  # columns of a message: what fits on a line of JupyterLab on a small screen
N_UNSEEDED = 12  # and as many that nobody has seen
PASSED, UNFILLED, WRONG, NO_MEMORY = "passed", "not filled in", "wrong", "out of memory"
last_failed: list[str] = []  # the exercise whose check failed last, for `hint()`
outdated: dict[str, Any] = {}  # the functions in use, by names whose newest text has a syntax error


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
        points = f" ({self.points} point{'s' * (self.points > 1)})" if self.points else ""
        head = f"✓ {self.exercise}{points}" if self.status == PASSED else f"✗ {self.exercise}"
        return "\n".join([_wrap(f"{head}: {self.summary}"), *self.details])


class CheckFailed(AssertionError):
    """An answer that is not right (yet), with its `record`. IPython shows the message alone, without a traceback."""

    def __init__(self, record: Record) -> None:
        super().__init__(str(record))
        self.record = record

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check(exercise_id: str, answer: Function, *, seed: int | None = None) -> None:
    """Check an answer against the definition: print what was verified, or raise CheckFailed, which says what is wrong.

    The answer is called on random inputs, half of them drawn anew at every call. A pass is recorded in the learner's
    progress. `seed` repeats one case, which a failure message names; passing that one alone earns nothing.

    Raises KeyError for an unknown exercise, CheckFailed for an answer that is not right.
    """
    record = judge(exercise_id, answer, seed=seed)
    if record.status != PASSED:
        last_failed[:] = [record.exercise]
        raise CheckFailed(record)
    if seed is not None:
        record = replace(record, points=0, summary=f"{record.summary}. For the points, run the check without `seed`")
    say(str(record))
    if seed is None and (standing := keep(record.exercise)):
        display(Markdown(standing))


def judge(exercise_id: str, answer: Function, *, seed: int | None = None) -> Record:
    """What `check` says of an answer, as a record. Raises KeyError for an unknown exercise."""
    with defined_settings():
        return _judge(exercises.get(exercise_id), answer, seed)


def _judge(exercise: Exercise, answer: Function, seed: int | None) -> Record:
    if not callable(answer):
        return _record(exercise, WRONG, f"expected a function, got {type(answer).__name__}")
    if outdated.get(name := getattr(answer, "__name__", "")) is answer:
        why = f"the cell that defines `{name}` has a syntax error, so an older `{name}` is still in use"
        return _record(exercise, WRONG, why, lines=["next:  fix that cell and run it, then run this check again"])
    seeds = [*SEEDS, *fresh_seeds()] if seed is None else [seed]
    for s in seeds:
        inputs = exercise.draw(np.random.default_rng(s))
        returned = call(exercise, answer, inputs)
        failure = compare(exercise, inputs, returned)
        if failure is not None:
            return _explain(exercise, answer, s, inputs, returned.error, failure)
    if seed is None and any(compare(exercise, c, call(exercise, answer, c)) for c in twins(exercise, seeds[-1]) or ()):
        why = "the numbers are right for the first inputs of a size, and wrong for others of that size"
        return _record(
            exercise, WRONG, why, lines=["why:   this is what you get when a result is kept and given again"]
        )
    if exercise.at_last is not None:
        try:
            exercise.at_last(answer)
        except WrongForm as fault:
            return _record(exercise, WRONG, str(fault), lines=["next:  hint() helps"])
    *others, last = exercise.returns
    names = f"{', '.join(others)} and {last}" if others else last
    are, match = ("are", "match") if others else ("is", "matches")
    claim = f"{names} {match} the definition to {exercise.tol:.0e}" if exercise.expected else f"{names} {are} right"
    return _record(exercise, PASSED, f"{claim} on {len(seeds)} random cases, {exercise.verified}")


def note_definitions(result: Any) -> None:
    """After each cell (IPython's post_run_cell): note which functions are older than what the cells now say."""
    cell, compiled = result.info.raw_cell or "", result.error_before_exec is None
    if cell.startswith("%%"):  # a magic such as %%time compiles the cell itself
        compiled = compiled and not isinstance(result.error_in_exec, SyntaxError)
    if not compiled and (shell := get_ipython()):
        outdated.update({name: shell.user_ns.get(name) for name in re.findall(r"^ *def +(\w+)", cell, re.MULTILINE)})


if shell := get_ipython():
    shell.events.register("post_run_cell", note_definitions)


def fresh_seeds() -> list[int]:
    """Seeds of cases that nobody has seen, different ones at every call."""
    return np.random.default_rng().integers(1_000_000, 10_000_000, N_UNSEEDED).tolist()


def diagnose(exercise: Exercise, answer: Function, seeds: Iterable[int]) -> Misconception | None:
    """The misconception whose code gives what `answer` gives on each of `seeds`, None if there is none.

    One of the seeds must be a case that the answer fails: then so does the misconception. If it is compared by some
    outputs only, then on the last seed it must go wrong first in the same output as the answer.
    """
    candidates = [(m, wrong) for m in exercise.misconceptions for wrong in (m.wrong, *m.also)]
    for s in seeds:
        inputs = exercise.draw(np.random.default_rng(s))
        returned = call(exercise, answer, inputs)
        candidates = [(m, f) for m, f in candidates if _same(exercise, returned, call(exercise, f, inputs), m.of)]
        if not candidates:
            return None

    def output(result: Returned) -> str | None:
        failure = compare(exercise, inputs, result)
        return failure.output if failure else None

    first = output(returned)
    return next((m for m, f in candidates if not m.of or output(call(exercise, f, inputs)) == first), None)


def _explain(
    exercise: Exercise, answer: Function, seed: int, inputs: Inputs, error: BaseException | None, failure: Failure
) -> Record:
    """The record of an answer that fails a case: what was tried, where it differs, why, and how to go on."""
    if isinstance(error, NotImplementedError) and not error.args:  # the stub's own says nothing
        ends = "Your code goes in place of `raise NotImplementedError()`, where the function ends; then run its cell."
        return _record(exercise, UNFILLED, f"{exercise.unfilled} {ends}")
    mistake = diagnose(exercise, answer, [*SEEDS, seed])
    told = {
        "tried": describe(inputs),
        "where": failure.where,
        "why": f"this is what you get when {mistake}" if mistake else _guess(failure, inputs),
        "next": f"hint() in a new cell helps; check(…, seed={seed}) repeats this case",
    }
    lines = [f"{f'{name}:':<6} {text}" for name, text in told.items() if text]
    status = NO_MEMORY if type(error).__name__.endswith("MemoryError") else WRONG
    return _record(exercise, status, failure.what, mistake.name if mistake else "", failure.where, lines)


def _guess(failure: Failure, inputs: Inputs) -> str:
    """What can be said about a wrong array, or an exception, that matches no misconception; "" if nothing."""
    value, right = failure.value, failure.right
    if value is None or right is None:
        return _guess_of_error(failure.what, inputs)
    if value.ndim == right.ndim >= 2 and close(np.swapaxes(value, -1, -2), right):
        return "this is the right answer, transposed"
    if value.shape != right.shape:
        return ""
    if value.ndim and not value.any():
        return "every entry is zero"
    if value.dtype.kind == "f" and value.dtype.itemsize < right.dtype.itemsize:
        return f"this was computed in {value.dtype}; keep the precision of the inputs, {right.dtype}"
    if right.dtype.kind != value.dtype.kind and np.array_equal(value, right):
        return f"the numbers are right, as {value.dtype}"
    ratio = float((value * right).sum() / (right * right).sum()) if right.size > 1 and right.any() else np.nan
    if np.isfinite(ratio) and abs(ratio - 1) > 0.01 and close(value, ratio * right):
        return f"this is the right answer times {ratio:.6g}"
    return "none of the usual mistakes gives exactly this answer"


def _guess_of_error(what: str, inputs: Inputs) -> str:
    """The usual cause of an exception that NumPy raises, "" if there is none."""
    if "cannot reshape array" in what and "chunk_size" in inputs:
        return "N need not be a multiple of chunk_size: slice the tokens, the last chunk may be shorter"
    if "Singular matrix" in what:
        return "nothing keeps the matrix of this linear system from being singular: is a term of its diagonal missing?"
    shapes = sorted(re.findall(r"\([\d,]+\)", what), key=len)
    if "could not be broadcast" in what and len(shapes) == 2:
        short, long = ([int(n) for n in shape.strip("(,)").split(",")] for shape in shapes)
        if len(short) == 1 and len(long) == 2 and short[0] == long[0] != long[1]:
            return (
                "NumPy lines up last axes: what has one number for each row of a matrix needs a second one, v[:, None]"
            )
    return ""


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
        return type(a.error) is type(b.error) and _without_numbers(a.error) == _without_numbers(b.error)
    if a.fault is not None or b.fault is not None:
        return a.fault == b.fault
    return all(close(a.outputs[n], b.outputs[n], max(exercise.tol, 1e-8)) for n in names or a.outputs)


def _without_numbers(error: BaseException | None) -> str:
    """The same mistake says the same, but for sizes."""
    text = re.sub(r"[\d.]+", "#", first_line(error)) if error else ""
    return str(sorted(text.split())) if "could not be broadcast" in text else text  # whichever operand came first
