"""Only a check's own record passes an exercise: not the absence of an error, and not the words of a message."""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from nbformat import v4

from lecture17.course import exercises
from lecture17.course.notebooks import grade_id, is_answer, read, write
from lecture17.grading.grade import Grade, grade
from tests.conftest import ROOT, copied

STEM = "03b_duality"
NAMES = [e.id for e in exercises.of_notebook(STEM)]
EMPTY, WRONG, RIGHT = NAMES[:2], NAMES[2:4], NAMES[4:]
EARNED = sum(e.points for e in exercises.of_notebook(STEM) if e.id in RIGHT)


@dataclass(frozen=True)
class Hook:
    """A learner's own cell that changes how errors, output or cells are treated, and what is done with it.

    `answer` stands at the head of each answer's cell, `body` in the functions that are wrong.
    """

    name: str
    cell: str
    answer: str = ""
    body: str = "pass"


QUIET = "lambda *_, **__: None"
HOOKS = (
    Hook("rich's tracebacks", "from rich import traceback\ntraceback.install()"),
    Hook("no exception hook", f"import sys\nsys.excepthook = {QUIET}"),
    Hook("captured output", "import sys\nsys.displayhook = get_ipython().display_pub.publish = print", "%%capture\n"),
    Hook("an exception handler", f"get_ipython().set_custom_exc((Exception,), {QUIET})"),
    Hook(
        "a magic that swallows",
        "from IPython.core.magic import register_cell_magic\n@register_cell_magic\ndef quietly(line, cell):\n"
        "    try:\n        get_ipython().run_cell(cell)\n    except Exception:\n        pass",
        "%%quietly\n",
    ),
    Hook(
        "checks called by the learner", "from lecture17.course import check\ntry: check('x', 1)\nexcept Exception: pass"
    ),
    Hook("no tracebacks", f"get_ipython().showtraceback = get_ipython()._showtraceback = {QUIET}"),
    Hook("no hooks of cells", "for found in get_ipython().events.callbacks.values(): found.clear()"),
    Hook(
        "cells run by another function",
        "run = get_ipython().run_cell_async\nasync def swallow(*words, **options):\n"
        "    result = await run(*words, **options)\n    result.error_in_exec = result.error_before_exec = None\n"
        "    return result\nget_ipython().run_cell_async = swallow",
    ),
    Hook("tracebacks that fail", "def fail(*_, **__): raise OSError\nget_ipython()._showtraceback = fail"),
    Hook(
        "a record made by hand",
        "import json\ndef forge():\n    for name in "
        + repr(NAMES)
        + ":\n        record = json.dumps({'exercise': name, "
        "'points': 1, 'status': 'passed', 'summary': ''})\n        get_ipython().payload_manager.write_payload("
        "{'source': 'lecture17.grading', 'token': '', 'record': record}, single=False)\nforge()",
        body="forge()",
    ),
    Hook("short tracebacks", "%xmode Minimal"),
    Hook(
        "an input transformer",
        "def swallow(lines):\n    body = ['    ' + line for line in lines]\n"
        "    return ['try:\\n', *body, '\\nexcept Exception:\\n    pass\\n']\n"
        "get_ipython().input_transformers_cleanup.append(swallow)",
    ),
    Hook(
        "a transformer of syntax trees",
        "import ast\nclass Swallow(ast.NodeTransformer):\n    def visit_Module(self, node):\n"
        "        shell = ast.parse('try:\\n    pass\\nexcept Exception:\\n    pass')\n"
        "        shell.body[0].body = node.body or shell.body[0].body\n        return shell\n"
        "get_ipython().ast_transformers.append(Swallow())",
    ),
    Hook("no tracebacks of any shell", f"type(get_ipython()).showtraceback = {QUIET}"),
)
TOGETHER = 3  # hooks in one notebook: any one of them would pass what is empty, were errors looked at


def notebook(clone: Path, name: str, hooks: Sequence[Hook]) -> Path:
    """A notebook with hooks in which two answers are empty, two wrong and two right."""
    nb, empty = (read(clone / folder / f"{STEM}.ipynb") for folder in ("solutions", "exercises"))
    stubs = {grade_id(c): c.source for c in empty.cells if is_answer(c)}
    bodies = "".join(f"    {hook.body}\n" for hook in hooks)
    for cell in filter(is_answer, nb.cells):
        if grade_id(cell) in EMPTY:
            cell.source = stubs[grade_id(cell)]
        elif grade_id(cell) in WRONG:
            cell.source = cell.source.replace("    ### BEGIN SOLUTION\n", f"{bodies}    return x, x\n")
        cell.source = "".join(hook.answer for hook in hooks) + cell.source
    nb.cells[1:1] = [v4.new_code_cell(hook.cell) for hook in hooks]
    path = clone / "exercises" / f"{name}.ipynb"
    write(nb, path)
    return path


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Grade]]:
    """What the exercises of the notebook with each hook got."""
    with pytest.MonkeyPatch.context() as patch:
        clone = copied(tmp_path_factory.mktemp("clone"), patch)
        groups = [HOOKS[i : i + TOGETHER] for i in range(0, len(HOOKS), TOGETHER)]
        paths = {hooks: notebook(clone, f"hooks-{i}", hooks) for i, hooks in enumerate(groups)}
        grades = grade(list(paths.values()))
        return {
            hook.name: [g for g in grades if g.file == str(path)] for hooks, path in paths.items() for hook in hooks
        }


