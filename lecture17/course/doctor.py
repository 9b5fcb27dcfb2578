"""`python -m lecture17 doctor`: is this installation fit for the course, and if not, how do you fix it?"""

import errno
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_core.paths import jupyter_path
from jupyterlab_server.config import get_federated_extensions, get_page_config

from . import learner
from .build import exercise_from
from .checking import PASSED, UNFILLED
from .memory import free
from .notebooks import NotANotebook, grade_id, is_answer, read, write
from .paths import EXERCISES, NOTEBOOKS, SOLUTIONS, home, private, write_atomically

PYTHONS = ((3, 11), (3, 13))  # the first and last versions that the course is tested with
MEMORY = 2.0  # GiB free, for the notebooks of zone 5
SOLVED = "00_quickstart-matrix"  # the exercise that is solved end to end
INSTALL = "run `make lab` or `pip install -c constraints.txt -e .` again"
AGAIN = "fix what failed above, then run the doctor again"
UNEXPLAINED = (
    "nothing above explains it: tell whoever teaches you, or where the course comes from, with all these lines"
)
FRONT_ENDS = {"@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets", "anywidget": "anywidget"}  # and its package
# Variables of the environment that make pytest or Python do other than the course says.
HARMFUL = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTHONOPTIMIZE", "PYTHONINSPECT")


class Ailment(Exception):
    """What is wrong, and how to fix it: `Ailment(what, fix)`."""


def examine(say: Callable[[str], None]) -> bool:
    """Run every examination and say `[ OK ]`, or `[FAIL]` with the fix, then what to do first; True if all is well."""
    first = ""
    for name, examination in EXAMINATIONS.items():
        try:
            say(f"[ OK ] {name}: {examination()}")
        except Exception as error:  # the other examinations still run
            unknown = f"{type(error).__name__}: {error}", AGAIN
            what, fix = error.args if isinstance(error, Ailment) else unknown
            fix = fix if first or fix != AGAIN else UNEXPLAINED
            say(f"[FAIL] {name}: {what}\n       fix: {fix}")
            first = first or fix
    say(f"Do this first: {first}" if first else "All is well.")
    return not first


def python() -> str:
    """The course is tested with this version of Python."""
    version = sys.version_info[:2]
    found = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        span = " to ".join(f"{a}.{b}" for a, b in PYTHONS)
        raise Ailment(f"this is Python {found}", f"install Python {span}, delete .venv and {INSTALL}")
    return found


def versions() -> str:
    """What the course needs is installed, at the versions of constraints.txt."""
    wrong, count = [], 0
    needed = tomllib.loads((home() / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    for name in (re.split(r"[^\w.-]", requirement)[0] for requirement in needed):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
    for name, pinned in pins(home() / "constraints.txt"):
        try:
            found = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        count += 1
        if found != pinned:
            wrong.append(f"{name} is {found}, pinned {pinned}")
    if wrong:
        raise Ailment("; ".join(wrong), INSTALL)
    return f"{count} packages as pinned in constraints.txt"


def pins(constraints: Path) -> Iterator[tuple[str, str]]:
    """The (name, version) pairs of a constraints file."""
    for line in constraints.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line):
            yield match[1], match[2]


def kernel() -> str:
    """Jupyter's `python3` kernel is this Python, and imports this clone's course."""
    fix = f"run `{sys.executable} -m ipykernel install --sys-prefix --name python3`"
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        raise Ailment("Jupyter has no kernel called python3", fix) from None
    found = Path(spec.resource_dir).resolve()
    own = Path(sys.prefix).resolve() / "share" / "jupyter" / "kernels" / "python3"
    if own.exists() and found != own:
        fix = f"delete the folder {found}, which hides this Python's own kernel"
    code = (
        "import sys, importlib.util as u; print(sys.prefix); s = u.find_spec('lecture17'); print(s and s.origin or '')"
    )
    executable = sys.executable if spec.argv[0] in ("python", "python3") else spec.argv[0]
    try:
        command, away = [executable, "-X", "utf8", "-c", code], os.sep  # a kernel does not start in this folder either
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=away)
        prefix, _, course = done.stdout.strip().partition("\n")
    except (OSError, subprocess.CalledProcessError) as error:
        raise Ailment(f"the kernel python3 cannot start {spec.argv[0]}: {error}", fix) from None
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        raise Ailment(f"the kernel python3 belongs to {prefix}, but this Python is in {sys.prefix}", fix)
    here = Path(__file__).resolve().parents[1]
    if not Path(course).resolve().is_relative_to(here):
        what = f"notebooks import the course from {Path(course).parent if course else 'nowhere'}, not from {here}"
        raise Ailment(what, f"{INSTALL} in {here.parent}, or work where the course is imported from")
    return f"python3 runs in {Path(sys.prefix).name}"


