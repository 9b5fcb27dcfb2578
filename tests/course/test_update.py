"""`update` on real git repositories: a course, a learner's clone of it, and a newer course."""

import contextlib
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode, v4
from typer.testing import CliRunner

from lecture17.__main__ import app
from lecture17.course.clone import CannotUpdate, Clone
from lecture17.course.notebooks import grade_id, made, read, write
from lecture17.course.update import UPDATING, undo, update


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


def notebook(*exercises: str, text: str = "Read this.", version: int = 1) -> NotebookNode:
    """An exercise notebook as build makes it."""
    cells = [v4.new_markdown_cell(text, id="text", metadata={"lecture17": {"made": made(text)}})]
    for name in exercises:
        stub = f"def answer():\n    raise NotImplementedError  # {version}"
        answer = {"grade_id": name, "solution": True, "grade": False, "locked": False, "schema_version": 3}
        check = answer | {"grade_id": f"{name}-check", "solution": False, "grade": True, "locked": True, "points": 1}
        cells += [
            v4.new_code_cell(stub, id=name, metadata={"nbgrader": answer, "lecture17": {"stub": stub}}),
            v4.new_code_cell(
                f'check("{name}", answer)',
                id=f"{name}-check",
                metadata={"nbgrader": check, "lecture17": {"made": made(f'check("{name}", answer)')}},
            ),
        ]
    return v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": f"Python {version}"}}
    )


def publish(course: Path, files: dict[str, NotebookNode | str | None]) -> None:
    """Commit files to the course; None removes one."""
    for name, content in files.items():
        path = course / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        elif isinstance(content, str):
            path.write_text(content)
        else:
            write(content, path)
    git(course, "add", "-A")
    git(course, "commit", "-qm", "A step of the course")


def fill(path: Path, exercise: str, answer: str) -> None:
    nb = read(path)
    (cell,) = [c for c in nb.cells if grade_id(c) == exercise]
    cell.source = answer
    write(nb, path)


def answer_in(path: Path, exercise: str) -> str:
    (cell,) = [c for c in read(path).cells if grade_id(c) == exercise]
    return str(cell.source)


def everything(folder: Path) -> dict[str, bytes]:
    """The bytes of all files of a clone but git's and the course's own records."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in (".git", ".lecture17")
    }


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A committer, and no settings of this machine's."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n[init]\ndefaultBranch = main\n")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "course"
    folder.mkdir()
    git(folder, "init", "-q")
    publish(
        folder,
        {
            ".gitignore": ".lecture17/\n",
            "constraints.txt": "numpy==2.2\n",
            "notebooks/00_a.ipynb": v4.new_notebook(),
            "solutions/00_a.py": "",
            "exercises/00_a.ipynb": notebook("00_a-one", "00_a-two"),
            "exercises/01_b.ipynb": notebook("01_b-three"),
        },
    )
    return folder


@pytest.fixture
def mine(course: Path, tmp_path: Path) -> Path:
    """A learner's clone with an answer in each notebook."""
    folder = tmp_path / "mine"
    git(tmp_path, "clone", "-q", str(course), str(folder))
    fill(folder / "exercises/00_a.ipynb", "00_a-one", "def answer():\n    return 1")
    fill(folder / "exercises/01_b.ipynb", "01_b-three", "def answer():\n    return 'drei'")
    return folder


def newer(course: Path) -> None:
    publish(
        course,
        {
            "exercises/00_a.ipynb": notebook("00_a-one", "00_a-two", "00_a-new", text="Read this, mended.", version=2),
            "exercises/02_c.ipynb": notebook("02_c-four"),
            "lecture17/code.py": "x = 1\n",
            "constraints.txt": "numpy==2.3\n",
        },
    )


def test_answers_stay_and_the_rest_is_new(course: Path, mine: Path) -> None:
    newer(course)
    said = update(mine)
    path = mine / "exercises/00_a.ipynb"
    assert answer_in(path, "00_a-one").endswith("return 1")
    assert answer_in(path, "00_a-two").endswith("# 2")
    assert read(path).cells[0].source == "Read this, mended."
    assert answer_in(mine / "exercises/01_b.ipynb", "01_b-three").endswith("'drei'")
    assert (mine / "exercises/02_c.ipynb").exists()
    assert (mine / "lecture17/code.py").read_text() == "x = 1\n"
    assert git(mine, "rev-parse", "HEAD") == git(course, "rev-parse", "HEAD")
    assert git(mine, "branch", "--show-current") == "main"
    assert "new:      00_a-new, 02_c-four" in said
    assert "revised:  00_a-one, 00_a-two" in said
    assert "kept:     2 of your 2 answers" in said
    assert "make lab" in said


