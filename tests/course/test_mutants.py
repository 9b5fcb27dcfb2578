"""Checks that cannot be fooled: answers made wrong mechanically are rejected, or are right all the same, and why."""

import contextlib
import functools
import io
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lecture17.course import checking
from lecture17.course.checking import check
from lecture17.course.exercise import Exercise
from tests.conftest import ROOT

from .mutants import sources, wrapped
from .test_exercises import ALL, answer_name, define, each, solution_cells, solve

SECONDS = 10  # that one answer may take on all cases

VECTORS = "the product of two vectors does not depend on their order"
MAXIMUM = "any nearby number in place of the maximum keeps the exponentials finite, and it cancels"
EITHER = "the order of the two is free"
UPPER = "what is above the diagonal is cut away in the next step"
LIKE = "what it makes is as good: NumPy turns one into the other"
LAST = "the last axis of a vector is its first"
ZEROS = "in the product it meets the zeros of the other tile, or its place is masked out of the store"
ANY = "many answers are right, and this is one of them"

# What passes because it computes the same: the mutant, and why.
EQUIVALENT: dict[str, dict[str, str]] = {
    "01_tour-wkv": {
        "line 4: without the call of np.zeros_like(u)": "what the sums begin with is multiplied by exp(-inf)",
        "line 7: arguments swapped in np.maximum(o, u + k[t])": EITHER,
        "line 7: only the right of u + k[t]": MAXIMUM,
        "line 11: arguments swapped in np.maximum(w + o, k[t])": EITHER,
    },
    "01_tour-retention-three-ways": {
        "line 5: without the call of np.abs(np.arange(N)[:, None] - np.arange(N))": UPPER,
        "line 21: results reversed in return (parallel, recurrent, chunkwise)": "the three are equal",
    },
    "02_intuition-unroll-ssm": {
        "line 4: C @ np.linalg.matrix_power(A, k) @ B the other way round": VECTORS,
    },
    "02_intuition-fast-matvec": {
        "line 7: U[i] @ forward the other way round": VECTORS,
        "line 9: U_up[i] @ backward the other way round": VECTORS,
    },
    "03a_semiseparable-block-rank": {
        "line 6: another comparison in np.linalg.svd(b, compute_uv=False) > threshold": "never equal",
    },
    "03a_semiseparable-segsum": {"as a list": LIKE},
    "03a_semiseparable-generators-overflow": {
        "line 4: another comparison in -np.cumsum(log_a[1:]) > np.log(np.finfo(np.float64).max)": "never equal",
        "line 5: without the call of int(np.argmax(overflows))": LIKE,
        "line 10: C[t] @ h the other way round": VECTORS,
    },
    "03b_duality-exp-counterexample": {
        "line 4: without the call of np.array([1.0, 1.0])": LIKE,
        "line 4: 1.0 one more": ANY,
        "line 4: 1.0 one less": ANY,
    },
    "03b_duality-running-normaliser": {"line 9: Q[t] @ z the other way round": VECTORS},
    "03b_duality-softmax-rank": {
        "line 5: another comparison in s > 1e-08 * s[0]": "never equal",
        "line 5: without the call of int((s > 1e-08 * s[0]).sum())": LIKE,
    },
    "03c_family-retention-chunkwise": {"line 9: without the call of np.abs(t[:, None] - t)": UPPER},
    "03d_expressivity-parity-by-hand": {"line 8: 1 one more": "0.5 and 1.5 are cut to 0 and 1, as 0 and 1 are"},
    "03d_expressivity-mod-counter": {
        "line 4: without the call of np.array([1.0, 0.0])": LIKE,
        "line 8: without the call of np.array([[c, -s], [s, c]])": LIKE,
    },
    "03d_expressivity-permutation-householder": {
        "line 7: without the call of int(T[:, step].argmax())": LIKE,
        "as a list": LIKE,
    },
    "04a_torch-batched-ssd": {
        "line 6: arguments swapped in tensor.transpose(1, 2)": EITHER,
        "line 8: -2 without its sign": "axis 2 of four is axis -2",
        "line 11: arguments swapped in y.transpose(1, 2)": EITHER,
    },
    "04a_torch-decode-cache": {"line 9: 0 one less": "that axis has length 1"},
    "04b_triton-kernel-masked-load": {"line 9: 0 one less": LAST},
    "04b_triton-kernel-chunk-state": {
        "line 16: 0 one less": LAST,
        "line 19: 0.0 one more": ZEROS,
        "line 19: 0.0 one less": ZEROS,
        "line 20: 0.0 one more": ZEROS,
        "line 20: 0.0 one less": ZEROS,
    },
    "04c_vision-cross-scan": {
        "line 7: without the call of np.stack([rows, columns, rows[::-1], columns[::-1]])": LIKE,
    },
    "05a_cost-slope": {"as a list": LIKE},
    "05b_long_range-copying-bound": {
        "first arguments swapped": "layers and heads are only multiplied",
        "line 5: arguments swapped in min(0.0, kept - N * token)": EITHER,
    },
    "05c_language-paired-interval": {
        "line 6: another comparison in abs(mean) > half": "never equal",
        "line 6: without the call of int(np.sign(mean))": LIKE,
    },
    "05e_choose-kv-cache": {"line 4: arguments swapped in np.minimum(windows, N)": EITHER, "as a list": LIKE},
    "05e_choose-cheapest-hybrid": {
        "line 6: without the call of int(np.argmin(np.where(able, moved, np.inf)))": LIKE,
    },
}


