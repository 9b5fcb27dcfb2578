"""What a learner types: progress, hint, reset, doctor; each says what it did or what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from lecture17.__main__ import app
from lecture17.course import check, exercises, paths
from lecture17.course.board import ProgressBoard
from lecture17.course.notebooks import grade_id, read, write
from lecture17.course.progress import load
from tests.conftest import ROOT


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
    assert load() == {"00_quickstart-matrix": "2020-02-20T20:20:20"}


def test_a_solution_that_passes_is_not_the_learners_progress(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pass_the_first(monkeypatch, clone / "solutions")
    assert load() == {}


def test_a_cell_that_changes_the_folder_keeps_no_pass_from_being_recorded(
    clone: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun = SimpleNamespace(starting_dir=str(clone / "exercises"))
    monkeypatch.setattr(sys.modules["lecture17.course.progress"], "get_ipython", lambda: begun)
    pass_the_first(monkeypatch, tmp_path)
    assert list(load()) == ["00_quickstart-matrix"]


def test_a_failed_check_is_not_recorded(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone / "exercises")
    with pytest.raises(AssertionError):
        check("00_quickstart-matrix", lambda U, V: U @ V.T)
    assert load() == {}


def test_a_broken_progress_file_is_set_aside(clone: Path, capsys: pytest.CaptureFixture) -> None:
    (clone / ".lecture17").mkdir()
    (clone / ".lecture17" / "progress.json").write_text('{"passed": {"00_quick')
    assert load() == {}
    assert "could not be read; it is now called progress.broken-" in capsys.readouterr().out
    (kept,) = (clone / ".lecture17").glob("progress.broken-*.json")
    assert kept.read_text() == '{"passed": {"00_quick'


def test_a_pass_stands_where_progress_cannot_be_written(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paths, "write_atomically", full)
    pass_the_first(monkeypatch, clone / "exercises")


def test_where_nothing_can_be_kept_everything_else_works(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone / ".lecture17").write_text("a file where a folder belongs")
    pass_the_first(monkeypatch, clone / "exercises")
    assert load() == {}
    assert "next: 00_quickstart-matrix" in run("progress")[1]
    assert ProgressBoard().words.startswith("Self-assessment: 0 of")


def test_what_is_written_keeps_its_links_and_its_mode(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a.ipynb").write_text("old")
    (tmp_path / "kept" / "a.ipynb").chmod(0o640)
    (tmp_path / "a.ipynb").symlink_to("kept/a.ipynb")
    paths.write_atomically(tmp_path / "a.ipynb", "new\n")
    assert (tmp_path / "a.ipynb").is_symlink()
    assert (tmp_path / "kept" / "a.ipynb").read_bytes() == b"new\n"
    assert (tmp_path / "kept" / "a.ipynb").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_a_terminal_cannot_show_is_replaced(clone: Path, encoding: str) -> None:
    right = "from lecture17.course import *; import numpy as np\nhint('ssd-chunkwise', 3)\nprogress()\n"
    right += "check('00_quickstart-matrix', lambda U, V: np.tril(U @ V.T))"
    for words in (["-m", "lecture17", "progress"], ["-c", right]):
        environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, *words], cwd=clone / "exercises", env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr
    assert b"? 00_quickstart-matrix (3 points)" in done.stdout


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
    assert text.endswith("\n`python -m lecture17 hint 03b_duality-ssd-chunkwise 1` opens the first\n")
    assert "has it decayed" in run("hint", "03b_duality-ssd-chunkwise", "2")[1]
    assert run("hint", "03b_duality-ssd-chunkwise", "4") == (
        1,
        "number is 4: 03b_duality-ssd-chunkwise has hints 1 to 3\n",
    )
    status, text = run("hint", "03b_duality-nothing")
    assert status == 1
    assert text.startswith("no exercise is called '03b_duality-nothing': ")
    assert len(text) < 200


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


def test_reset_says_how_a_notebook_that_is_gone_comes_back(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    path.rename(path.with_name("mine.ipynb"))
    status, text = run("reset", "00_quickstart-matrix")
    assert (status, "is not there: `python -m lecture17 build --no-run 00_quickstart` puts it back" in text) == (
        1,
        True,
    )
    assert run("build", "--no-run", "00_quickstart")[0] == 0
    assert run("reset", "00_quickstart-matrix")[0] == 0


def test_reset_takes_a_short_id(clone: Path) -> None:
    status, text = run("reset", "matrix")
    assert (status, text.split(";")[0]) == (0, "00_quickstart-matrix is empty again")


@pytest.mark.parametrize(
    "command", ["progress", "grade", "lab", "build --no-run", "build --check", "reset matrix", "update"]
)
def test_where_there_is_no_course_each_command_says_so_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("LECTURE17_HOME", str(tmp_path))
    status, text = run(*command.split())
    assert status == 1
    assert text.startswith(f"{tmp_path} is not a clone of the course")
    assert text.count("\n") == 1


def test_a_folder_that_was_deleted_meanwhile_is_named_in_a_line(clone: Path) -> None:
    command = f"mkdir gone && cd gone && rmdir ../gone && '{sys.executable}' -m lecture17 progress"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, cwd=clone, env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "the folder that you are in does not exist any more: go to another with `cd`\n"


def test_a_full_disk_is_named_in_a_line(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "00_quickstart.ipynb")

    (clone / "exercises" / "00_quickstart.ipynb").unlink()
    monkeypatch.setattr("lecture17.course.notebooks.write_atomically", full)
    assert run("build", "--no-run", "00_quickstart") == (
        1,
        "[Errno 28] No space left on device: '00_quickstart.ipynb'\n",
    )


def test_help_tells_a_newcomer_what_there_is() -> None:
    status, text = run("--help")
    assert status == 0
    for command in ("grade", "progress", "hint", "reset", "build", "doctor"):
        assert command in text


def test_build_names_what_is_no_notebook_and_takes_file_names(clone: Path) -> None:
    status, text = run("build", "nonsense", "--no-run")
    assert status == 2
    assert "no notebook is called nonsense" in text
    assert run("build", "exercises/00_quickstart.ipynb", "--no-run") == (0, "nothing changed\n")


def test_a_terminal_that_says_it_has_no_columns_is_written_to(clone: Path) -> None:
    environment = os.environ | {"COLUMNS": "0", "LECTURE17_HOME": str(clone), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "lecture17", "--help"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert "Usage: python -m lecture17" in done.stdout


def test_a_command_needs_no_output_to_write_to(clone: Path) -> None:
    """A shortcut, or a service, may start it with standard output closed."""
    command = f"'{sys.executable}' -m lecture17 progress >&-"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("empty", ["", os.pathsep])  # an entry of PYTHONPATH that is the folder, too
@pytest.mark.parametrize("name", ["random.py", "typing.py", "typer/__init__.py"])
def test_a_file_of_the_learners_in_the_folder_hides_no_module_from_a_command(
    clone: Path, name: str, empty: str
) -> None:
    (clone / name).parent.mkdir(exist_ok=True)
    (clone / name).write_text("raise SystemExit('hidden')")
    environment = os.environ | {"PYTHONPATH": f"{empty}{ROOT}"}
    command = [sys.executable, "-m", "lecture17", "progress"]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_user_whom_the_system_does_not_know_has_a_home(clone: Path) -> None:
    """As in containers: no HOME, and no line in /etc/passwd."""
    (clone / "path").mkdir()
    unknown = "import pwd\ndef unknown(user):\n    raise KeyError(user)\npwd.getpwuid = unknown\n"
    (clone / "path" / "sitecustomize.py").write_text(unknown)
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    environment["PYTHONPATH"] = f"{clone / 'path'}{os.pathsep}{ROOT}"
    command = [sys.executable, "-m", "lecture17", "grade", "solutions/00_quickstart.ipynb"]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
