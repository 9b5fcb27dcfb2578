"""Grading what careless use leaves: odd files, full disks, folders that cannot be written, Ctrl-C at any moment."""

import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat import NotebookNode

from lecture17.course.checking import PASSED
from lecture17.course.notebooks import is_answer, is_check, read, write
from lecture17.grading.grade import grade
from tests.conftest import ROOT

from .attacks import Attack
from .test_attacks import STEM, attacked, files, left_behind

LOOP = "open('/proc/self/comm', 'w').write('looping')\nwhile True: pass"
posix = pytest.mark.skipif(os.name != "posix", reason="limits and signals of this kind are POSIX's")


def older(nb: NotebookNode) -> str:
    """As Jupyter wrote it before 2021: cells without ids; here also shuffled, and without a kernelspec."""
    first = next(i for i, c in enumerate(nb.cells) if c.cell_type == "code")
    rest = nb.cells[first + 1 :]
    random.Random(1).shuffle(rest)
    nb.cells[first + 1 :] = rest
    nb.metadata, nb.nbformat_minor = {}, 0
    for cell in nb.cells:
        del cell["id"]
    return json.dumps(nb)


def twins(nb: NotebookNode) -> str:
    """Every cell twice, ids and all, for a kernel that is not there."""
    nb.cells = [*nb.cells, *nb.cells]
    nb.metadata.kernelspec = {"name": "no-such-kernel", "display_name": "None", "language": "julia"}
    return json.dumps(nb)


def oldest(nb: NotebookNode) -> str:
    """As IPython wrote it before 2015."""
    return nbformat.writes(nbformat.convert(nb, 3), version=3)


def test_notebooks_of_other_formats_orders_and_kernels_are_graded_as_they_are(clone: Path) -> None:
    for how, stem in ((older, STEM), (twins, "00_quickstart"), (oldest, "00_quickstart")):
        text = how(read(clone / "solutions" / f"{stem}.ipynb"))
        (clone / f"{how.__name__}.ipynb").write_text(text, encoding="utf-8")
    before = files(clone)
    grades = grade(sorted(clone.glob("*.ipynb")))
    assert files(clone) == before
    assert [(Path(g.file).stem, g.verdict) for g in grades] == [
        *[("older", PASSED)] * 6,
        ("oldest", PASSED),
        ("twins", "check duplicated"),
    ]
    assert sum(g.earned for g in grades) == 19 + 3 + 3


def test_a_right_answer_counts_whichever_version_of_it_the_notebook_checks(clone: Path) -> None:
    """A stub pasted below the check changes nothing, and neither does a check above the answer that it judges."""
    text = (clone / "solutions" / "00_quickstart.ipynb").read_text(encoding="utf-8")
    [stub] = filter(is_answer, read(clone / "exercises" / "00_quickstart.ipynb").cells)
    for name, order in (
        ("stub_below", ("right", "check", "stub")),
        ("stub_between", ("stub", "right", "check")),
        ("second_try", ("stub", "check", "right")),
        ("check_above", ("check", "right")),
        ("overwritten", ("right", "stub", "check")),
    ):
        nb = nbformat.reads(text, as_version=4)
        kept = [c for c in nb.cells if not (is_answer(c) or is_check(c))]
        parts = {"right": next(filter(is_answer, nb.cells)), "check": next(filter(is_check, nb.cells)), "stub": stub}
        nb.cells = kept + [parts[part] for part in order]
        (clone / f"{name}.ipynb").write_text(json.dumps(nb), encoding="utf-8")
    found = {Path(g.file).stem: g.verdict for g in grade(sorted(clone.glob("*.ipynb")))}
    passed = dict.fromkeys(("stub_below", "stub_between", "second_try", "check_above"), PASSED)
    assert found == {**passed, "overwritten": "not filled in"}


def test_text_that_no_file_can_hold_is_told(clone: Path) -> None:
    text = (clone / "solutions" / "00_quickstart.ipynb").read_text(encoding="utf-8")
    path = clone / "odd.ipynb"
    path.write_text(text.replace("import numpy as np", "x = '\\ud800'"), encoding="utf-8")
    (only,) = grade([path])
    reason = "a cell holds characters that are not text: surrogates not allowed"
    assert (only.verdict, only.reason) == ("not a notebook", reason)


