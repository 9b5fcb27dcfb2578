"""Exercises of 00_quickstart."""

import ast
import inspect
import textwrap

import numpy as np

from lecture17.reference import semiseparable

from ..exercise import Exercise, Function, Inputs, Misconception, WrongForm


def draw(rng: np.random.Generator) -> Inputs:
    N, r = int(rng.integers(2, 40)), int(rng.integers(1, 6))
    return {"U": rng.normal(size=(N, r)), "V": rng.normal(size=(N, r))}


HIDDEN = {"map", "vectorize", "frompyfunc", "apply_along_axis"}  # functions that loop in Python, too


def lists_names(node: ast.expr) -> bool:
    """Whether an expression lists names, as in `(U, V)`: a loop over these is not one over tokens."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("enumerate", "zip"):
        return bool(node.args) and all(map(lists_names, node.args))
    return isinstance(node, ast.Tuple | ast.List) and all(
        isinstance(item, ast.Name | ast.Constant) for item in node.elts
    )


def loops(tree: ast.AST) -> bool:
    """Whether a source loops in Python, over more than names that are listed there."""
    nodes = list(ast.walk(tree))
    of_names = {n.func for n in nodes if isinstance(n, ast.Call) and n.args[1:] and all(map(lists_names, n.args[1:]))}
    names = {getattr(n, "id", getattr(n, "attr", "")) for n in nodes if n not in of_names or ast.unparse(n) != "map"}
    over = [n.iter for n in nodes if isinstance(n, ast.For | ast.comprehension)]
    return bool(names & HIDDEN) or not all(map(lists_names, over)) or any(isinstance(n, ast.While) for n in nodes)


def refuse_loops(answer: Function) -> None:
    """Raise WrongForm for an answer whose own source loops in Python; functions that it calls are not looked into."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(answer)))
    except (OSError, TypeError, SyntaxError):  # its source is not available, or is only part of a statement
        return
    if loops(tree):
        raise WrongForm("A is right, but Python loops over it: one matrix product gives all entries at once")


EXERCISES = (
    Exercise(
        id="00_quickstart-matrix",
        points=3,
        unfilled="Write NumPy code in `semiseparable_matrix` that builds A without a loop.",
        draw=draw,
        returns=("A",),
        verified="with different numbers of tokens N and ranks r, without a loop",
        expected=semiseparable.from_generators,
        at_last=refuse_loops,
        misconceptions=(
            Misconception(
                "the mask is missing",
                "keep only i ≥ j: no token may look at a later one (np.tril)",
                lambda U, V: U @ V.T,
            ),
            Misconception(
                "the mask leaves out the diagonal",
                "the diagonal belongs to A: token i sees itself, so i ≥ j and not i > j",
                lambda U, V: np.tril(U @ V.T, -1),
            ),
            Misconception(
                "the mask keeps the wrong triangle",
                "rows are outputs i, columns are inputs j, and i ≥ j is the lower triangle",
                lambda U, V: np.triu(U @ V.T),
            ),
            Misconception(
                "U and V are swapped",
                "A[i, j] pairs the u of the row with the v of the column: U @ V.T, not V @ U.T",
                lambda U, V: np.tril(V @ U.T),
            ),
            Misconception(
                "each row of U is paired only with the row of V at the same position",
                "an elementwise product pairs u_i with v_i only; a matrix product pairs every u_i with every v_j",
                lambda U, V: np.diag((U * V).sum(1)),
            ),
            Misconception(
                "what is above the diagonal is -inf",
                "that is for exponents, which become exp(-inf) = 0; in A itself the future is 0",
                lambda U, V: np.where(np.tri(len(U)), U @ V.T, -np.inf),
            ),
            Misconception(
                "U and V are multiplied without a transpose",
                "both are (N, r), one vector in each row: U @ V.T pairs every row with every row",
                lambda U, V: np.tril(U @ V),
                also=(lambda U, V: U @ V,),
            ),
            Misconception(
                "columns are multiplied instead of rows",
                "u_i and v_j are rows: U @ V.T is (N, N), U.T @ V is (r, r)",
                lambda U, V: np.tril(U.T @ V),
                also=(lambda U, V: U.T @ V,),
            ),
            Misconception(
                "the mask lets every token see the next one",
                "i ≥ j ends at the diagonal: np.tril(…) with k = 0, not 1",
                lambda U, V: np.tril(U @ V.T, 1),
            ),
        ),
        hints=(
            ("I do not know where to start", "All the products u_i·v_j together are one matrix product of U and V."),
            ("I get a shape error", "U and V are both (N, r). To get (N, N) from them, transpose one of the two."),
            ("Entries above the diagonal are not zero", "np.tril keeps the lower triangle, including the diagonal."),
        ),
    ),
)