class TooLong(BaseException):
    """Not an Exception: a check catches those of an answer, and calls it again to find out why it is wrong."""


@contextlib.contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@functools.cache
def passes(exercise: Exercise, answer: Callable[..., Any]) -> bool:
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        try:
            with no_longer_than(SECONDS):
                check(exercise.id, answer)
        except (AssertionError, TooLong):
            return False
    return True


@functools.cache
def mutants(exercise: Exercise) -> tuple[tuple[str, Callable[..., Any]], ...]:
    """Each wrong answer made from the right one, with what was done to it, in words."""
    names = solve(exercise)
    name, (source, _) = answer_name(exercise), solution_cells(exercise)
    made: list[tuple[str, Any]] = []
    for what, text in sources(source):
        scope = dict(names)
        with contextlib.suppress(Exception):  # one that cannot even be defined is none
            define(text, scope)
            made.append((what, scope[name]))
    answer = names[name]
    assert callable(answer)
    if exercise.run is None:
        made += wrapped(answer, list(exercise.draw(np.random.default_rng(0)).values()))
    return tuple(made)


@each
@pytest.mark.filterwarnings("ignore")
def test_every_mutant_of_the_solution_is_rejected(exercise: Exercise, monkeypatch: pytest.MonkeyPatch) -> None:
    # A mutant that is wrong in one case of a hundred would be rejected on some days only: here the days are alike.
    monkeypatch.setattr(checking, "fresh_seeds", lambda: range(1_000_000, 1_000_012))
    made = mutants(exercise)
    assert len(made) >= 10
    assert {what for what, mutant in made if passes(exercise, mutant)} == EQUIVALENT.get(exercise.id, {}).keys()


@pytest.mark.filterwarnings("ignore")
def test_docs_say_how_many_mutants_were_made_and_how_many_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="part 04b has mutants, too")
    monkeypatch.setattr(checking, "fresh_seeds", lambda: range(1_000_000, 1_000_012))
    made = [(exercise, what, mutant) for exercise in ALL for what, mutant in mutants(exercise)]
    right = sum(passes(e, mutant) for e, what, mutant in made if what in EQUIVALENT.get(e.id, {}))
    page = " ".join((ROOT / "docs" / "grading.md").read_text(encoding="utf-8").split())
    assert f"{len(made):,} variants were made mechanically" in page
    assert f"All but {right} are rejected. Those {right} compute the same" in page