def test_what_was_not_touched_is_the_newer_course_to_the_byte(course: Path, mine: Path) -> None:
    git(mine, "checkout", "-q", "--", ".")
    newer(course)
    update(mine)
    assert everything(mine) == everything(course)


def test_an_exercise_that_moved_takes_its_answer_along(course: Path, mine: Path) -> None:
    publish(course, {"exercises/01_b.ipynb": None, "exercises/03_d.ipynb": notebook("01_b-three", version=2)})
    said = update(mine)
    assert answer_in(mine / "exercises/03_d.ipynb", "01_b-three").endswith("'drei'")
    assert "kept:     2 of your 2 answers" in said


def test_the_answer_to_an_exercise_that_is_gone_stays_as_a_cell(course: Path, mine: Path) -> None:
    publish(course, {"exercises/00_a.ipynb": notebook("00_a-two")})
    said = update(mine)
    cells = read(mine / "exercises/00_a.ipynb").cells
    assert [grade_id(c) for c in cells if c.source.endswith("return 1")] == [None]
    assert "gone:     00_a-one" in said
    assert "not kept: 00_a-one: no exercise" in said


def test_a_notebook_that_is_gone_and_was_committed_is_found_by_the_command_that_is_named(
    course: Path, mine: Path
) -> None:
    fill(mine / "exercises/01_b.ipynb", "01_b-three", "def answer():\n    return 3")
    git(mine, "commit", "-qam", "My answers")
    publish(course, {"exercises/01_b.ipynb": None})
    said = update(mine)
    [(name, command)] = re.findall(r"^removed: +(\S+), .*`git (show \w+):FILE`", said, re.MULTILINE)
    assert "return 3" in git(mine, *f"{command}:{name}".split())


def test_a_notebook_that_is_gone_lies_in_the_backup(course: Path, mine: Path) -> None:
    before = (mine / "exercises/01_b.ipynb").read_bytes()
    publish(course, {"exercises/01_b.ipynb": None})
    said = update(mine)
    assert not (mine / "exercises/01_b.ipynb").exists()
    (copy,) = (mine / ".lecture17/backups").glob("*-update/exercises/01_b.ipynb")
    assert copy.read_bytes() == before
    assert "removed:  exercises/01_b.ipynb, with your work in it; the file is in the backup" in said


def test_a_notebook_that_was_run_and_a_file_in_the_way_are_backed_up(course: Path, mine: Path) -> None:
    run = v4.new_notebook(cells=[v4.new_code_cell("1", id="mine")])
    write(run, mine / "notebooks/00_a.ipynb")
    (mine / "exercises/02_c.ipynb").write_text("not a notebook")
    newer(course)
    publish(course, {"notebooks/00_a.ipynb": v4.new_notebook(cells=[v4.new_code_cell("2", id="theirs")])})
    said = update(mine)
    assert "replaced: notebooks/00_a.ipynb: your version" in said
    (backup,) = (mine / ".lecture17/backups").glob("*-update")
    assert read(backup / "notebooks/00_a.ipynb") == run
    assert (backup / "exercises/02_c.ipynb").read_text() == "not a notebook"
    assert answer_in(mine / "exercises/02_c.ipynb", "02_c-four")


def test_undo_brings_every_byte_back(course: Path, mine: Path) -> None:
    (mine / "exercises/scratch.txt").write_text("mine")
    (mine / "solutions/00_a.py").unlink()
    before, commit = everything(mine), git(mine, "rev-parse", "HEAD")
    newer(course)
    update(mine)
    assert everything(mine) != before
    assert "as it was before the update" in undo(mine)
    assert everything(mine) == before
    assert git(mine, "rev-parse", "HEAD") == commit
    with pytest.raises(CannotUpdate, match="no update to undo"):
        undo(mine)


