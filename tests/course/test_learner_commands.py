"""What a learner types: progress, hint, reset, doctor; each says what it did or what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lecture17.__main__ import app
from lecture17.course import check, doctor, exercises, passed
from lecture17.course.build import from_source
from lecture17.course.notebooks import grade_id, read, write


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def pass_the_first(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    check("00_quickstart-matrix", lambda U, V: np.tril(U @ V.T))


def test_progress_counts_what_is_passed_in_exercises(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    total = sum(e.points for e in exercises.all_exercises())
    assert f"0 of {total} points" in run("progress")[1]
    pass_the_first(monkeypatch, clone / "exercises")
    status, text = run("progress")
    assert status == 0
    assert f"3 of {total} points" in text
    assert f"next: {exercises.all_exercises()[1].id}, " in text


def test_the_first_pass_is_the_one_that_is_remembered(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = json.dumps({"passed": {"00_quickstart-matrix": "2020-02-20T20:20:20"}})
    (clone / ".lecture17").mkdir()
    (clone / ".lecture17" / "progress.json").write_text(before)
    pass_the_first(monkeypatch, clone / "exercises")
    assert passed.load() == {"00_quickstart-matrix": "2020-02-20T20:20:20"}


def test_a_solution_that_passes_is_not_the_learners_progress(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pass_the_first(monkeypatch, clone / "solutions")
    assert passed.load() == {}


def test_a_failed_check_is_not_recorded(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone / "exercises")
    with pytest.raises(AssertionError):
        check("00_quickstart-matrix", lambda U, V: U @ V.T)
    assert passed.load() == {}


def test_a_broken_progress_file_is_set_aside(clone: Path, capsys: pytest.CaptureFixture) -> None:
    (clone / ".lecture17").mkdir()
    (clone / ".lecture17" / "progress.json").write_text('{"passed": {"00_quick')
    assert passed.load() == {}
    assert "could not be read; it is kept as progress.broken-" in capsys.readouterr().out
    (kept,) = (clone / ".lecture17").glob("progress.broken-*.json")
    assert kept.read_text() == '{"passed": {"00_quick'


def test_a_pass_stands_where_progress_cannot_be_written(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(passed, "write_atomically", full)
    pass_the_first(monkeypatch, clone / "exercises")


def test_everything_passed_is_said(clone: Path) -> None:
    everything = {e.id: "2026-01-01T00:00:00" for e in exercises.all_exercises()}
    (clone / ".lecture17").mkdir()
    (clone / ".lecture17" / "progress.json").write_text(json.dumps({"passed": everything}))
    assert run("progress")[1].strip().endswith("every exercise is passed")


def test_hint_lists_symptoms_then_opens_one() -> None:
    status, text = run("hint", "03b_duality-ssd-chunkwise")
    assert status == 0
    assert [line[0] for line in text.splitlines()[1:4]] == ["1", "2", "3"]
    assert "The first chunk is right and the second is not" in text
    assert "y[t] += " in run("hint", "03b_duality-ssd-chunkwise", "2")[1]
    assert run("hint", "03b_duality-ssd-chunkwise", "4") == (
        1,
        "number is 4: 03b_duality-ssd-chunkwise has hints 1 to 3\n",
    )
    status, text = run("hint", "03b_duality-nothing")
    assert status == 1
    assert "expected one of 03b_duality-exp-counterexample, " in text


def test_reset_says_where_the_backup_is(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    answer = next(c for c in nb.cells if grade_id(c) == "00_quickstart-matrix")
    answer.source = "my work"
    write(nb, path)
    status, text = run("reset", "00_quickstart-matrix")
    assert status == 0
    backup = Path(text.split(" is in ")[1].replace("\n", ""))
    assert any(c.source == "my work" for c in read(backup).cells)
    assert not any(c.source == "my work" for c in read(path).cells)
    assert run("reset", "00_quickstart-nothing")[0] == 1


def test_help_tells_a_newcomer_what_there_is() -> None:
    status, text = run("--help")
    assert status == 0
    for command in ("grade", "progress", "hint", "reset", "build", "doctor"):
        assert command in text


# --- doctor ---


def examined(monkeypatch: pytest.MonkeyPatch, **examinations: object) -> tuple[bool, str]:
    """The doctor with some examinations alone."""
    lines: list[str] = []
    monkeypatch.setattr(doctor, "EXAMINATIONS", examinations)
    return doctor.examine(lines.append), "\n".join(lines)


def test_the_doctor_finds_this_installation_well(clone: Path) -> None:
    status, text = run("doctor")
    assert status == 0, text
    assert text.count("[ OK ]") == len(doctor.EXAMINATIONS)
    assert "[FAIL]" not in text


def test_the_doctor_names_the_mend_for_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PYTHONS", ((3, 8), (3, 9)))
    well, text = examined(monkeypatch, Python=doctor.python)
    assert not well
    assert "[FAIL] Python: this is Python 3." in text
    assert "mend: install Python 3.8 to 3.9" in text


def test_the_doctor_names_packages_of_another_version(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constraints = clone / "constraints.txt"
    constraints.write_text("numpy==0.1\nnot-installed==1.0\n")
    well, text = examined(monkeypatch, versions=doctor.versions)
    assert not well
    assert f"numpy is {np.__version__}, pinned 0.1" in text
    assert "not-installed" not in text
    assert "pip install -c constraints.txt" in text


def test_the_doctor_misses_kernel_widgets_and_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clone: Path
) -> None:
    def no_kernel(*_: object) -> None:
        raise doctor.NoSuchKernel("python3")

    with monkeypatch.context() as patch:
        patch.setattr(doctor.KernelSpecManager, "get_kernel_spec", no_kernel)
        well, text = examined(patch, kernel=doctor.kernel)
        assert not well
        assert "ipykernel install --sys-prefix" in text
    with monkeypatch.context() as patch:
        patch.setattr(doctor.sys, "prefix", str(tmp_path))
        well, text = examined(patch, widgets=doctor.widgets)
        assert not well
        assert "pip install --force-reinstall" in text
    with monkeypatch.context() as patch:
        patch.setattr(doctor, "MEMORY", 1e9)
        well, text = examined(patch, memory=doctor.memory)
        assert not well
        assert "close other programs" in text


def test_the_doctor_notices_a_check_that_passes_everything(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clone / "solutions" / "00_quickstart.py"
    source.write_text(source.read_text().replace('check("00_quickstart-matrix", semiseparable_matrix)', "pass"))
    write(from_source(source), source.with_suffix(".ipynb"))
    well, text = examined(monkeypatch, exercise=doctor.exercise)
    assert not well
    assert "was graded 'passed' when empty" in text


def test_the_doctor_notices_a_folder_that_cannot_be_written(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", denied)
    well, text = examined(monkeypatch, folder=doctor.folder)
    assert not well
    assert "move the clone to a folder of your own" in text
