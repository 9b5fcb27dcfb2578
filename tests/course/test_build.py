"""Build: one direction, the same result each time, no solution in an exercise, nothing of a learner's lost."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupytext.async_contentsmanager import AsyncTextFileContentsManager
from nbformat import NotebookNode, from_dict, v4
from typer.testing import CliRunner

from lecture17.__main__ import app
from lecture17.course import exercises, learner
from lecture17.course.build import build, execute, exercise_from, from_source, sources
from lecture17.course.notebooks import grade_id, is_answer, read, set_ids, write
from tests.conftest import ROOT

each_source = pytest.mark.parametrize("source", sources(ROOT), ids=lambda p: f"{p.parent.name}/{p.stem}")
each_exercise = pytest.mark.parametrize("stem", exercises.stems())


def without_outputs(nb: NotebookNode) -> list[tuple[str, str, str, dict]]:
    return [(c.cell_type, c.id, c.source, dict(c.metadata)) for c in nb.cells]


@each_source
def test_a_committed_notebook_is_what_its_source_makes(source: Path) -> None:
    committed, built = read(source.with_suffix(".ipynb")), from_source(source)
    assert without_outputs(committed) == without_outputs(built)
    assert committed.metadata == built.metadata
    ran = [c for c in committed.cells if c.cell_type == "code"]
    assert [c.execution_count for c in ran] == list(range(1, len(ran) + 1)), "run from top to bottom, once"


@each_exercise
def test_a_committed_exercise_is_what_its_solution_makes_answers_set_aside(stem: str) -> None:
    built = exercise_from(from_source(ROOT / "solutions" / f"{stem}.py"))
    committed = read(ROOT / "exercises" / f"{stem}.ipynb")
    for cell in committed.cells:
        if is_answer(cell):
            cell.source = cell.metadata.lecture17.stub
    own = {c.id for c in committed.cells} - {c.id for c in built.cells}
    assert without_outputs(built) == [c for c in without_outputs(committed) if c[1] not in own]


@each_exercise
def test_answers_are_cleared_and_checks_are_locked_as_nbgrader_does(stem: str) -> None:
    from nbgrader.preprocessors import ClearHiddenTests, ClearOutput, ClearSolutions, LockCells

    solution = read(ROOT / "solutions" / f"{stem}.ipynb")
    built, released = exercise_from(solution), solution
    for preprocessor in (ClearSolutions(), ClearHiddenTests(), LockCells(), ClearOutput()):
        released, _ = preprocessor.preprocess(released, {})
    set_ids(released)
    for cell in built.cells:
        del cell.metadata["lecture17"]
    for cell in released.cells:
        cell.metadata.pop("lines_to_next_cell", None)
    assert built == released


@each_exercise
def test_building_twice_gives_the_same_bytes(stem: str, tmp_path: Path) -> None:
    for turn in ("once", "twice"):
        write(exercise_from(from_source(ROOT / "solutions" / f"{stem}.py")), tmp_path / turn)
    assert (tmp_path / "once").read_bytes() == (tmp_path / "twice").read_bytes()


def test_executing_twice_differs_in_nothing_but_pictures() -> None:
    source = ROOT / "notebooks" / "00_quickstart.py"
    stored, again = read(source.with_suffix(".ipynb")), execute(from_source(source), source.parent)
    for cell in (*stored.cells, *again.cells):
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("text/html", None)
    assert again == stored


@pytest.mark.parametrize("full", [True, False])
def test_a_full_build_tells_the_notebook_to_train_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    monkeypatch.delenv("LECTURE17_FULL", raising=False)
    source = tmp_path / "one_cell.py"
    source.write_text("# %%\nimport os\n\nprint(os.environ.get('LECTURE17_FULL'))\n")
    (cell,) = execute(from_source(source), tmp_path, full).cells
    assert cell.outputs[0].text == f"{'1' if full else None}\n"


@each_exercise
def test_nothing_of_a_solution_is_in_the_exercise(stem: str) -> None:
    source = from_source(ROOT / "solutions" / f"{stem}.py")
    built = exercise_from(source)
    text = "\n".join(c.source for c in built.cells if c.cell_type == "code")
    assert not any(c.get("outputs") for c in built.cells)
    for cell in filter(is_answer, source.cells):
        inside = cell.source.split("### BEGIN SOLUTION")[1].split("### END SOLUTION")[0]
        lines = {line.strip() for line in inside.splitlines()} - {""}
        assert lines, f"{grade_id(cell)} has a solution"
        assert not {line for line in lines if line in text}
    assert "SOLUTION" not in text


def test_a_source_and_a_notebook_out_of_step_are_named(clone: Path) -> None:
    def check() -> tuple[int, str]:
        done = CliRunner().invoke(app, ["build", "--check"])
        return done.exit_code, done.output

    assert check() == (0, "")
    source = clone / "solutions" / "00_quickstart.py"
    source.write_text(source.read_text() + "\n# %%\n1\n")
    (clone / "notebooks" / "01_tour.ipynb").unlink()
    status, said = check()
    assert status == 1
    assert [line.split()[0] for line in said.splitlines()] == ["notebooks/01_tour.py", "solutions/00_quickstart.py"]
    assert said.endswith("solutions/00_quickstart.py has changed since its notebook was built: build 00_quickstart\n")


def test_equal_cells_get_different_ids_that_never_vary() -> None:
    cells = [v4.new_markdown_cell("same"), v4.new_markdown_cell("same"), v4.new_code_cell("same")]
    nb = v4.new_notebook(cells=cells)
    set_ids(nb)
    ids = [c.id for c in nb.cells]
    assert len(set(ids)) == 3
    set_ids(nb)
    assert [c.id for c in nb.cells] == ids


def test_every_exercise_cell_is_valid_for_nbgrader() -> None:
    from nbgrader.preprocessors import CheckCellMetadata

    for stem in exercises.stems():
        nb = read(ROOT / "exercises" / f"{stem}.ipynb")
        CheckCellMetadata().preprocess(nb, {})
        for cell in nb.cells:
            if is_answer(cell):
                assert cell.metadata.deletable is False
                assert cell.metadata.get("editable", True)


# --- what a learner wrote ---


def answered(clone: Path) -> Path:
    """exercises/03b_duality.ipynb with an answer, an own cell after it, and a changed text of the course."""
    path = clone / "exercises" / "03b_duality.ipynb"
    nb = read(path)
    i = next(i for i, c in enumerate(nb.cells) if grade_id(c) == "03b_duality-ssd-parallel")
    nb.cells[i].source = "def ssd_parallel(x, log_a, B, C):\n    return x  # mine"
    nb.cells.insert(i + 1, v4.new_code_cell("my_scratch = 1", id="mine"))
    nb.cells[0].source += "\n\nMy own remark."
    write(nb, path)
    return path


def test_build_keeps_answers_own_cells_and_remarks_and_backs_up(clone: Path) -> None:
    path = answered(clone)
    before = path.read_bytes()
    source = clone / "solutions" / "03b_duality.py"
    source.write_text(source.read_text().replace("# A running normalizer", "# A normalizer that keeps running"))
    assert build(clone, run=False) == [path]
    after = read(path)
    sources = [c.source for c in after.cells]
    assert "def ssd_parallel(x, log_a, B, C):\n    return x  # mine" in sources
    at = sources.index("my_scratch = 1")
    assert grade_id(after.cells[at - 1]) == "03b_duality-ssd-parallel"
    assert any("My own remark." in s for s in sources)
    headings = [s for s in sources if s.startswith(("## A running", "## A normalizer"))]
    assert len(headings) == 1, "the course's own old text is replaced, not kept"
    assert any("keeps running" in s for s in sources)
    (backup,) = (clone / ".lecture17" / "backups").glob("*/03b_duality.ipynb")
    assert backup.read_bytes() == before


def test_build_changes_nothing_where_nothing_is_new(clone: Path) -> None:
    path = answered(clone)
    build(clone, run=False)
    before = path.read_bytes()
    assert build(clone, run=False) == []
    assert path.read_bytes() == before


def test_the_answer_to_a_removed_exercise_stays_as_a_cell(clone: Path) -> None:
    path = answered(clone)
    new = from_source(clone / "solutions" / "03b_duality.py")
    new.cells = [c for c in new.cells if "ssd-parallel" not in (grade_id(c) or "")]
    assert learner.install(exercise_from(new), path, clone)
    kept = next(c for c in read(path).cells if "# mine" in c.source)
    assert "nbgrader" not in kept.metadata


def test_deleted_and_changed_checks_come_back(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    pristine = path.read_bytes()
    nb = read(path)
    nb.cells = [c for c in nb.cells if grade_id(c) != "00_quickstart-matrix"]
    check = next(c for c in nb.cells if grade_id(c) == "00_quickstart-matrix-check")
    check.source = "print('passed')"
    write(nb, path)
    build(clone, run=False)
    assert path.read_bytes() == pristine


def test_a_file_that_is_not_a_notebook_is_backed_up_before_it_is_replaced(
    clone: Path, capsys: pytest.CaptureFixture
) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    path.write_text('{"cells": [ half of what I wro')
    assert build(clone, run=False) == [path]
    (backup,) = (clone / ".lecture17" / "backups").glob("*/00_quickstart.ipynb")
    assert backup.read_text() == '{"cells": [ half of what I wro'
    said = capsys.readouterr().out
    assert said.startswith("00_quickstart.ipynb could not be read (not JSON: ")
    assert said.endswith(f" is in {backup}\n")


def test_a_byte_order_mark_and_line_ends_of_windows_cost_nothing(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    for cell in nb.cells:
        cell.source = cell.source.replace("\n", "\r\n")
    write(nb, path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert not learner.has_work(read(path))
    assert build(clone, run=False) == []


def test_own_cells_stay_after_the_cell_they_followed_in_files_without_ids(clone: Path) -> None:
    path = clone / "exercises" / "03b_duality.ipynb"
    nb = read(path)
    for i in range(len(nb.cells), 0, -1):
        nb.cells.insert(i, v4.new_code_cell(f"mine = {i}"))
    for cell in nb.cells:
        del cell["id"]
    nb.nbformat_minor = 4
    write(nb, path)
    before = [(c.cell_type, c.source) for c in nb.cells]
    build(clone, run=False)
    assert [(c.cell_type, c.source) for c in read(path).cells] == before


def test_the_courses_own_texts_are_there_once_also_after_a_way_through_a_py_file(clone: Path) -> None:
    """jupytext takes the course's metadata away: a text is then known by what it says."""
    path = clone / "exercises" / "03b_duality.ipynb"
    nb = read(path)
    nb.cells.append(v4.new_code_cell("progress()", id="mine"))
    nb.cells.append(v4.new_code_cell("progress()", id="mine-again"))
    before = [c.source for c in nb.cells]
    for cell in nb.cells:
        cell.metadata.pop("lecture17", None)
    write(through_py := jupytext.reads(jupytext.writes(nb, "py:percent"), "py:percent"), path)
    assert not any(learner.is_filled(cell) for cell in through_py.cells if is_answer(cell))
    answer = next(filter(is_answer, through_py.cells))
    for mine in ("return q1", "q = k = q1"):  # and the stub's own line is still below
        answer.source = answer.source.replace("    # YOUR CODE HERE", f"    {mine}\n    # YOUR CODE HERE")
        assert learner.is_filled(answer)
    build(clone, run=False)
    assert [c.source for c in read(path).cells] == before