def test_undo_keeps_what_was_written_since(course: Path, mine: Path) -> None:
    older = (mine / "notebooks/00_a.ipynb").read_bytes()
    newer(course)
    publish(course, {"notebooks/00_a.ipynb": v4.new_notebook(cells=[v4.new_markdown_cell("Newer.", id="newer")])})
    update(mine)
    fill(mine / "exercises/00_a.ipynb", "00_a-two", "def answer():\n    return 2")
    fill(mine / "exercises/02_c.ipynb", "02_c-four", "def answer():\n    return 4")
    write(v4.new_notebook(cells=[v4.new_markdown_cell("Run by me.", id="mine")]), mine / "notebooks/00_a.ipynb")
    said = undo(mine)
    assert (mine / "notebooks/00_a.ipynb").read_bytes() == older
    assert "As before the update: notebooks/00_a.ipynb; your version is in" in said
    assert "No longer here: exercises/02_c.ipynb; your version is in" in said
    path = mine / "exercises/00_a.ipynb"
    assert answer_in(path, "00_a-one").endswith("return 1")
    assert answer_in(path, "00_a-two").endswith("return 2")
    assert read(path).cells[0].source == "Read this."
    assert [p for p in (mine / ".lecture17/backups").rglob("02_c.ipynb") if "return 4" in p.read_text()]


def test_own_cells_are_there_once_after_update_and_undo(course: Path, mine: Path) -> None:
    path = mine / "exercises/00_a.ipynb"
    nb = read(path)
    nb.cells.insert(1, v4.new_code_cell("print('a note of mine')", id="note"))
    write(nb, path)
    newer(course)
    update(mine)
    fill(path, "00_a-two", "def answer():\n    return 2")
    undo(mine)
    assert [c.source for c in read(path).cells].count("print('a note of mine')") == 1


def test_a_fork_with_committed_answers_gets_a_merge(course: Path, mine: Path) -> None:
    git(mine, "commit", "-qam", "My answers")
    fork = git(mine, "rev-parse", "HEAD")
    fill(mine / "exercises/00_a.ipynb", "00_a-two", "def answer():\n    return 2")
    newer(course)
    update(mine)
    assert git(mine, "rev-parse", "HEAD^1", "HEAD^2").split() == [fork, git(course, "rev-parse", "HEAD")]
    committed = nbformat.reads(git(mine, "show", "HEAD:exercises/00_a.ipynb"), as_version=4)
    texts = {grade_id(c): c.source for c in committed.cells}
    assert texts["00_a-one"].endswith("return 1")
    assert texts["00_a-two"].endswith("# 2")
    assert answer_in(mine / "exercises/00_a.ipynb", "00_a-two").endswith("return 2")
    assert git(mine, "status", "--porcelain").split() == ["M", "exercises/00_a.ipynb"]
    undo(mine)
    assert git(mine, "rev-parse", "HEAD") == fork


def interruptions(monkeypatch: pytest.MonkeyPatch, command: Callable[[], object]) -> Iterator[None]:
    """Run the command with Ctrl-C before git's first step, before the second, …; ends when it ran to its end."""
    git_of = Clone.git
    for at in itertools.count(1):
        left = at

        def interruptible(*args: Any, **named: Any) -> str:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return git_of(*args, **named)

        with monkeypatch.context() as patch:
            patch.setattr(Clone, "git", interruptible)
            try:
                command()
            except KeyboardInterrupt:
                yield
            else:
                return


def test_interrupted_at_any_step_it_can_be_undone_or_done_again(
    course: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine / "exercises/02_c.ipynb").write_text("in the way")
    before = everything(mine)
    newer(course)
    whole = tmp_path / "whole"
    shutil.copytree(mine, whole)
    update(whole)
    after = everything(whole)
    interrupted = halfway = 0
    for _ in interruptions(monkeypatch, lambda: update(mine)):
        interrupted += 1
        if git(mine, "for-each-ref", UPDATING):
            halfway += 1
            undo(mine)
        assert everything(mine) == before
    assert (interrupted > 12, halfway > 2) == (True, True)
    assert everything(mine) == after
    for _ in interruptions(monkeypatch, lambda: undo(mine)):
        if git(mine, "for-each-ref", UPDATING):
            undo(mine)
        assert everything(mine) == after
    assert everything(mine) == before


