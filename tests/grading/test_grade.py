"""Grading: each trouble has its own verdict, the other exercises are graded, the learner's file is untouched."""

import json
import os
import shutil
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from nbformat import NotebookNode, from_dict, v4
from typer.testing import CliRunner

from lecture17.__main__ import app
from lecture17.course import exercises
from lecture17.course.notebooks import grade_id, is_answer, read, write
from lecture17.grading.grade import Grade, grade
from lecture17.grading.report import to_markdown
from tests.conftest import ROOT

TOTAL = sum(e.points for e in exercises.all_exercises())


def cell(nb: NotebookNode, name: str) -> NotebookNode:
    return next(c for c in nb.cells if grade_id(c) == f"03b_duality-{name}")


def solved(clone: Path) -> tuple[Path, NotebookNode]:
    """exercises/03b_duality.ipynb filled with the solutions."""
    path = clone / "exercises" / "03b_duality.ipynb"
    nb, solutions = read(path), read(clone / "solutions" / "03b_duality.ipynb")
    answers = {grade_id(c): c.source for c in solutions.cells if is_answer(c)}
    for c in nb.cells:
        if is_answer(c):
            c.source = answers[grade_id(c)]
    return path, nb


def test_empty_exercises_earn_nothing_each_with_its_own_message(clone: Path) -> None:
    grades = grade([clone / "exercises"])
    assert [g.exercise for g in grades] == [e.id for e in exercises.all_exercises()]
    assert {g.verdict for g in grades} == {"not filled in"}
    assert sum(g.points for g in grades) == TOTAL
    for grade_, exercise in zip(grades, exercises.all_exercises(), strict=True):
        assert grade_.reason.startswith(exercise.unfilled)


def test_solutions_earn_everything_and_files_are_written(clone: Path, tmp_path: Path) -> None:
    solved_path, nb = solved(clone)
    write(nb, solved_path)
    before = solved_path.read_bytes()
    begin = time.monotonic()
    files = [f"--{kind}={tmp_path / 'g'}.{kind}" for kind in ("json", "junit", "markdown")]
    result = CliRunner().invoke(app, ["grade", str(solved_path), *files])
    assert time.monotonic() - begin < 20, "grading one notebook whose answers are right takes under 20 s"
    assert result.exit_code == 0, result.output
    assert "19 of 19 points" in result.output
    record = json.loads((tmp_path / "g.json").read_text())
    assert (record["earned"], record["points"]) == (19, 19)
    suite = ET.parse(tmp_path / "g.junit").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("6", "0")
    table = (tmp_path / "g.markdown").read_text().splitlines()
    assert table[0] == "**19 of 19 points**"
    assert table[4] == r"| 03b\_duality-exp-counterexample | 2 of 2 | passed |  |"
    assert solved_path.read_bytes() == before
    assert not (clone / ".lecture17").exists(), "grading is not the learner's progress"


def test_what_counts_is_the_processor_time_of_an_answer_beside_a_generous_clock(clone: Path) -> None:
    path, nb = solved(clone)
    for name, seconds in (("ssd-parallel", 0.2), ("softmax-rank", 1000)):  # in each of 24 cases
        answer = cell(nb, name)
        answer.source = answer.source.replace("):\n", f"):\n    import time; time.sleep({seconds})\n", 1)
    write(nb, path)
    verdicts = {g.exercise.removeprefix("03b_duality-"): g.verdict for g in grade([path], timeout=3)}
    assert verdicts.pop("softmax-rank") == "timed out"
    assert set(verdicts.values()) == {"passed"}


def test_every_kind_of_trouble_has_its_verdict_and_costs_only_its_own_exercise(clone: Path) -> None:
    path, nb = solved(clone)
    cell(nb, "exp-counterexample").source = "def exp_counterexample(q1)\n    return 1"
    cell(nb, "running-normaliser").source = "import os\n\ndef normalized_linear_attention(Q, K, V):\n    os._exit(1)"
    cell(nb, "ssd-parallel").source = "def ssd_parallel(x, log_a, B, C):\n    while True:\n        pass"
    cell(nb, "softmax-rank").source = cell(nb, "softmax-rank").source.replace("[split:, :split]", "")
    write(nb, path)
    before = path.read_bytes()
    grades = {g.exercise.removeprefix("03b_duality-"): g for g in grade([path], timeout=4)}
    verdicts = {name: g.verdict for name, g in grades.items()}
    assert verdicts == {
        "exp-counterexample": "syntax error",
        "running-normaliser": "kernel died",
        "ssd-parallel": "timed out",
        "ssd-chunkwise": "passed",
        "softmax-rank": "wrong",
        "random-features": "passed",
    }
    assert "SyntaxError: expected ':'" in grades["exp-counterexample"].headline
    mistake = grades["softmax-rank"].misconception
    assert mistake in {m.name for m in exercises.get("03b_duality-softmax-rank").misconceptions}
    assert grades["softmax-rank"].headline.endswith(f"; you get this when {mistake}")
    assert sum(g.earned for g in grades.values()) == 9
    assert path.read_bytes() == before