def test_of_two_answers_to_an_exercise_the_one_that_is_filled_counts(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    i = next(i for i, c in enumerate(nb.cells) if grade_id(c) == "00_quickstart-matrix")
    nb.cells.insert(i + 1, from_dict({**nb.cells[i], "id": "second", "source": "first_filled = 1"}))
    nb.cells.insert(i + 2, from_dict({**nb.cells[i], "id": "third", "source": "second_filled = 1"}))
    write(nb, path)
    build(clone, run=False)
    answer, own = read(path).cells[i : i + 2]
    assert (grade_id(answer), answer.source) == ("00_quickstart-matrix", "first_filled = 1")
    assert (grade_id(own), own.source) == (None, "second_filled = 1")


def test_reset_empties_one_answer_and_backs_up(clone: Path) -> None:
    path = answered(clone)
    before = path.read_bytes()
    backup = learner.reset("03b_duality-ssd-parallel", path, clone)
    assert backup.read_bytes() == before
    nb = read(path)
    answer = next(c for c in nb.cells if grade_id(c) == "03b_duality-ssd-parallel")
    assert "raise NotImplementedError()" in answer.source
    assert "my_scratch = 1" in [c.source for c in nb.cells]


def test_reset_makes_code_of_an_answer_that_was_turned_into_text(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    i = next(i for i, c in enumerate(nb.cells) if grade_id(c) == "00_quickstart-matrix")
    kept = {key: nb.cells[i][key] for key in ("id", "metadata")}
    nb.cells[i] = v4.new_markdown_cell("my work", attachments={"a.png": {"image/png": ""}}, **kept)
    write(nb, path)
    learner.reset("00_quickstart-matrix", path, clone)
    after = read(path)
    nbformat.validate(after)
    assert (after.cells[i].cell_type, after.cells[i].source) == ("code", kept["metadata"].lecture17.stub)


def test_two_backups_in_one_second_are_two_files(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    assert len({learner.backup(path, clone) for _ in range(3)}) == 3


# --- authors in JupyterLab ---


def open_and_save(root: Path, path: str, addition: str = "") -> None:
    """What JupyterLab's server does when a notebook is opened, its first cell added to, and saved."""

    async def session() -> None:
        manager = AsyncTextFileContentsManager(root_dir=str(root))
        model = await manager.get(path)
        model["content"]["cells"][0]["source"] += addition
        await manager.save(model, path)

    with ThreadPoolExecutor() as aside:  # Playwright's loop may be running in this thread
        aside.submit(asyncio.run, session()).result()


@pytest.mark.parametrize("folder", ["notebooks", "solutions"])
def test_saving_a_notebook_writes_its_source_and_changes_nothing_else_in_it(clone: Path, folder: str) -> None:
    source = clone / folder / "00_quickstart.py"
    before = source.read_text()
    open_and_save(clone, f"{folder}/00_quickstart.ipynb", "\n\nA new sentence.")
    after = source.read_text()
    assert "\n# A new sentence.\n" in after
    assert after.replace("#\n# A new sentence.\n", "") == before
    assert without_outputs(from_source(source))[1:] == without_outputs(from_source(ROOT / folder / source.name))[1:]


def test_saving_an_exercise_writes_no_pair(clone: Path) -> None:
    open_and_save(clone, "exercises/00_quickstart.ipynb", "\n\nA remark.")
    assert not (clone / "exercises" / "00_quickstart.py").exists()
