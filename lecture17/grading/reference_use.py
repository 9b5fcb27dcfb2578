"""Whether an answer reads the right one from the course instead of computing it: found in its text, not by running it.

This is allowed, and reported. An answer uses the reference if it, or a function of the learner's that it calls, names
a module of the package that holds answers in any way (`import … as …`, an attribute, a string for `import_module`) or a
path in the folder `solutions`, or looks into the check that calls it. Learners may use whatever the course's own cells
import. Names assembled at run time, as in "refer" + "ence", are not found.
"""

import ast
import symtable
from collections.abc import Iterator

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from lecture17.course.notebooks import grade_id, is_answer, is_check
from lecture17.course.paths import SOLUTIONS

HELPERS = {"check", "hint", "progress", "CheckFailed"}  # of lecture17.course, for learners
HOLDERS = {"reference", "ops", "layers", "models", "mixers", "course", "grading"}  # what holds answers

# Ways from an answer into the check that calls it, where the right answer is.
PEEKS = {"_getframe", "currentframe", "f_back", "f_globals", "f_locals", "tb_frame", "__globals__", "__closure__"}
MODULES = {"sys.modules", "__module__"}  # these only where something is looked up by them
PEEKS |= {"get_objects", "get_referrers", "inspect.stack", "getmodule", *MODULES}
OPENERS = {"open", "Path", "PurePath", "join", "joinpath", "glob", "iglob", "listdir", "scandir", "walk", "chdir"}
OPENERS |= {"import_module", "__import__"}


def uses(nb: NotebookNode, solution: NotebookNode) -> dict[str, str]:
    """Exercise id → what its answer uses of the course, in words, for the answers that use any of it."""
    given = {line.strip() for c in solution.cells if not is_answer(c) for line in c.source.splitlines()}
    tainted: dict[str, str] = {}  # names that the learner's code has bound to something that holds answers
    found: dict[str, str] = {}
    cells = [c for c in nb.cells if c.cell_type == "code" and not is_check(c)]
    for _ in cells:  # a cell may use what a later one binds
        before = len(tainted) + len(found)
        for cell in cells:
            for statement in _statements(cell.source):
                why = next(_evidence(statement), "") or next(
                    (tainted[n] for n in _loads(statement) if n in tainted), ""
                )
                if why and ast.unparse(statement) not in given:
                    tainted |= {name: why for name in _binds(statement) if name not in tainted}
                    if is_answer(cell):
                        found.setdefault(grade_id(cell) or "", why)
        if len(tainted) + len(found) == before:
            break
    return found


def _statements(source: str) -> list[ast.stmt]:
    """A cell's statements, magics made Python; none where it is no Python."""
    try:
        python = TransformerManager().transform_cell(source)
        symtable.symtable(python, "cell", "exec")  # refuses what the parser does not, as an argument named twice
        return ast.parse(python).body
    except (SyntaxError, ValueError):
        return []


def _evidence(statement: ast.stmt) -> Iterator[str]:
    """Whatever in a statement names a holder of answers."""
    harmless = set(map(id, _merely_named(statement)))
    for node in ast.walk(statement):
        if isinstance(node, ast.ImportFrom) and not node.level:
            for name in node.names:
                yield from (f"looks into the check by {peek}" for peek in PEEKS & {name.name})
                yield from _holder(f"{node.module}.{name.name}")
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield from _holder(name.name)
        elif isinstance(node, (ast.Attribute, ast.Name)):
            dotted = ast.unparse(node)
            yield from _holder(dotted)
            peeks = PEEKS & {dotted, dotted.split(".")[-1]}
            yield from (
                f"looks into the check by {peek}" for peek in peeks - (MODULES if id(node) in harmless else set())
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) == 1:
            yield from _holder(node.value)
            yield from (f"looks into the check by {peek}" for peek in PEEKS & {node.value})
            *folders, file = node.value.replace("\\", "/").split("/")
            is_path = ".." in folders or file.endswith((".py", ".ipynb"))
            if SOLUTIONS in (*folders, file) and (is_path or id(node) not in harmless):
                yield f"reads {SOLUTIONS}/"


def _merely_named(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes whose word opens nothing where it stands: compared, a key, a label, what is printed or logged."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Compare):
            yield from (node.left, *node.comparators)
        elif isinstance(node, ast.Expr):
            yield node.value
        elif isinstance(node, ast.Dict):
            yield from filter(None, node.keys)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            yield node.slice
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] not in OPENERS:
            given = (*node.args, *(keyword.value for keyword in node.keywords))
            yield from (x for x in given if isinstance(x, ast.Constant) or ast.unparse(x).endswith(".__module__"))


def _holder(dotted: str) -> Iterator[str]:
    package, holder, name, *_ = [*dotted.split("."), "", ""]
    if package == "lecture17" and holder in HOLDERS and not (holder == "course" and name in {"", *HELPERS}):
        yield dotted


def _table(statement: ast.stmt) -> symtable.SymbolTable:
    return symtable.symtable(ast.unparse(statement), "cell", "exec")


def _binds(statement: ast.stmt) -> set[str]:
    """The names of the notebook that a statement binds."""
    return {s.get_name() for s in _table(statement).get_symbols() if s.is_assigned() or s.is_imported()}


def _loads(statement: ast.stmt) -> set[str]:
    """The notebook's names that a statement reads, including those in the functions it defines."""

    def globals_of(table: symtable.SymbolTable) -> Iterator[str]:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                yield symbol.get_name()
        for child in table.get_children():
            yield from globals_of(child)

    return set(globals_of(_table(statement)))