def test_checks_that_are_gone_doubled_or_changed_are_reported_and_the_courses_own_decide(clone: Path) -> None:
    path, nb = solved(clone)
    nb.cells.remove(cell(nb, "exp-counterexample-check"))
    nb.cells.append(from_dict({**cell(nb, "running-normaliser-check"), "id": "copy"}))
    cell(nb, "ssd-parallel-check").source = "import os\nprint('✓ 3 points')\nos._exit(0)"
    cell(nb, "ssd-parallel").source = "def ssd_parallel(x, log_a, B, C):\n    return x"
    nb.cells.remove(cell(nb, "ssd-chunkwise"))
    cell(nb, "softmax-rank-check").metadata["tags"] = ["raises-exception"]
    cell(nb, "softmax-rank").source = "def softmax_block_rank(Q, K, split):\n    return 0"
    write(nb, path)
    result = CliRunner().invoke(app, ["grade", str(path), "--json", str(clone / "g.json")])
    assert result.exit_code == 1
    found = json.loads((clone / "g.json").read_text())["exercises"]
    grades = {g["exercise"].removeprefix("03b_duality-"): g for g in found}
    assert {name: (g["verdict"], g["earned"]) for name, g in grades.items()} == {
        "exp-counterexample": ("check missing", 2),
        "running-normaliser": ("check duplicated", 3),
        "ssd-parallel": ("check edited", 0),
        "ssd-chunkwise": ("answer missing", 0),
        "softmax-rank": ("wrong", 0),
        "random-features": ("passed", 2),
    }
    assert "was changed" in grades["ssd-parallel"]["reason"]


