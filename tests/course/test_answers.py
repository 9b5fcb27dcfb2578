"""What the checks say of answers that were written without a look at the misconceptions they know."""

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

from lecture17.course.checking import PASSED, WRONG, judge
from tests.conftest import ROOT

from . import answers
from .test_exercises import ALL, NEEDS

UNKNOWN = "none of the usual mistakes"
for found in pkgutil.iter_modules(answers.__path__):
    needed = NEEDS.get(found.name.removeprefix("a_"))
    if needed is None or find_spec(needed):
        import_module(f"{answers.__name__}.{found.name}")
WRONGS = [a for a in answers.ANSWERS if a.cause is not None]


def named(answer: answers.Answer) -> Any:
    return pytest.param(answer, id=f"{answer.exercise}-{answer.function.__name__}")


@pytest.mark.parametrize("answer", [named(a) for a in answers.ANSWERS if a.cause is None])
def test_a_right_answer_passes(answer: answers.Answer) -> None:
    record = judge(answer.exercise, answer.function)
    assert record.status == PASSED, str(record)


@pytest.mark.parametrize("answer", [named(a) for a in WRONGS])
def test_a_wrong_answer_is_refused_for_its_own_reason(answer: answers.Answer) -> None:
    record = judge(answer.exercise, answer.function)
    text = " ".join(str(record).split())
    assert record.status == WRONG, text
    if answer.cause:
        assert answer.cause in text
    else:
        assert "why:" not in text or UNKNOWN in text  # no cause that is not its own


def test_the_causes_of_most_are_known() -> None:
    for module in NEEDS.values():
        pytest.importorskip(module, reason="answers to its part are counted, too")
    known = [a for a in WRONGS if a.cause]
    assert len(known) >= 0.9 * len(WRONGS)
    answered = [e for e in ALL if any(a.exercise == e.id for a in answers.ANSWERS)]
    assert len(answered) >= 0.95 * len(ALL)  # a new one may have none yet
    for exercise in answered:
        right = sum(a.exercise == exercise.id and a.cause is None for a in answers.ANSWERS)
        wrong = sum(a.exercise == exercise.id for a in WRONGS)
        assert right >= 1, exercise.id
        assert wrong >= 5, exercise.id
    page = " ".join((ROOT / "docs" / "grading.md").read_text(encoding="utf-8").split())
    right = len(answers.ANSWERS) - len(WRONGS)
    assert f"{right} right ones pass, and {len(WRONGS)} wrong ones are refused, {len(known)} of them" in page
