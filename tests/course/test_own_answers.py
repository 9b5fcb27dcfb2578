"""`own_answer`: the learner's function once it is passed, and until then the course's."""

from pathlib import Path

import numpy as np
import pytest

from lecture17.course import own_answer, paths
from lecture17.course.notebooks import grade_id, read, write

ID = "00_quickstart-matrix"


def filled(clone: Path, source: str) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    next(cell for cell in nb.cells if grade_id(cell) == ID).source = source
    write(nb, path)


def test_an_answer_that_is_not_passed_is_the_courses(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(clone, "def attention_matrix(*arguments):\n    return 17")
    answer = own_answer(ID)
    assert "the answer of the course" in capsys.readouterr().out
    assert answer.__code__.co_argcount > 0


def test_an_answer_that_is_passed_is_the_learners_with_the_imports_of_its_notebook(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(clone, "def helper():\n    return np.eye(2)\n\ndef attention_matrix(*arguments):\n    return helper()")
    paths.write_kept("progress.json", "passed", {ID: "2026-01-01T00:00:00"})
    answer = own_answer(ID)
    assert "your own answer" in capsys.readouterr().out
    assert np.array_equal(answer(), np.eye(2))


def test_an_exercise_that_does_not_exist_is_named() -> None:
    with pytest.raises(KeyError, match="no exercise is called"):
        own_answer("00_quickstart-nothing")