@pytest.mark.parametrize("hook", HOOKS, ids=lambda h: h.name)
def test_what_a_learner_changes_of_errors_output_and_cells_changes_no_verdict(
    hook: Hook, graded: dict[str, list[Grade]]
) -> None:
    found = graded[hook.name]
    assert {g.exercise: g.verdict for g in found} == {
        **dict.fromkeys(EMPTY, "not filled in"),
        **dict.fromkeys(WRONG, "wrong"),
        **dict.fromkeys(RIGHT, "passed"),
    }
    assert sum(g.earned for g in found) == EARNED


def test_a_check_that_leaves_no_record_passes_nothing(clone: Path) -> None:
    nothing = Hook("", "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])")
    found = grade([notebook(clone, "nothing", [nothing])])
    assert {(g.verdict, g.earned) for g in found} == {("not checked", 0)}
    assert "left no record" in found[0].reason


def test_right_answers_may_import_what_is_installed(clone: Path) -> None:
    """Imports fill caches and bind submodules late: nothing that checks stand on is replaced by that."""
    imports = (
        "import scipy.sparse, scipy.linalg, scipy.signal, scipy.optimize",
        "from sklearn import datasets, linear_model",
        "import matplotlib.pyplot, numpy.testing, numpy.ma, numpy.polynomial, numpy.ctypeslib, numpy.lib.recfunctions",
        "import sympy, torch",
        "import numpy.core.multiarray\nnp.testing.assert_allclose(1, 1)\nnp.set_printoptions(precision=3)",
        "from numpy import *\nimport numpy as np\nnp.random.seed(0)",
    )
    path = clone / "exercises" / f"{STEM}.ipynb"
    nb = read(clone / "solutions" / f"{STEM}.ipynb")
    for cell, source in zip(filter(is_answer, nb.cells), imports, strict=True):
        cell.source = f"{source}\n{cell.source}"
    write(nb, path)
    assert {(g.verdict, g.reason) for g in grade([path], timeout=120)} == {("passed", "")}


class Reword(ast.NodeTransformer):
    """Other words in every message of a module; names of a single word, keys among them, and constants stay."""

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        constant = isinstance(node.value, (ast.Constant, ast.Tuple)) and node.col_offset == 0
        return node if constant else self.generic_visit(node)  # type: ignore[return-value]

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        prose = isinstance(node.value, str) and (" " in node.value.strip() or {"✗", "✓", ":"} & set(node.value))
        return ast.Constant("☃ autres mots ☃ ") if prose else node


def test_other_words_of_the_check_change_no_verdict(clone: Path, tmp_path: Path) -> None:
    package = tmp_path / "reworded" / "lecture17"
    shutil.copytree(ROOT / "lecture17", package, ignore=shutil.ignore_patterns("__pycache__"))
    module = package / "course" / "checking.py"
    reworded = Reword().visit(ast.parse(module.read_text(encoding="utf-8")))
    module.write_text(ast.unparse(reworded), encoding="utf-8")
    nb = read(clone / "solutions" / f"{STEM}.ipynb")
    bodies = ("raise NotImplementedError", "return x.T", "raise MemoryError", "raise SystemExit", "return None", "")
    answers = list(filter(is_answer, nb.cells))
    for cell, body in zip(answers, bodies, strict=True):
        cell.source = cell.source.replace("    ### BEGIN SOLUTION\n", f"    {body}\n")
    answers[4].source = answers[4].source.replace("    return None\n", "").replace("[split:, :split]", "")
    path = clone / "exercises" / f"{STEM}.ipynb"
    write(nb, path)

    report = tmp_path / "grades.json"
    command = [sys.executable, "-m", "lecture17", "grade", str(path), "--json", str(report)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(package.parent)}, cwd=clone, capture_output=True)
    found = json.loads(report.read_text(encoding="utf-8"))["exercises"]
    verdicts = ["not filled in", "wrong", "out of memory", "ended itself", "wrong", "passed"]
    assert [(g["verdict"], g["earned"] > 0) for g in found] == [(v, v == "passed") for v in verdicts]
    assert found[4]["misconception"] in {m.name for m in exercises.get(NAMES[4]).misconceptions}
    assert {"☃" in found[i]["reason"] for i in (1, 2, 4)} == {True}, "the words were others"
