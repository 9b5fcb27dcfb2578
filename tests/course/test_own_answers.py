"""`own_answer`: the learner's function once it is passed, and until then the course's."""

from pathlib import Path

import numpy as np
import pytest
from nbformat import v4

from lecture17.course import own_answer, paths
from lecture17.course.exercise import Exercise
from lecture17.course.notebooks import grade_id, read, write

from .test_exercises import answer_name, each

ID = "00_quickstart-matrix"
DEF = "def semiseparable_matrix(U, V):"


def filled(clone: Path, source: str | None, before: str = "") -> None:
    """The answer cell holds `source`, or is gone, after a cell of the learner's own."""
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    place = next(i for i, cell in enumerate(nb.cells) if grade_id(cell) == ID)
    nb.cells[place].source = source or ""
    if source is None:
        del nb.cells[place]
    nb.cells.insert(place, v4.new_code_cell(before))
    write(nb, path)


def passed() -> None:
    paths.write_kept("progress.json", "passed", {ID: "2026-01-01T00:00:00"})


U = np.arange(6.0).reshape(3, 2)


def test_an_answer_that_is_not_passed_is_the_courses(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(clone, "def semiseparable_matrix(*arguments):\n    return 17")
    answer = own_answer(ID)
    assert "the answer of the course" in capsys.readouterr().out
    assert answer.__code__.co_argcount > 0


def test_an_answer_that_is_passed_is_the_learners_with_the_imports_of_its_notebook(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(clone, "def helper():\n    return np.eye(2)\n\ndef semiseparable_matrix(*arguments):\n    return helper()")
    passed()
    answer = own_answer(ID)
    assert "your own answer" in capsys.readouterr().out
    assert np.array_equal(answer(), np.eye(2))


def test_an_exercise_that_does_not_exist_is_named() -> None:
    with pytest.raises(KeyError, match="no exercise is called"):
        own_answer("00_quickstart-nothing")


@pytest.mark.parametrize(
    ("source", "before"),
    [
        (f"{DEF} return np.eye(2)\ndef tried(): return 17", ""),
        (f"{DEF} return np.eye(2)\n%timeit -n 1 semiseparable_matrix(1, 2)", ""),
        (f"%%time\n{DEF} return np.eye(2)", ""),
        (f"{DEF} return np.eye(2)\nsemiseparable_matrix(lost, lost)", ""),
        (f"{DEF}\n    if len(U):\n        return np.eye(2)\n    raise NotImplementedError", ""),
        (f"{DEF} return helper()", "def helper(): return np.eye(2)\nhelper() / []"),
        (f"two = size\n{DEF} return np.eye(two)", "size = 2\nsize = 1 / 0"),
        (f"import inspect\n{DEF} return np.eye(len(inspect.getsource(helper).split()))", "def helper():0"),
        ("import numpy\nsemiseparable_matrix = lambda U, V: numpy.eye(2)", "this is no Python"),
    ],
)
def test_an_answer_is_the_function_of_that_name_with_what_it_uses(
    clone: Path, capsys: pytest.CaptureFixture[str], source: str, before: str
) -> None:
    filled(clone, source, before)
    passed()
    answer = own_answer(ID)
    assert capsys.readouterr().out == f"{ID}: your own answer\n"
    assert np.array_equal(answer(U, U), np.eye(2))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (None, "its cell is gone"),
        (f"{DEF}\n    # YOUR CODE HERE\n    raise NotImplementedError()", "its cell is not filled in"),
        ("def semiseparable_matrix(U, V:", "its cell is no valid Python"),
        ("def matrix(U, V): return U", "its cell does not define semiseparable_matrix"),
        ("1 / 0", "its cell raises ZeroDivisionError"),
        (f"{DEF} return lost(U)", "it uses lost, which the cells before it do not define"),
    ],
)
def test_where_an_answer_that_was_passed_is_gone_the_courses_takes_its_place_and_this_is_said(
    clone: Path, capsys: pytest.CaptureFixture[str], source: str | None, why: str
) -> None:
    filled(clone, source)
    passed()
    answer = own_answer(ID)
    said = capsys.readouterr().out
    assert said.startswith(f"{ID}: the answer of the course, although yours was passed, because ")
    assert why in said
    assert said.count("\n") == 1
    assert np.allclose(answer(U, U), np.tril(U @ U.T))


def test_where_the_notebook_is_gone_the_answer_of_the_course_takes_its_place(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "exercises" / "00_quickstart.ipynb").unlink()
    passed()
    assert np.allclose(own_answer(ID)(U, U), np.tril(U @ U.T))
    assert "because exercises/00_quickstart.ipynb cannot be read" in capsys.readouterr().out


@each
def test_every_exercise_has_an_answer_of_the_course(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    assert getattr(own_answer(exercise.id), "__name__", "") == answer_name(exercise)