def test_an_answer_that_was_turned_into_text_is_called_that(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    i = next(i for i, c in enumerate(nb.cells) if grade_id(c) == "00_quickstart-matrix")
    nb.cells[i] = v4.new_markdown_cell("my work", id=nb.cells[i].id, metadata=nb.cells[i].metadata)
    write(nb, path)
    (found,) = grade([path])
    assert (found.verdict, found.earned) == ("answer not code", 0)
    assert found.reason.startswith("the answer cell of 00_quickstart-matrix is text: click on it")


def test_answers_may_use_the_learners_own_cells_and_one_that_kills_the_kernel_does_not_cost_them(clone: Path) -> None:
    path, nb = solved(clone)
    cell(nb, "ssd-parallel").source = "def ssd_parallel(x, log_a, B, C):\n    return mask(log_a) * (C @ B.T) @ x"
    nb.cells.insert(2, v4.new_code_cell("import os\nos._exit(3)", id="own"))
    nb.cells.insert(3, v4.new_code_cell("def mask(log_a):\n    return np.exp(segsum(log_a))", id="mask"))
    write(nb, path)
    grades = grade([path])
    assert [g.verdict for g in grades] == ["passed"] * 6 + ["kernel died"]
    assert "'import os'" in grades[-1].reason


@pytest.mark.parametrize(
    "source",
    [
        "from my_helpers import lower\ndef semiseparable_matrix(U, V):\n    return lower(U @ V.T)",
        "def semiseparable_matrix(U, V):\n    from my_helpers import lower\n    return lower(U @ V.T)",
        "def semiseparable_matrix(U, V):\n    return np.loadtxt('mask.txt') * (U @ V.T)",
        "def semiseparable_matrix(U, V):\n    return open('data/mask.txt').read()",
    ],
)
def test_what_lies_beside_the_notebook_is_said_to_be_out_of_reach(clone: Path, source: str) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    next(c for c in nb.cells if c.get("id") == "00_quickstart-matrix").source = source
    write(nb, path)
    [missing] = grade([path])
    (clone / "exercises" / "my_helpers.py").write_text("import numpy as np\nlower = np.tril\n")
    (clone / "exercises" / "data").mkdir()
    for name in ("mask.txt", "data/mask.txt"):
        (clone / "exercises" / name).write_text("1")
    [there] = grade([path])
    assert (missing.earned, there.earned) == (0, 0)
    assert "a copy of the notebook is graded alone" not in missing.headline
    assert "; a copy of the notebook is graded alone" in there.headline


def test_the_line_that_is_named_is_the_learners_and_not_the_kernels(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    answer = next(filter(is_answer, nb.cells))
    answer.source = "def semiseparable_matrix(U, V):\n    wait = input('go on?')\n    return np.tril(U @ V.T)"
    write(nb, path)
    [only] = grade([path])
    assert "raised StdinNotImplementedError" in only.headline
    assert "line 2 of your cell: wait = input('go on?')" in only.reason


def test_a_report_does_not_take_the_place_of_a_notebook(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    before = path.read_bytes()
    for kind in ("--json", "--junit", "--markdown"):
        result = CliRunner().invoke(app, ["grade", kind, str(path)])
        assert result.exit_code == 2
        assert "is a notebook: expected another name" in " ".join(result.output.replace("│", " ").split())
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "verdict", "reason"),
    [
        (None, "no such file", "there is no file"),
        (b"not JSON at all", "not a notebook", "not JSON"),
        (b'{"cells": 3}', "not a notebook", "JSON"),
        (b"\xff\xfe\x00", "not a notebook", "not UTF-8"),
        (b"", "not a notebook", "not JSON"),
        (b"[" * 100_000, "not a notebook", "not JSON"),
    ],
)
def test_what_is_not_a_notebook_gets_a_verdict(clone: Path, content: bytes | None, verdict: str, reason: str) -> None:
    path = clone / "exercises" / "03b_duality.ipynb"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (bad,) = grade([path])
    assert (bad.verdict, bad.points, bad.earned) == (verdict, 19, 0)
    assert reason in bad.reason
    if content is not None:
        assert path.read_bytes() == content


def test_an_unknown_path_does_not_keep_the_rest_from_being_graded(clone: Path) -> None:
    result = CliRunner().invoke(
        app, ["grade", str(clone / "nowhere"), str(clone / "solutions" / "00_quickstart.ipynb")]
    )
    assert result.exit_code == 1
    assert "no such file" in result.output
    assert "3 of 3 points" in result.output


def test_copies_in_a_folder_count_once_and_an_empty_folder_says_so(clone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    [nothing] = grade([folder])
    assert (nothing.verdict, nothing.reason) == ("no notebooks", f"there is no notebook in {folder}")
    for name in ("00_quickstart", "00_quickstart-Copy1", "Untitled"):
        shutil.copy(clone / "exercises" / "00_quickstart.ipynb", folder / f"{name}.ipynb")
    shutil.copy(clone / "solutions" / "00_quickstart.ipynb", folder / "00_quickstart.ipynb")
    one, *copies = grade([folder])
    assert (one.verdict, one.points) == ("passed", 3)
    assert [(g.exercise, g.verdict, g.points) for g in copies] == [
        ("00_quickstart-Copy1.ipynb", "a copy", 0),
        ("Untitled.ipynb", "a copy", 0),
    ]
    (folder / "00_quickstart.ipynb").unlink()
    assert grade([folder])[0].points == 3, "a notebook with another name counts"


def test_at_80_columns_a_row_is_a_line_and_reasons_have_the_width(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stubs = [Grade("f", e.id, e.points, 0, "not filled in", e.unfilled) for e in exercises.all_exercises()]
    wrong = Grade("f", "03b_duality-ssd-chunkwise", 7, 0, "too many processes", "word " * 60)
    monkeypatch.setattr("lecture17.grading.grade.grade", lambda *_: [*stubs, wrong])
    result = CliRunner().invoke(app, ["grade"], env={"COLUMNS": "80"})
    lines = result.output.splitlines()
    assert len(lines) <= len(stubs) + 1 + 5 + 1
    assert max(map(len, lines)) <= 80
    assert lines[0] == f"{stubs[0].exercise:<40}    0 of 3  not filled in"


def test_a_notebook_without_exercises_says_so(clone: Path) -> None:
    (only,) = grade([clone / "notebooks" / "00_quickstart.ipynb"])
    assert only.verdict == "no exercises"


def test_what_a_learners_code_printed_is_text_in_the_table() -> None:
    reason = "✗ got [1] | <img src=x> **y** `z`\nmore"
    (row,) = to_markdown([Grade("f.ipynb", "f-a", 2, 0, "failed", reason)]).splitlines()[4:]
    assert row == r"| f-a | 0 of 2 | failed | ✗ got \[1\] \| \<img src=x\> \*\*y\*\* \`z\` |"


def test_what_is_beside_the_exercises_fails_nothing(clone: Path, tmp_path: Path) -> None:
    """A copy of a notebook, a file of macOS that goes with it, and an own cell that did harm cost no points."""
    folder = tmp_path / "mine"
    folder.mkdir()
    solved_path = folder / "00_quickstart.ipynb"
    nb = read(clone / "solutions" / "00_quickstart.ipynb")
    write(nb, folder / "00_quickstart-Copy1.ipynb")
    nb.cells.insert(2, v4.new_code_cell("import os\nos._exit(3)", id="own"))
    write(nb, solved_path)
    (folder / "._00_quickstart.ipynb").write_bytes(b"\x00\x05\x16\x07")
    result = CliRunner().invoke(app, ["grade", str(folder), f"--junit={tmp_path / 'g.xml'}"])
    assert result.exit_code == 0, result.output
    assert "3 of 3 points" in result.output
    suite = ET.parse(tmp_path / "g.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "0", "2")
    assert [case.find("skipped") is not None for case in suite] == [False, True, True]
    solved_path.unlink()
    assert CliRunner().invoke(app, ["grade", str(solved_path)]).exit_code == 1


def test_learners_who_are_graded_together_are_told_apart(clone: Path, tmp_path: Path) -> None:
    files = [tmp_path / name / "00_quickstart.ipynb" for name in ("alice", "bob")]
    for file in files:
        file.parent.mkdir()
        write(read(clone / "solutions" / "00_quickstart.ipynb"), file)
    reports = [f"--{kind}={tmp_path / 'g'}.{kind}" for kind in ("junit", "markdown")]
    (empty := tmp_path / "carol" / "01_tour.ipynb").parent.mkdir()
    empty.touch()
    result = CliRunner().invoke(app, ["grade", *map(str, [*files, files[0].parent, empty]), *reports])
    assert "6 of 22 points" in result.output  # alice's, named twice, count once
    names = [*(f"{file}: 00_quickstart-matrix" for file in files), f"{empty}: 01_tour.ipynb"]
    assert [case.get("name") for case in ET.parse(tmp_path / "g.junit").getroot()] == names
    for file in files:
        assert f"{file.parent.name}/00" in "".join(result.output.split())
        assert f"{file.parent.name}/00" in (tmp_path / "g.markdown").read_text()


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_a_file_name_that_is_no_text_is_graded_and_reported(clone: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"Pr\xe4sentation.ipynb")
    write(read(clone / "exercises" / "00_quickstart.ipynb"), path)
    files = [f"--{kind}={tmp_path / 'g'}.{kind}" for kind in ("json", "junit", "markdown")]
    for content in (path.read_bytes(), b"no notebook"):
        path.write_bytes(content)
        result = CliRunner().invoke(app, ["grade", str(path), *files])
        assert (result.exit_code, type(result.exception)) == (1, SystemExit)
        assert ET.parse(tmp_path / "g.junit").getroot().get("failures") == "1"


def test_a_lecture_is_no_exercise_and_a_program_that_drops_metadata_is_blamed_for_nothing(clone: Path) -> None:
    (clone / "notebooks").mkdir(exist_ok=True)
    shutil.copy(ROOT / "notebooks" / "00_quickstart.ipynb", clone / "notebooks")
    nb = read(clone / "exercises" / "00_quickstart.ipynb")
    for cell in nb.cells:
        cell.metadata.clear()
    write(nb, clone / "exercises" / "00_quickstart.ipynb")
    lecture, dropped = grade([clone / folder / "00_quickstart.ipynb" for folder in ("notebooks", "exercises")])
    assert (lecture.verdict, dropped.verdict) == ("no exercises", "no exercises")
    assert "this is the lecture; exercises are in exercises/" in lecture.reason
    assert "build --no-run 00_quickstart` puts them back" in dropped.reason


def test_a_conflict_that_git_left_is_named(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"cells": [', '"cells": [\n<<<<<<< HEAD\n'), encoding="utf-8")
    [only] = grade([path])
    assert (only.verdict, "git has left two versions" in only.reason) == ("not a notebook", True)
