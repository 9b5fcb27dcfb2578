"""The learner's function for an exercise, for notebooks that run it: where it is not passed yet, the course's own."""

import ast
import builtins
import linecache
import re
import symtable
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from .answers import first_line
from .exercise import Exercise
from .exercises import get
from .notebooks import NotANotebook, grade_id, is_check, read
from .paths import EXERCISES, SOLUTIONS, home
from .progress import load
from .say import say


class Unusable(Exception):
    """There is no function in the learner's notebook; the message says why, after "because"."""


def own_answer(exercise_id: str) -> Callable[..., Any]:
    """The function that the answer cell defines, with what it uses of the cells before it; says whose it is.

    It is the learner's own once it is passed, and the course's until then and where the learner's notebook no longer
    has it. Raises KeyError for an exercise that does not exist.
    """
    exercise = get(exercise_id)
    solution = _code(SOLUTIONS, exercise)
    check = next(cell.source for cell in solution if grade_id(cell) == f"{exercise.id}-check")
    name = re.findall(r"\w+", check)[-1]  # check("id", name)
    whose = "the answer of the course, until yours is passed"
    if exercise.id in load():
        try:
            own = _defined(name, exercise, _code(EXERCISES, exercise))
            say(f"{exercise.id}: your own answer")
            return own
        except Unusable as why:
            whose = f"the answer of the course, although yours was passed, because {why}"
    say(f"{exercise.id}: {whose}")
    return _defined(name, exercise, solution)


def _code(folder: str, exercise: Exercise) -> list[NotebookNode]:
    """The cells of code in a notebook of the course. Raises Unusable if it cannot be read."""
    try:
        nb = read(home() / folder / f"{exercise.stem}.ipynb")
    except (OSError, NotANotebook) as error:
        raise Unusable(f"{folder}/{exercise.stem}.ipynb cannot be read") from error
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def _defined(name: str, exercise: Exercise, cells: list[NotebookNode]) -> Callable[..., Any]:
    """The function `name` as the exercise's answer cell defines it. Raises Unusable if it does not."""
    place = next((i for i, cell in enumerate(cells) if grade_id(cell) == exercise.id), None)
    if place is None:
        raise Unusable("its cell is gone")
    file = f"<the answer to {exercise.id}>"
    try:
        answer = _statements(cells[place].source, file)
    except (SyntaxError, ValueError) as error:
        raise Unusable(f"its cell is no valid Python ({first_line(error)})") from error
    if any(getattr(s, "name", "") == name and _is_stub(s) for s in answer):
        raise Unusable("its cell is not filled in")
    names: dict[str, Any] = {"__name__": "__main__"}  # as in a notebook, where what raises leaves all as it was
    for statement, where in _used_by(answer, cells[:place], exercise):
        with suppress(Exception):
            exec(compile(ast.Module([statement], []), where, "exec"), names)
    raised = ""
    try:
        for statement in answer:
            exec(compile(ast.Module([statement], []), file, "exec"), names)
    except Exception as error:
        raised = f"{type(error).__name__}: {first_line(error)}"
    if not callable(names.get(name)):
        raise Unusable(f"its cell raises {raised}" if raised else f"its cell does not define {name}")
    used = set().union(*(its for bound, its in (_names([s]) for s in answer) if name in bound))
    if missing := used - names.keys() - vars(builtins).keys():
        raise Unusable(f"it uses {min(missing)}, which the cells before it do not define")
    return names[name]


def _is_stub(function: ast.AST) -> bool:
    """Whether a function ends as the stubs of the course do, and returns nothing before."""
    last = getattr(function, "body", [None])[-1]
    raises = isinstance(last, ast.Raise) and last.exc is not None and "NotImplementedError" in ast.unparse(last.exc)
    return raises and not any(isinstance(node, ast.Return) for node in ast.walk(function))


def _used_by(answer: list[ast.stmt], cells: list[NotebookNode], exercise: Exercise) -> list[tuple[ast.stmt, str]]:
    """What the cells before an answer must run for it: statements that bind a name which it, or one of them, uses."""
    needed, used = _names(answer)[1], []
    for i, cell in reversed(list(enumerate(cells))):
        where = f"<cell {i + 1} before the answer to {exercise.id}>"
        try:
            statements = [] if is_check(cell) else _statements(cell.source, where)
            for statement in reversed(statements):
                bound, used_there = _names([statement])
                if bound & needed or "import *" in ast.unparse(statement):
                    needed |= used_there
                    used.append((statement, where))
        except (SyntaxError, ValueError):
            continue
    return used[::-1]


def _statements(source: str, file: str) -> list[ast.stmt]:
    """A cell's statements without magics, whose functions know their text. Raises SyntaxError or ValueError."""
    python = TransformerManager().transform_cell(re.sub(r"\A\s*%%.*", "", source))
    linecache.cache[file] = (len(python), None, python.splitlines(keepends=True), file)
    statements = ast.parse(python).body
    return [s for s in statements if not any(getattr(node, "id", "") == "get_ipython" for node in ast.walk(s))]


def _names(statements: list[ast.stmt]) -> tuple[set[str], set[str]]:
    """The global names that statements bind, and those that they read, also inside of functions."""
    top = symtable.symtable(ast.unparse(ast.Module(statements, [])), "cell", "exec")
    tables = [top]
    for table in tables:
        tables += table.get_children()
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    inner = {s.get_name() for t in tables[1:] for s in t.get_symbols() if s.is_global() and s.is_referenced()}
    return bound, inner | {s.get_name() for s in top.get_symbols() if s.is_referenced()}
