"""Every exercise: its texts, its points, its solution, and the mistakes its check knows by name."""

import importlib
import linecache
import re
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from lecture17.course import exercises
from lecture17.course.build import from_source
from lecture17.course.checking import PASSED, SEEDS, WIDTH, CheckFailed, check, diagnose, judge
from lecture17.course.exercise import Exercise
from lecture17.course.notebooks import grade_id, is_answer, is_check
from tests.conftest import ROOT

ALL = exercises.all_exercises()
NEEDS = {"04b_triton": "triton"}  # imported here as a compiler, before a notebook's first cell makes it an interpreter
for module in filter(find_spec, NEEDS.values()):
    importlib.import_module(module)


def marks(exercise: Exercise) -> list[pytest.MarkDecorator]:
    module = NEEDS.get(exercise.stem)
    missing = module is not None and find_spec(module) is None
    return [pytest.mark.skip(f"{module} is not installed: it is made for Linux alone")] if missing else []


each = pytest.mark.parametrize("exercise", [pytest.param(e, id=e.id, marks=marks(e)) for e in ALL])


def solution_cells(exercise: Exercise) -> tuple[str, str]:
    """The sources of the answer and of the check in solutions/."""
    nb = from_source(ROOT / "solutions" / f"{exercise.stem}.py")
    answer = next(c.source for c in nb.cells if is_answer(c) and grade_id(c) == exercise.id)
    return answer, next(c.source for c in nb.cells if is_check(c) and grade_id(c) == f"{exercise.id}-check")


def solve(exercise: Exercise) -> dict[str, object]:
    """The names that the solution notebook has defined after the answer cell."""
    nb = from_source(ROOT / "solutions" / f"{exercise.stem}.py")
    setup = next(c.source for c in nb.cells if c.cell_type == "code")
    names: dict[str, object] = {}
    define(setup + "\n" + solution_cells(exercise)[0], names)
    return names


def define(source: str, names: dict[str, object]) -> None:
    """Execute `source` so that its functions know their text, as those of a notebook's cell do."""
    file = f"<answer {hash(source)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), names)


def answer_name(exercise: Exercise) -> str:
    match = re.search(r", (\w+)\)$", solution_cells(exercise)[1])
    assert match, 'a check cell is check("id", function)'
    return match[1]


def test_every_notebook_with_exercises_has_solutions_and_every_exercise_a_name_of_its_own() -> None:
    assert {p.stem for p in (ROOT / "solutions").glob("*.py")} == set(exercises.stems())
    assert len({e.id for e in ALL}) == len(ALL)


@each
def test_an_exercise_has_three_misconceptions_and_three_hints(exercise: Exercise) -> None:
    assert len(exercise.misconceptions) >= 3
    assert len({m.name for m in exercise.misconceptions}) == len(exercise.misconceptions)
    assert len(exercise.hints) == 3
    assert (exercise.expected is None) != (exercise.verify is None)


@pytest.fixture
def switches() -> Iterator[Callable[[], list[object]]]:
    """Everything that a learner may have switched is switched; gives what reads the switches, and puts them back."""

    def read() -> list[object]:
        default = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
        return [np.geterr(), warnings.filters[:], *default]

    errors, dtype = np.geterr(), torch.get_default_dtype()
    with warnings.catch_warnings():
        try:
            np.seterr(all="raise")
            warnings.simplefilter("error")
            torch.set_default_dtype(torch.float64)
            torch.set_default_device("meta")
            torch.set_grad_enabled(False)
            yield read
        finally:
            np.seterr(**errors)
            torch.set_default_dtype(dtype)
            torch.set_default_device(None)
            torch.set_grad_enabled(True)


@each
def test_a_right_answer_passes_whatever_its_learner_has_switched(
    exercise: Exercise, switches: Callable[[], list[object]]
) -> None:
    before, answer = switches(), solve(exercise)[answer_name(exercise)]
    assert judge(exercise.id, answer).status == PASSED  # type: ignore[arg-type]
    assert switches() == before


@each
def test_notebook_and_exercise_agree_on_id_and_points(exercise: Exercise) -> None:
    nb = from_source(ROOT / "solutions" / f"{exercise.stem}.py")
    cell = next(c for c in nb.cells if is_check(c) and grade_id(c) == f"{exercise.id}-check")
    assert cell.metadata.nbgrader.points == exercise.points
    assert cell.source.startswith(f'check("{exercise.id}", ')
    card = next(c.source for c in nb.cells if c.cell_type == "markdown" and f"| `{exercise.id}` |" in c.source)
    assert re.search(rf"\| `{exercise.id}` \| [★☆]{{3}} \| \d+ min \| {exercise.points} \| \w", card)
    assert f'hint("{exercise.id}")' in card


@each
def test_the_solution_passes_and_says_what_was_verified(
    exercise: Exercise, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT / "solutions")  # where a pass is not the learner's, and nothing is said of progress
    answer = solve(exercise)[answer_name(exercise)]
    capsys.readouterr()  # what the notebook's first cell may say
    check(exercise.id, answer)  # type: ignore[arg-type]
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(f"✓ {exercise.id} ({exercise.points} points): ")
    assert printed.endswith(exercise.verified)


@each
def test_an_empty_answer_fails_with_the_exercises_own_message(exercise: Exercise) -> None:
    def stub(*_: object) -> None:
        raise NotImplementedError

    with pytest.raises(CheckFailed) as failure:
        check(exercise.id, stub)
    ends = "Your code goes in place of `raise NotImplementedError()`, where the function ends; then run its cell."
    told = " ".join(str(failure.value).split())
    assert told == f"✗ {exercise.id}: not filled in yet. {exercise.unfilled} {ends}"


@pytest.mark.parametrize(
    ("exercise", "number"),
    [pytest.param(e, i, id=f"{e.id}-{i}", marks=marks(e)) for e in ALL for i in range(len(e.misconceptions))],
)
def test_a_misconception_is_rejected_with_its_own_diagnosis(exercise: Exercise, number: int) -> None:
    mistake = exercise.misconceptions[number]
    for wrong in (mistake.wrong, *mistake.also):
        with pytest.raises(CheckFailed) as failure:
            check(exercise.id, wrong)
        message = str(failure.value)
        assert f"this is what you get when {mistake}" in " ".join(message.split())
        assert str(mistake).casefold() == f"{mistake.name}. {mistake.advice}".casefold()
        assert len(message.splitlines()) <= 12
        assert max(map(len, message.splitlines())) <= WIDTH
        assert "tried: " in message


@each
def test_the_solution_matches_no_misconception(exercise: Exercise) -> None:
    assert diagnose(exercise, solve(exercise)[answer_name(exercise)], SEEDS) is None  # type: ignore[arg-type]


def test_an_unknown_exercise_is_named_with_what_comes_nearest() -> None:
    with pytest.raises(KeyError, match=r"03b_duality-sd-parallel.*did you mean 03b_duality-ssd-parallel"):
        check("03b_duality-sd-parallel", print)
    with pytest.raises(KeyError, match=r"nothing of the kind.*the notebooks with exercises are 00_quickstart, "):
        check("nothing of the kind", print)
    there = ", ".join(e.id for e in exercises.of_notebook("03b_duality"))
    for name in ("03b", "03b_duality"):
        with pytest.raises(KeyError, match=f"'{name}': there are {there}$"):
            exercises.get(name)
