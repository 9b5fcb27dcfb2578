"""Answers that read the right one from the course are found, in whatever words; the course's own are not."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from nbformat import v4
from typer.testing import CliRunner

from lecture17.__main__ import app
from lecture17.course import exercises
from lecture17.course.notebooks import grade_id, is_answer, read, write
from lecture17.grading.reference_use import uses
from tests.conftest import ROOT

ID = "03b_duality-ssd-parallel"


def found(answer: str, own: str = "", after: str = "") -> str:
    """What an answer to one exercise is said to use, "" if nothing, with own cells before it and after it."""
    solution = read(ROOT / "solutions" / "03b_duality.ipynb")
    nb = read(ROOT / "solutions" / "03b_duality.ipynb")
    place = next(i for i, c in enumerate(nb.cells) if grade_id(c) == ID)
    nb.cells[place].source = answer
    nb.cells.insert(place + 1, v4.new_code_cell(after))
    nb.cells.insert(place, v4.new_code_cell(own))
    said = uses(nb, solution)
    assert said.keys() <= {ID}
    return said.get(ID, "")


def answer(body: str) -> str:
    return f"def ssd_parallel(x, log_a, B, C):\n    return {body}"


@pytest.mark.parametrize("stem", exercises.stems())
def test_no_solution_uses_the_reference(stem: str) -> None:
    nb = read(ROOT / "solutions" / f"{stem}.ipynb")
    assert uses(nb, nb) == {}


@pytest.mark.parametrize(
    ("source", "own", "what"),
    [
        (answer("ssd.parallel(x, log_a, B, C)"), "from lecture17.reference import ssd", "lecture17.reference.ssd"),
        (answer("r.ssd.parallel(x, log_a, B, C)"), "from lecture17 import reference as r", "lecture17.reference"),
        (answer("p(x, log_a, B, C)"), "from lecture17.reference.ssd import parallel as p", "lecture17.reference.ssd"),
        ("import lecture17.ops.ssd as s\n" + answer("s.parallel(x, log_a, B, C)"), "", "lecture17.ops.ssd"),
        (answer("lecture17.reference.ssd.parallel(x, log_a, B, C)"), "import lecture17", "lecture17.reference"),
        (answer("get('x').expected(x, log_a, B, C)"), "from lecture17.course.exercises import get", "exercises"),
        (answer("c.get('x').expected(x, log_a, B, C)"), "from lecture17.course import checking as c", "checking"),
        (answer("__import__('lecture17.reference.ssd').parallel(x)"), "", "lecture17.reference.ssd"),
        (
            answer("helper(x)"),
            "def helper(x):\n    return other(x)\nother = open('../solutions/03b_duality.py')",
            "solut",
        ),
        (
            answer("helper(x)"),
            "from pathlib import Path\nhelper = Path('..') / 'solutions' / '03b_duality.py'",
            "solut",
        ),
        ("%run ../solutions/03b_duality.ipynb", "", "solutions/"),
        (answer("open(os.path.join('..', 'solutions', name))"), "import os\nname = 'x'", "solutions/"),
        (answer("read(name)"), "name = r'C:\\course\\solutions\\03b_duality.ipynb'", "solutions/"),
        (answer("list(modules.values())"), "import sys\nmodules = dict(sys.modules.items())", "by sys.modules"),
        (answer("modules[segsum.__module__]"), "import sys\nmodules = sys.modules", "into the check by"),
        (answer("open(f'../{folder}/03b_duality.py').read()"), "folder = 'solutions'", "solutions/"),
        ("from lecture17.reference.ssd import parallel as ssd_parallel", "", "lecture17.reference.ssd"),
        (answer("sys._getframe(1).f_locals['exercise'].expected(x, log_a, B, C)"), "import sys", "into the check"),
        (answer("getattr(check, '__globals__')['exercises'].get('x')"), "", "into the check by __globals__"),
        (answer("found(x)"), "import gc\ndef found(x):\n    return gc.get_objects()", "into the check by get_objects"),
        (answer("sys.modules[segsum.__module__]"), "import sys", "into the check by sys.modules"),
        (answer("inspect.getmodule(segsum).parallel"), "import inspect", "into the check by getmodule"),
        (answer("import_module(segsum.__module__)"), "from importlib import import_module", "by __module__"),
        (answer("found(x)"), "from gc import get_referrers as found", "into the check by get_referrers"),
        (answer("_getframe(1)"), "from sys import _getframe", "into the check by _getframe"),
        ("ssd_parallel = m.parallel", "if True:\n    from lecture17.reference import ssd as m", "lecture17.reference"),
    ],
)
def test_an_answer_that_uses_the_reference_is_found(source: str, own: str, what: str) -> None:
    assert what in found(source, own)


@pytest.mark.parametrize(
    ("source", "own"),
    [
        (answer("np.exp(segsum(log_a)) @ x"), ""),  # imported by the course's own cell
        (answer("mine(x)"), "from lecture17.reference import ssd\ndef mine(x):\n    ssd = x\n    return ssd"),
        (answer("x"), "from lecture17.course import check, hint, progress\nfrom lecture17.compare import assert_same"),
        (answer("'read the solutions in lecture17.reference'"), ""),
        (answer("{'solutions': x}['solutions']"), "title = 'solutions'\nplt.title('Both/solutions')\nprint(title)"),
        (answer("np.exp(segsum(log_a)) @ x"), "from pathlib import Path\nFIGURES = Path('my-solutions')"),
        (answer("log.info(segsum.__module__) or x"), "import sys\nlog = None if 'torch' in sys.modules else 1"),
        (answer("np.stack([x, x])[0]"), "import sys\nprint(sys.version, 'sys.modules and f_back')"),
        ("def ssd_parallel(x, log_a, B, C)\n    return 1", "this is no Python"),
        ("def ssd_parallel(x, x):\n    return 1", "def f():\n    y = 1\n    global y"),  # nor are these
    ],
)
def test_an_answer_that_does_not_is_not_accused(source: str, own: str) -> None:
    assert found(source, own) == ""


def test_a_comparison_with_the_reference_beside_the_answer_is_no_use_of_it() -> None:
    compare = (
        "from lecture17.reference import ssd\nnp.abs(ssd_parallel(x, a, B, C) - ssd.parallel(x, a, B, C)[0]).max()"
    )
    assert found(answer("np.exp(segsum(log_a)) @ x"), after=compare) == ""


def test_the_use_of_the_reference_is_shown_in_table_json_and_junit_and_still_passes(clone: Path) -> None:
    path = clone / "exercises" / "00_quickstart.ipynb"
    nb = read(path)
    cell = next(c for c in nb.cells if is_answer(c))
    cell.source = "from lecture17.reference import semiseparable\n"
    cell.source += "def semiseparable_matrix(U, V):\n    return semiseparable.from_generators(U, V)"
    write(nb, path)
    files = [f"--{kind}={clone / 'g'}.{kind}" for kind in ("json", "junit")]
    result = CliRunner().invoke(app, ["grade", str(path), *files])
    assert result.exit_code == 0, result.output
    words = "uses the reference: lecture17.reference.semiseparable"
    assert words in " ".join(result.output.split()).replace("reference: ", "reference: ")
    (row,) = json.loads((clone / "g.json").read_text())["exercises"]
    assert (row["verdict"], row["earned"], row["reason"]) == ("passed", 3, words)
    case = ET.parse(clone / "g.junit").getroot().find("testcase")
    assert case is not None
    assert case.findtext("system-out") == words
    assert case.find("failure") is None