def test_a_message_of_what_is_no_text_is_told_without_it(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    cell = next(filter(is_answer, nb.cells))
    cell.source = "def semiseparable_matrix(U, V):\n    raise ValueError('odd \\ud800')"
    write(nb, path)
    (only,) = grade([path])
    assert (only.verdict, only.earned) == ("wrong", 0)
    assert "ValueError: odd ?" in only.headline


def command(
    clone: Path, *words: str, before: Callable[[], None] | None = None, pass_fds: tuple[int, ...] = ()
) -> subprocess.Popen:
    """`python -m lecture17 grade …`, as a learner starts it in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "lecture17", "grade", *words],
        cwd=clone,
        env=os.environ | {"LECTURE17_HOME": str(clone), "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=before,
        pass_fds=pass_fds,
    )


@posix
def test_a_full_disk_is_told_and_nothing_is_lost(clone: Path) -> None:
    import resource

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    (clone / "grades.json").write_text("as it was")
    before = files(clone)
    process = command(clone, "solutions/00_quickstart.ipynb", "--json", "grades.json", before=no_room)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "0 of 3  not graded" in said
    assert "File too large" in said
    assert "grades.json could not be written" in said
    assert "Traceback" not in said
    assert files(clone) == before


@posix
def test_grading_needs_no_folder_that_it_can_write_to(clone: Path) -> None:
    def like_anybody() -> None:
        if os.geteuid() == 0:  # whom modes do not stop, unless this power is dropped
            ctypes.CDLL(None).prctl(24, 1)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE

    everything = [clone, *clone.rglob("*")]
    modes = {path: path.stat().st_mode for path in everything}
    try:
        for path in everything:
            path.chmod(modes[path] & ~0o222)
        process = command(clone, "solutions/00_quickstart.ipynb", "--json", "grades.json", before=like_anybody)
        said, _ = process.communicate(timeout=120)
    finally:
        for path in everything:
            path.chmod(modes[path])
    assert "3 of 3 points" in said
    assert "grades.json could not be written: [Errno 13] Permission denied" in said
    assert process.returncode == 1


@posix
def test_a_report_is_written_to_pipes_and_devices_and_does_not_replace_them(clone: Path, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.mkfifo(fifo := tmp_path / "fifo")
    waiting = os.open(fifo, os.O_RDWR)
    targets = {"--json": f"/dev/fd/{write_end}", "--junit": str(fifo), "--markdown": "/dev/stdout"}
    words = ["exercises/00_quickstart.ipynb", *(word for pair in targets.items() for word in pair)]
    process = command(clone, *words, pass_fds=(write_end,))
    said, _ = process.communicate(timeout=120)
    os.close(write_end)
    assert "0 of 3 points\n**0 of 3 points**" in said
    assert json.loads(os.read(read_end, 10_000))["points"] == 3
    assert os.read(waiting, 10_000).startswith(b"<testsuite")
    assert fifo.is_fifo()
    os.close(read_end)
    os.close(waiting)


def in_the_loop() -> bool:
    """Whether a graded kernel has come to the endless loop: on Linux a process may give itself a name."""
    return any(process.info["name"] == "looping" for process in psutil.process_iter(["name"]))


@posix
@pytest.mark.parametrize(
    ("moment", "sent"),
    [
        ("at once", signal.SIGINT),
        ("before the kernel", signal.SIGINT),
        ("in an endless loop", signal.SIGINT),
        ("in an endless loop", signal.SIGTERM),
        ("in an endless loop", signal.SIGKILL),
    ],
)
def test_grading_that_is_interrupted_leaves_files_as_they_were_and_no_process(
    clone: Path,
    moment: str,
    sent: signal.Signals,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setenv("TMPDIR", str(scratch))
    if "loop" in moment and sys.platform != "linux":
        pytest.skip("only on Linux can a process name itself, and hear that its parent was killed")
    path = clone / "exercises" / f"{STEM}.ipynb"
    nb = read(clone / "solutions" / f"{STEM}.ipynb")
    attacked([c for c in nb.cells if is_answer(c)][1], Attack("", "", function=LOOP))
    write(nb, path)
    before = files(clone)
    process = command(clone, str(path), "--timeout", "500")
    deadline = time.monotonic() + 100
    ready = {"at once": lambda: True, "before the kernel": left_behind, "in an endless loop": in_the_loop}[moment]
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(sent)
    said, _ = process.communicate(timeout=30)
    deadline = time.monotonic() + 5
    while left_behind() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_behind() == []
    assert files(clone) == before
    if sent != signal.SIGKILL and moment != "at once":
        assert list(scratch.iterdir()) == []
        assert process.returncode == 130, said
        assert "interrupted" in said
        assert "Traceback" not in said
    if sent != signal.SIGKILL and "loop" in moment:
        assert "2 of 2  passed" in said
