"""`python -m lecture17 doctor`: is this installation fit to work through the course, and if not, what mends it?"""

import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from . import grade as grading
from . import learner
from .build import exercise_from
from .notebooks import grade_id, is_answer, read, write
from .paths import SOLUTIONS, home, private

PYTHONS = ((3, 11), (3, 13))  # first and last version that the course is tested with
MEMORY = 2.0  # GiB free, for the notebooks of zone 5
SOLVED = "00_quickstart-matrix"  # the exercise that is solved end to end


class Ailment(Exception):
    """What is wrong, and the mend: `Ailment(what, mend)`."""


def examine(say: Callable[[str], None]) -> bool:
    """Run every examination and say `[ OK ]` or `[FAIL]` with the mend; True if all are well."""
    well = True
    for name, examination in EXAMINATIONS.items():
        try:
            say(f"[ OK ] {name}: {examination()}")
        except Ailment as ailment:
            what, mend = ailment.args
            say(f"[FAIL] {name}: {what}\n       mend: {mend}")
            well = False
    return well


def python() -> str:
    """The interpreter's version is one that the course is tested with."""
    version = sys.version_info[:2]
    found = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        span = " to ".join(f"{a}.{b}" for a, b in PYTHONS)
        raise Ailment(f"this is Python {found}", f"install Python {span}, delete .venv and run `make lab` again")
    return found


def versions() -> str:
    """What is installed is what constraints.txt pins."""
    wrong, count = [], 0
    for name, pinned in pins(home() / "constraints.txt"):
        try:
            found = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        count += 1
        if found != pinned:
            wrong.append(f"{name} is {found}, pinned {pinned}")
    if wrong:
        raise Ailment("; ".join(wrong), "run `make lab` or `pip install -c constraints.txt -e '.[dev]'` again")
    return f"{count} packages as pinned in constraints.txt"


def pins(constraints: Path) -> Iterator[tuple[str, str]]:
    """The (name, version) pairs of a constraints file."""
    for line in constraints.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line):
            yield match[1], match[2]


def kernel() -> str:
    """Jupyter's `python3` kernel is this very Python."""
    mend = f"run `{sys.executable} -m ipykernel install --sys-prefix --name python3`"
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        raise Ailment("Jupyter knows no kernel called python3", mend) from None
    code = "import sys; print(sys.prefix)"
    executable = sys.executable if spec.argv[0] in ("python", "python3") else spec.argv[0]
    try:
        prefix = subprocess.run([executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise Ailment(f"the kernel python3 cannot start {spec.argv[0]}: {error}", mend) from None
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        raise Ailment(f"the kernel python3 belongs to {prefix}, and this is {sys.prefix}", mend)
    return f"python3 runs in {Path(sys.prefix).name}"


def widgets() -> str:
    """JupyterLab has the front ends of ipywidgets and anywidget, and they are not disabled."""
    extensions = Path(sys.prefix) / "share" / "jupyter" / "labextensions"
    found = []
    for name in ("@jupyter-widgets/jupyterlab-manager", "anywidget"):
        manifest = extensions / name / "package.json"
        if not manifest.exists():
            raise Ailment(
                f"JupyterLab's extension {name} is missing",
                "run `pip install --force-reinstall -c constraints.txt jupyterlab_widgets anywidget`",
            )
        found.append(f"{name} {json.loads(manifest.read_text(encoding='utf-8'))['version']}")
    return ", ".join(found)


def memory() -> str:
    """There is memory enough for the largest notebook."""
    free = psutil.virtual_memory().available / 2**30
    if free < MEMORY:
        raise Ailment(f"{free:.1f} GiB are free", f"close other programs: some notebooks need {MEMORY:g} GiB")
    return f"{free:.1f} GiB free"


def folder() -> str:
    """The clone can be written to: progress and backups are kept in it."""
    try:
        probe = private() / "probe"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise Ailment(f"{home()} cannot be written to: {error}", "move the clone to a folder of your own") from None
    return str(home())


def exercise() -> str:
    """One exercise fails while it is empty, passes when it is solved, and is graded."""
    solution = read(home() / SOLUTIONS / f"{SOLVED.split('-')[0]}.ipynb")
    empty = exercise_from(solution)
    answer = next(c.source for c in solution.cells if is_answer(c) and grade_id(c) == SOLVED)
    with tempfile.TemporaryDirectory(prefix="lecture17-doctor-") as scratch:
        path = Path(scratch) / f"{SOLVED.split('-')[0]}.ipynb"
        verdicts = []
        for filled in (False, True):
            cell = next(c for c in empty.cells if is_answer(c) and grade_id(c) == SOLVED)
            assert not learner.is_filled(cell) or filled
            cell.source = answer if filled else cell.source
            write(empty, path)
            grade = next(g for g in grading.grade([path]) if g.exercise == SOLVED)
            verdicts.append(grade.verdict)
    if verdicts != ["not filled in", grading.PASSED]:
        raise Ailment(
            f"{SOLVED} was graded {verdicts[0]!r} when empty and {verdicts[1]!r} when solved: {grade.headline}",
            "mend what failed above, then run the doctor again",
        )
    return f"{SOLVED} fails when empty and passes when solved"


EXAMINATIONS: dict[str, Callable[[], str]] = {
    "Python": python,
    "versions": versions,
    "kernel": kernel,
    "widgets": widgets,
    "memory": memory,
    "folder": folder,
    "exercise": exercise,
}