def killed_update(mine: Path) -> None:
    """An update whose process ends while git writes files; git writes its index last, so it does not know them."""
    code = (
        "import os, pathlib\n"
        "from lecture17.course.update import Clone, update\n"
        "git = Clone.git\n"
        "def die(self, *words, **named):\n"
        "    if words[0] != 'read-tree' or '-u' not in words or '--dry-run' in words:\n"
        "        return git(self, *words, **named)\n"
        "    for lock in ('index', 'HEAD', 'packed-refs', *(f'refs/{name}' for name in\n"
        "                 ('heads/main', 'lecture17/updating', 'lecture17/updated'))):\n"
        "        (self.root / f'.git/{lock}.lock').touch()\n"
        "    (self.root / 'exercises/00_a.ipynb').write_text('half')\n"
        "    (self.root / 'lecture17').mkdir(exist_ok=True)\n"
        "    (self.root / 'lecture17/code.py').write_text('half')\n"
        "    os._exit(9)\n"
        "Clone.git = die\n"
        f"update(pathlib.Path({str(mine)!r}))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9


def test_killed_while_git_works_the_next_update_takes_it_back_and_goes_on(course: Path, mine: Path) -> None:
    before = everything(mine)
    newer(course)
    killed_update(mine)
    git(course, "tag", "newer")
    git(course, "reset", "-q", "--hard", "HEAD^")
    assert "nothing newer" in update(mine)
    assert everything(mine) == before
    git(course, "reset", "-q", "--hard", "newer")
    killed_update(mine)
    said = update(mine)
    assert "An update was interrupted. It has been undone" in said
    assert answer_in(mine / "exercises/00_a.ipynb", "00_a-one").endswith("return 1")
    assert answer_in(mine / "exercises/00_a.ipynb", "00_a-new").endswith("# 2")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows knows neither fork nor SIGKILL")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_killed_at_any_of_50_moments_nothing_is_lost(course: Path, mine: Path, tmp_path: Path) -> None:
    """It and the git that it runs are killed at once; then it is undone, or done again, and nothing is half done."""
    (mine / "exercises/02_c.ipynb").write_text("in the way")
    before = everything(mine)
    newer(course)
    whole = tmp_path / "whole"
    shutil.copytree(mine, whole)
    begin = time.monotonic()
    update(whole)
    seconds, after = time.monotonic() - begin, everything(whole)
    moments = random.Random(17)
    killed = 0
    for moment in range(50):
        here = tmp_path / "here"
        shutil.copytree(mine, here)
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            update(here)
            os._exit(0)
        with contextlib.suppress(PermissionError):  # it has done so itself
            os.setpgid(child, child)
        time.sleep(moments.uniform(0, seconds))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        killed += os.waitpid(child, 0)[1] == signal.SIGKILL
        if git(here, "for-each-ref", UPDATING):
            undo(here)
            assert everything(here) == before
        else:
            assert everything(here) in (before, after)
        if moment % 5 == 0:
            update(here)
            assert everything(here) == after
        shutil.rmtree(here)
    assert killed > 20


def test_an_answer_written_after_an_update_was_killed_stays(course: Path, mine: Path) -> None:
    newer(course)
    killed_update(mine)
    fill(mine / "exercises/01_b.ipynb", "01_b-three", "def answer():\n    return 'later'")
    undo(mine)
    assert answer_in(mine / "exercises/01_b.ipynb", "01_b-three").endswith("'later'")
    assert answer_in(mine / "exercises/00_a.ipynb", "00_a-one").endswith("return 1")
    assert any(path.read_text() == "half" for path in (mine / ".lecture17/backups").rglob("00_a.ipynb"))


def test_a_file_that_is_saved_meanwhile_stops_the_update(
    course: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer(course)
    git_of = Clone.git

    def saving(*args: Any, **named: Any) -> str:
        if "--dry-run" in args:
            fill(mine / "exercises/00_a.ipynb", "00_a-one", "def answer():\n    return 'saved'")
        return git_of(*args, **named)

    monkeypatch.setattr(Clone, "git", saving)
    with pytest.raises(CannotUpdate, match=r"exercises/00_a\.ipynb' not uptodate"):
        update(mine)
    monkeypatch.undo()
    assert answer_in(mine / "exercises/00_a.ipynb", "00_a-one").endswith("'saved'")
    assert not (mine / "exercises/02_c.ipynb").exists()


def test_links_and_ignored_files_in_the_way_are_backed_up_and_come_back(course: Path, mine: Path) -> None:
    (mine / ".git/info/exclude").write_text("*.log\n")
    (mine / "exercises/run.log").write_text("mine")
    (mine / "exercises/link.ipynb").symlink_to("00_a.ipynb")
    (mine / "exercises/02_c.ipynb").symlink_to("/nowhere")
    before = everything(mine)
    newer(course)
    publish(course, {"exercises/run.log": "theirs"})
    update(mine)
    assert (mine / "exercises/run.log").read_text() == "theirs"
    assert not (mine / "exercises/02_c.ipynb").is_symlink()
    (backup,) = (mine / ".lecture17/backups").glob("*-update")
    assert (backup / "exercises/run.log").read_text() == "mine"
    assert os.readlink(backup / "exercises/02_c.ipynb") == "/nowhere"
    undo(mine)
    assert everything(mine) == before
    assert os.readlink(mine / "exercises/02_c.ipynb") == "/nowhere"
    assert os.readlink(mine / "exercises/link.ipynb") == "00_a.ipynb"


def test_a_clone_inside_the_clone_is_left_alone_or_named_where_it_is_in_the_way(course: Path, mine: Path) -> None:
    git(mine, "init", "-q", "exercises/theirs")
    publish(mine / "exercises/theirs", {"note": "theirs"})
    before = everything(mine)
    newer(course)
    update(mine)
    assert (mine / "exercises/theirs/note").read_text() == "theirs"
    undo(mine)
    assert everything(mine) == before
    publish(course, {"exercises/theirs/new": "x"})
    with pytest.raises(CannotUpdate, match="exercises/theirs is in the way of the course's exercises/theirs/new"):
        update(mine)
    publish(course, {"exercises/theirs/new": None})
    shutil.rmtree(course / "exercises/theirs", ignore_errors=True)
    publish(course, {"exercises/theirs": "a file"})
    with pytest.raises(CannotUpdate, match="exercises/theirs is in the way of the course's exercises/theirs:"):
        update(mine)
    assert everything(mine) == before
    assert git(mine / "exercises/theirs", "log", "--format=%s") == "A step of the course"


@pytest.mark.parametrize("target", ["00_a.ipynb", "/"], ids=["to a file", "to a folder"])
def test_a_link_in_place_of_a_folder_of_the_course_stops_the_update(course: Path, mine: Path, target: str) -> None:
    (mine / "exercises/new").symlink_to(target)
    before = everything(mine)
    publish(course, {"exercises/etc": "x", "exercises/new/hosts": "x"} if target == "/" else {"exercises/new/a": "x"})
    with pytest.raises(CannotUpdate, match="exercises/new is in the way"):
        update(mine)
    assert everything(mine) == before
    assert os.readlink(mine / "exercises/new") == target


def test_where_a_whole_folder_is_a_link_the_update_says_so(course: Path, mine: Path, tmp_path: Path) -> None:
    shutil.move(mine / "exercises", tmp_path / "elsewhere")
    (mine / "exercises").symlink_to(tmp_path / "elsewhere")
    before = everything(mine)
    newer(course)
    with pytest.raises(CannotUpdate, match="exercises is in the way of the course's exercises/"):
        update(mine)
    assert everything(mine) == before


def test_the_kernel_that_the_learner_chose_stays(course: Path, mine: Path) -> None:
    path = mine / "exercises/00_a.ipynb"
    nb = nbformat.read(path, as_version=4)
    chosen = nb.metadata.kernelspec = {"name": "course", "display_name": "My course"}
    nbformat.write(nb, path)
    newer(course)
    update(mine)
    assert nbformat.read(path, as_version=4).metadata.kernelspec == chosen


def test_a_notebook_with_conflict_markers_is_named_and_backed_up_and_counts_for_nothing(
    course: Path, mine: Path
) -> None:
    text = (mine / "exercises/00_a.ipynb").read_text()
    (mine / "exercises/00_a.ipynb").write_text(f"<<<<<<< HEAD\n{text}=======\n>>>>>>> theirs\n")
    newer(course)
    said = update(mine)
    assert "kept:     1 of your 1 answer" in said
    assert "damaged:  exercises/00_a.ipynb: not a notebook that can be read; it is in the backup" in said
    (copy,) = (mine / ".lecture17/backups").glob("*-update/exercises/00_a.ipynb")
    assert text in copy.read_text()


def test_notes_in_a_notebook_of_the_lecture_that_did_not_change_stay(course: Path, mine: Path) -> None:
    note = v4.new_notebook(cells=[v4.new_markdown_cell("A note of mine", id="note")])
    write(note, mine / "notebooks/00_a.ipynb")
    newer(course)
    update(mine)
    assert read(mine / "notebooks/00_a.ipynb") == note


def test_without_a_git_identity_a_fork_is_merged_too(course: Path, mine: Path, tmp_path: Path) -> None:
    git(mine, "commit", "-qam", "My answers")
    newer(course)
    (tmp_path / "gitconfig").write_text("[user]\nuseConfigOnly = true\n")
    update(mine)
    assert answer_in(mine / "exercises/00_a.ipynb", "00_a-one").endswith("return 1")
    assert git(mine, "show", "-s", "--format=%an", "HEAD") == "lecture17"


def test_text_is_utf_8_whatever_the_locale(course: Path, mine: Path) -> None:
    fill(mine / "exercises/00_a.ipynb", "00_a-one", "def answer():\n    return 'γ ≤ 1'")
    publish(course, {"exercises/00_a.ipynb": notebook("00_a-one", text="Λ is a mask.", version=2), "exercises/ü": "ü"})
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LECTURE17_HOME": str(mine)}
    command = [sys.executable, "-m", "lecture17", "update"]
    subprocess.run(command, env=os.environ | ascii_only, check=True, capture_output=True)
    assert answer_in(mine / "exercises/00_a.ipynb", "00_a-one").endswith("'γ ≤ 1'")
    assert read(mine / "exercises/00_a.ipynb").cells[0].source == "Λ is a mask."
    assert (mine / "exercises/ü").read_text(encoding="utf-8") == "ü"


@pytest.mark.parametrize(("key", "program"), [("clean", "false"), ("clean", "echo"), ("process", "false")])
def test_a_filter_of_the_learners_git_changes_no_byte(course: Path, mine: Path, key: str, program: str) -> None:
    """As nbstripout installs one: outputs never reach git."""
    git(mine, "config", f"filter.a.b.{key}", program)
    git(mine, "config", "filter.a.b.required", str(program == "false"))
    (mine / ".git/info/attributes").write_text("*.ipynb filter=a.b\n")
    before = everything(mine)
    newer(course)
    update(mine)
    (backup,) = (mine / ".lecture17/backups").glob("*-update")
    assert (backup / "exercises/00_a.ipynb").read_bytes() == before["exercises/00_a.ipynb"]
    undo(mine)
    assert everything(mine) == before


def test_a_clone_of_another_user_is_called_that(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(CannotUpdate, match=f"{mine} belongs to another user.*--add safe.directory {mine}`"):
        update(mine)


def test_what_git_says_of_a_broken_clone_is_said(mine: Path) -> None:
    (mine / ".git" / "HEAD").write_text("")
    with pytest.raises(CannotUpdate, match="git rev-parse failed: fatal"):
        update(mine)


def test_nothing_newer_changes_nothing(mine: Path) -> None:
    before = everything(mine)
    assert "nothing newer" in update(mine)
    assert everything(mine) == before
    assert not (mine / ".lecture17").exists()


def test_a_fork_asks_the_remote_named_upstream(course: Path, mine: Path, tmp_path: Path) -> None:
    fork = tmp_path / "fork"
    git(tmp_path, "clone", "-q", str(mine), str(fork))
    newer(course)
    assert "nothing newer" in update(fork)
    git(fork, "remote", "add", "upstream", str(course))
    assert "new:" in update(fork)


def test_another_address_and_branch(course: Path, mine: Path) -> None:
    git(course, "switch", "-qc", "next")
    newer(course)
    git(course, "switch", "-q", "main")
    assert "nothing newer" in update(mine)
    assert "new:" in update(mine, str(course), "next")


def test_changes_to_the_course_itself_are_not_overwritten(course: Path, mine: Path) -> None:
    (mine / "constraints.txt").write_text("numpy==1\n")
    newer(course)
    with pytest.raises(CannotUpdate, match=r"you changed constraints\.txt.*git restore FILE"):
        update(mine)
    assert (mine / "constraints.txt").read_text() == "numpy==1\n"


def test_committed_changes_to_the_course_itself_are_left_to_git(course: Path, mine: Path) -> None:
    (mine / "constraints.txt").write_text("numpy==1\n")
    git(mine, "commit", "-qam", "Mine")
    newer(course)
    with pytest.raises(CannotUpdate, match=r"you changed constraints\.txt"):
        update(mine)


def test_undo_refuses_after_a_commit(course: Path, mine: Path) -> None:
    newer(course)
    update(mine)
    git(mine, "commit", "-qam", "Since")
    git(mine, "commit", "-qm", "And since", "--allow-empty")
    with pytest.raises(CannotUpdate, match="something was committed since"):
        undo(mine)


def test_where_it_cannot_be_done_it_says_why(course: Path, mine: Path, tmp_path: Path) -> None:
    for folder, why in ((tmp_path, "not a git clone"), (mine / "exercises", "is inside the git repository")):
        with pytest.raises(CannotUpdate, match=why):
            update(folder)
    with pytest.raises(CannotUpdate, match="git fetch failed"):
        update(mine, str(tmp_path / "nowhere"))
    git(mine, "remote", "remove", "origin")
    with pytest.raises(CannotUpdate, match="tracks no remote: say where the course is"):
        update(mine)
    git(mine, "switch", "-q", "--detach")
    with pytest.raises(CannotUpdate, match="no branch is checked out"):
        update(mine)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    publish(other, {"a": "b"})
    with pytest.raises(CannotUpdate, match="shares no commit"):
        update(mine, str(other))


def test_in_the_middle_of_a_merge_it_waits(course: Path, mine: Path) -> None:
    git(mine, "commit", "-qam", "Mine")
    publish(course, {"exercises/01_b.ipynb": notebook("01_b-three", text="Changed there too.", version=3)})
    git(mine, "fetch", "-q")
    assert subprocess.run(["git", "-C", str(mine), "merge", "FETCH_HEAD"], capture_output=True, check=False).returncode
    with pytest.raises(CannotUpdate, match="in the middle of a merge"):
        update(mine)


def test_what_a_conflict_left_behind_is_named_with_a_command_that_helps(course: Path, mine: Path) -> None:
    """After `git stash pop` no merge is going on, but git still counts two versions of the file."""
    newer(course)
    git(mine, "stash", "-q")
    git(mine, "pull", "-q", "--ff-only")
    subprocess.run(["git", "-C", str(mine), "stash", "pop", "-q"], capture_output=True, check=False)
    git(mine, "checkout", "-q", "--theirs", "exercises/00_a.ipynb")
    publish(course, {"notebooks/00_a.ipynb": v4.new_notebook(cells=[v4.new_markdown_cell("Newer.", id="newer")])})
    with pytest.raises(CannotUpdate, match="two versions of exercises/00_a") as refusal:
        update(mine)
    (command,) = re.findall("`git (.*)`", str(refusal.value))
    git(mine, *command.split())
    update(mine)
    assert answer_in(mine / "exercises/00_a.ipynb", "00_a-one").endswith("return 1")


def test_the_command_says_what_happened(course: Path, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LECTURE17_HOME", str(mine))
    newer(course)
    done = CliRunner().invoke(app, ["update"])
    assert (done.exit_code, "kept:     2 of your 2 answers" in done.output) == (0, True)
    undone = CliRunner().invoke(app, ["update", "--undo"])
    assert (undone.exit_code, "as it was" in undone.output) == (0, True)
    refused = CliRunner().invoke(app, ["update", "--undo"])
    assert (refused.exit_code, refused.output) == (1, "there is no update to undo\n")


def test_modes_that_a_stick_has_changed_are_no_changes(course: Path, mine: Path) -> None:
    for path in mine.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            path.chmod(0o777)
    newer(course)
    assert "newer" in update(mine)


def test_a_history_that_was_rewritten_is_told_with_the_way_out(course: Path, mine: Path) -> None:
    publish(course, {"README.md": "as first published"})
    update(mine)
    git(course, "reset", "-q", "--hard", "HEAD~1")
    publish(course, {"README.md": "as published now"})
    with pytest.raises(
        CannotUpdate, match=r"if these commits are not yours, `git reset --keep [0-9a-f]{10}` drops them"
    ) as told:
        update(mine)
    fix = re.search("`git (reset --keep .+)`", str(told.value))
    assert fix is not None
    git(mine, *fix[1].split())
    update(mine)
    assert (mine / "README.md").read_text() == "as published now"