def widgets() -> str:
    """JupyterLab has the front ends of ipywidgets and anywidget, and they are not disabled."""
    found = get_federated_extensions(jupyter_path("labextensions"))
    settings = Path(sys.prefix) / "share" / "jupyter" / "lab" / "settings"
    disabled = get_page_config(jupyter_path("labextensions"), str(settings))["disabledExtensions"]
    for name in FRONT_ENDS:
        if name not in found:
            fix = "run `pip install --force-reinstall -c constraints.txt jupyterlab_widgets anywidget`"
            raise Ailment(f"JupyterLab's extension {name} is missing", fix)
        package = importlib.metadata.distribution(FRONT_ENDS[name])
        own = [f for f in package.files or () if f.match(f"labextensions/{name}/package.json")]
        version = json.loads(own[0].read_text(encoding="utf-8"))["version"] if own else found[name]["version"]
        if version != found[name]["version"]:
            where, its = found[name]["ext_path"], f"{version} of the package {FRONT_ENDS[name]}"
            what = f"JupyterLab takes {name} {found[name]['version']} from {where}, not the {its}: widgets stay blank"
            raise Ailment(what, f"delete the folder {where}")
        if off := [entry for entry in disabled if entry.split(":")[0] == name]:
            raise Ailment(f"JupyterLab's extension {off[0]} is disabled", f"run `jupyter labextension enable {off[0]}`")
    return ", ".join(f"{name} {found[name]['version']}" for name in FRONT_ENDS)


def environment() -> str:
    """No variable of the environment changes what pytest or Python does with the course."""
    if found := [name for name in HARMFUL if os.environ.get(name)]:
        what = f"the variable {found[0]} is set to {os.environ[found[0]]!r}: {found[0][:6].title()} obeys it everywhere"
        raise Ailment(what, f"remove it (`unset {found[0]}`), and the line that sets it when you log in")
    return "no variable changes what pytest or Python does"


def memory() -> str:
    """There is enough memory for the largest notebook."""
    gib = free() / 2**30
    if gib < MEMORY:
        fix = f"close other programs, or give the container more: some notebooks need {MEMORY:g} GiB"
        raise Ailment(f"only {gib:.1f} GiB are free", fix)
    return f"{gib:.1f} GiB free"


def folder() -> str:
    """There is a clone, and it can be written to: progress and backups are saved in it."""
    try:
        home()
    except FileNotFoundError as error:
        what, _, fix = str(error).partition(": ")
        raise Ailment(what, fix) from None
    try:
        probe = private() / "probe"
        write_atomically(probe, " " * 2**20)  # an empty file fits on a full disk
        probe.unlink()
    except OSError as error:
        where, fix = home(), "move the clone to a folder of your own"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            fix = "free some of the disk"
        elif os.access(where, os.W_OK) and private().exists():  # only what is kept there is somebody else's
            where = private()
            fix = f"make it yours again: `sudo chown -R $USER {where}`"
        raise Ailment(f"{where} cannot be written to: {error}", fix) from None
    return str(home())


def names() -> str:
    """No file beside the notebooks has the name of a module that Python or the course imports."""
    modules = {*sys.stdlib_module_names, *importlib.metadata.packages_distributions(), "lecture17"}
    for folder in (EXERCISES, NOTEBOOKS, SOLUTIONS):
        for path in sorted((home() / folder).glob("*")):
            is_module = path.suffix == ".py" or (path / "__init__.py").exists()
            if is_module and path.stem in modules:
                raise Ailment(
                    f"{path} is imported in place of Python's or a package's own {path.stem}",
                    f"give {path.name} another name, and restart the kernels that run",
                )
    return "none of your files hides a module"


def exercise() -> str:
    """One exercise fails while it is empty, passes when it is solved, and is graded."""
    stem = SOLVED.split("-")[0]
    try:
        solution = read(home() / SOLUTIONS / f"{stem}.ipynb")
        answer = next(c.source for c in solution.cells if is_answer(c) and grade_id(c) == SOLVED)
    except (OSError, NotANotebook, StopIteration) as error:
        what = f"{SOLUTIONS}/{stem}.ipynb cannot be used: {error or 'an answer is missing'}"
        raise Ailment(what, f"run `git checkout -- {SOLUTIONS}`") from None
    empty = exercise_from(solution)
    with tempfile.TemporaryDirectory(prefix="lecture17-doctor-") as scratch:
        paths = [Path(scratch) / state / f"{stem}.ipynb" for state in ("empty", "solved")]
        cell = next(c for c in empty.cells if is_answer(c) and grade_id(c) == SOLVED)
        assert not learner.is_filled(cell)
        write(empty, paths[0])
        cell.source = answer
        write(empty, paths[1])
        found, note = _graded(paths, Path(scratch) / "grades.json")
    grades = [grade for grade in found if grade["exercise"] == SOLVED] or found  # a notebook that does not run
    verdicts = [grade["verdict"] for grade in grades]
    if verdicts != [UNFILLED, PASSED]:
        raise Ailment(
            f"{SOLVED} was graded {verdicts[0]!r} when empty and {verdicts[1]!r} when solved: {grades[1]['reason']}",
            AGAIN,
        )
    return f"{SOLVED} fails when empty and passes when solved {note}".rstrip()


def _graded(paths: list[Path], report: Path) -> tuple[list[dict], str]:
    """What a learner's `grade` command reports for each path, and its note if the code was not confined."""
    command = [sys.executable, "-m", "lecture17", "grade", *map(str, paths), "--json", str(report)]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONUTF8": "1"}, encoding="utf-8")
    if not report.exists():
        raise RuntimeError((done.stderr.strip().splitlines() or ["`grade` reported nothing"])[-1])
    found = json.loads(report.read_text(encoding="utf-8"))
    return found["exercises"], " ".join(found["notes"])


EXAMINATIONS: dict[str, Callable[[], str]] = {
    "Python": python,
    "folder": folder,
    "versions": versions,
    "kernel": kernel,
    "widgets": widgets,
    "environment": environment,
    "memory": memory,
    "names": names,
    "exercise": exercise,
}
