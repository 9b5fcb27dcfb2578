"""An answer on one case: called with copies of the inputs, and compared with what is right."""

import contextlib
import copy
import re
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from IPython.core.getipython import get_ipython

from .exercise import Exercise, Function, Inputs, WrongForm

TRIES = 40  # pairs of cases that are drawn until two have the same sizes


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
    output: str = ""  # which one differs, if the others were not looked at


@contextlib.contextmanager
def defined_settings() -> Iterator[None]:
    """What a learner's cells may have switched, as it is in a new kernel; afterwards it is as it was.

    NumPy's reaction to errors, warnings, and PyTorch's gradients, default type and default device.
    """
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = sys.modules.get("torch")
        if torch is None:
            yield
            return
        dtype = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            with torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"):
                yield
        finally:
            torch.set_default_dtype(dtype)


def call(exercise: Exercise, answer: Function, inputs: Inputs) -> Returned:
    """Call `answer` on copies of `inputs` and see that what comes back has the right form."""
    given = copy.deepcopy(inputs)
    try:
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
    numbers = isinstance(result, np.ndarray) and result.ndim == 1  # several numbers in one array are as good
    if n > 1 and not ((numbers or isinstance(result, (tuple, list))) and len(result) == n):
        kind = type(result).__name__
        got = f"a {kind} of {len(result)}" if isinstance(result, (tuple, list)) else kind
        return Returned(fault=f"expected a tuple ({', '.join(exercise.returns)}), got {got}")
    return Returned(outputs=dict(zip(exercise.returns, result if n > 1 else (result,), strict=True)))


class _SameSizes(np.random.Generator):
    """Draws arrays of its own, but single numbers, and the few whole ones that are sizes, as `repeated` says."""

    def __init__(self, seed: int, repeated: Iterable[Any] = ()) -> None:
        super().__init__(np.random.PCG64(seed))
        self.singles: list[Any] = []
        self.repeated = iter(repeated)

    def _kept(self, drawn: Any) -> Any:
        if np.size(drawn) > 1 and (np.size(drawn) > 4 or np.asarray(drawn).dtype.kind != "i"):
            return drawn
        self.singles.append(next(self.repeated, drawn))
        return self.singles[-1]

    def integers(self, *args: Any, **options: Any) -> Any:
        return self._kept(super().integers(*args, **options))

    def random(self, *args: Any, **options: Any) -> Any:
        return self._kept(super().random(*args, **options))

    def uniform(self, *args: Any, **options: Any) -> Any:
        return self._kept(super().uniform(*args, **options))

    def choice(self, *args: Any, **options: Any) -> Any:
        return self._kept(super().choice(*args, **options))


def twins(exercise: Exercise, seed: int) -> tuple[Inputs, Inputs] | None:
    """Two cases of the same sizes and single numbers whose arrays differ; None where a case has no arrays."""
    for tried in range(TRIES):
        first = _SameSizes(seed + tried)
        try:
            cases = exercise.draw(first), exercise.draw(_SameSizes(seed + tried + TRIES, first.singles))
        except (ValueError, IndexError):  # how many numbers a case draws may depend on those before: these do not fit
            continue
        arrays = [name for name, value in cases[0].items() if np.ndim(value)]
        if _sizes(cases[0]) == _sizes(cases[1]) and any(not _identical(cases[0][n], cases[1][n]) for n in arrays):
            return cases
    return None


def _sizes(inputs: Inputs) -> list[Any]:
    return [np.shape(value) or value for value in inputs.values()]


def compare(exercise: Exercise, inputs: Inputs, returned: Returned) -> Failure | None:
    """What is wrong with what an answer returned, None if nothing."""
    if returned.error is not None:
        return Failure(f"raised {type(returned.error).__name__}: {first_line(returned.error)}", _place(returned.error))
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
            return replace(failure, output=name)
    return None


def _difference(exercise: Exercise, inputs: Inputs, name: str, value: Any, right: np.ndarray) -> Failure | None:
    """How one output differs from the right one: its type, its shape, its numbers, in this order."""
    if not isinstance(value, (np.ndarray, float, int, np.number)):
        form = f"a NumPy array of shape {right.shape}" if right.shape else "a number"
        return Failure(f"{name} is a {type(value).__name__}: expected {form}")
    value = np.asarray(value)
    if value.shape != right.shape:
        return Failure(f"{name} has shape {value.shape}: expected {right.shape}", value=value, right=right)
    integers = right.dtype.kind == "i" and value.dtype.kind in "iu"
    if not right.shape and right.dtype.kind + value.dtype.kind in ("if", "fi", "fu"):
        value = value.astype(np.float64)  # 3 and 3.0 are one number
    elif not integers and (right.dtype.kind != value.dtype.kind or value.dtype.itemsize < right.dtype.itemsize):
        return Failure(f"{name} has type {value.dtype}: expected {right.dtype}", value=value, right=right)
    if not np.isfinite(value).all():
        what, wrong = f"{name} has entries that are not finite", ~np.isfinite(value)
        error = np.nan
    else:
        scale = np.abs(right).max(initial=0.0) or 1.0
        tol = 0.0 if right.dtype.kind == "i" else exercise.tol * scale
        what, wrong = f"{name} differs from the definition", np.abs(value - right) > tol
        error = float(np.abs(value - right).max(initial=0.0))
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = exercise.where(inputs, index) if exercise.where and name == exercise.returns[0] else ""
    got, expected = value[index], right[index]
    if not index:
        return Failure(what, f"got {_apart(got, expected)}", value, right)
    at = f"{name}[{', '.join(map(str, index))}]"
    where = f"first at {at}{', ' + where if where else ''}: got {_apart(got, expected)}"
    where += f"; {int(wrong.sum())} of {wrong.size} entries are wrong"
    if np.isfinite(error):
        where += f", largest error {error:.1e}"
    return Failure(what, where, value, right)


def _apart(got: Any, expected: Any) -> str:
    """Both values, with as many digits as it takes to see that they differ."""
    texts = [(f"{got:.{digits}g}", f"{expected:.{digits}g}") for digits in range(6, 18)]
    return "{}, expected {}".format(*next((pair for pair in texts if pair[0] != pair[1]), texts[0]))


def close(a: Any, b: Any, tol: float = 1e-8) -> bool:
    try:
        a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    scale = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=tol * scale, equal_nan=True)


def _identical(a: Any, b: Any) -> bool:
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def _place(error: BaseException) -> str:
    """The line of the learner's own cell where the exception arose."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if re.search(r"ipykernel_\d+|^<", f.filename)]
    if not frames and error.__traceback__ is not None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if sys.prefix not in f.filename][1:]
    return f"line {_number(frames[-1])} of your cell: {frames[-1].line}" if frames else ""


def _number(frame: traceback.FrameSummary) -> int:
    """The number of a frame's line in its cell, of which a first line as `%%time` is not run with the others."""
    number, history = frame.lineno or 0, getattr(get_ipython(), "history_manager", None)
    cells = [cell.splitlines() for cell in history.input_hist_raw] if history else []
    for cell in reversed(cells):
        for place in (number, number + 1):
            if frame.line and [line.strip() for line in cell[place - 1 : place]] == [frame.line]:
                return place
    return number + (frame.filename == "<timed exec>")
