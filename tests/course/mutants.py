"""Wrong answers made mechanically from a right one: by changing its source in one place, or what it returns."""

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

OTHER = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
}


def sources(source: str) -> Iterator[tuple[str, str]]:
    """Each mutant of the functions in `source` with what was done to it, in words."""
    count = sum(1 for _ in ast.walk(ast.parse(source)))
    seen = {ast.unparse(ast.parse(source))}
    for i in range(count):
        for how in range(6):
            tree = ast.parse(source)
            parents = {id(child): parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
            node = list(ast.walk(tree))[i]
            if not any(isinstance(a, ast.FunctionDef) for a in ancestors(node, parents)) or is_text(node, parents):
                continue
            done = mutate(node, parents.get(id(node)), how)
            if done is None:
                break
            mutant = ast.unparse(ast.fix_missing_locations(tree))
            if mutant not in seen:
                seen.add(mutant)
                yield f"line {getattr(node, 'lineno', 0)}: {done}", mutant


def ancestors(node: ast.AST, parents: dict[int, ast.AST]) -> Iterator[ast.AST]:
    while id(node) in parents:
        node = parents[id(node)]
        yield node


def is_text(node: ast.AST, parents: dict[int, ast.AST]) -> bool:
    """Whether a node is annotation or docstring: what no answer computes with."""
    return any(
        isinstance(a, (ast.arg, ast.arguments)) or (isinstance(a, ast.Expr) and isinstance(a.value, ast.Constant))
        for a in [node, *ancestors(node, parents)]
    )


def replace(parent: ast.AST | None, old: ast.AST, new: ast.AST) -> None:
    for name, value in ast.iter_fields(parent) if parent is not None else ():
        if value is old:
            setattr(parent, name, new)
        elif isinstance(value, list):
            setattr(parent, name, [new if v is old else v for v in value])


def mutate(node: ast.AST, parent: ast.AST | None, how: int) -> str | None:
    """Do the `how`-th thing that can be done to a node in place; says what, None when there are no more."""
    was = ast.unparse(node) if isinstance(node, (ast.expr, ast.stmt)) else ""
    ways: list[tuple[str, Callable[[], object]]] = []

    def way(what: str, do: Callable[[], object]) -> None:
        ways.append((what, do))

    if isinstance(node, ast.BinOp):
        way(f"only the left of {was}", lambda: replace(parent, node, node.left))
        way(f"only the right of {was}", lambda: replace(parent, node, node.right))
        if isinstance(node.op, ast.MatMult):
            swapped = ast.BinOp(node.right, node.op, node.left)
            way(f"{was} the other way round", lambda: replace(parent, node, swapped))
        if type(node.op) in OTHER:
            way(f"another operator in {was}", lambda: setattr(node, "op", OTHER[type(node.op)]()))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        way(f"{was} without its sign", lambda: replace(parent, node, node.operand))
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        way(f"another comparison in {was}", lambda: setattr(node, "ops", [OTHER[type(node.ops[0])]()]))
    elif isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        way(f"{was} not transposed", lambda: replace(parent, node, node.value))
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        way(f"{was} one more", lambda: setattr(node, "value", node.value + 1))  # type: ignore[operator]
        way(f"{was} one less", lambda: setattr(node, "value", node.value - 1))  # type: ignore[operator]
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name) and isinstance(node.ctx, ast.Load):
        back = ast.BinOp(node.slice, ast.Sub(), ast.Constant(1))
        way(f"{was} one token earlier", lambda: setattr(node, "slice", back))
    elif isinstance(node, ast.Call) and len(node.args) >= 1:
        way(f"without the call of {was}", lambda: replace(parent, node, node.args[0]))
        if len(node.args) >= 2:
            way(f"arguments swapped in {was}", lambda: setattr(node, "args", [*node.args[1::-1], *node.args[2:]]))
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        way(f"results reversed in {was}", lambda: setattr(node.value, "elts", node.value.elts[::-1]))  # type: ignore[union-attr]
    elif isinstance(node, (ast.Assign, ast.AugAssign)):
        way(f"without {was}", lambda: replace(parent, node, ast.Pass()))
    if how >= len(ways):
        return None
    what, do = ways[how]
    do()
    return what


def wrapped(answer: Callable[..., Any], case: list[Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """What `answer` returns, spoilt; `case` holds the arguments of one case that everybody can see."""
    seen = answer(*copy.deepcopy(case))

    def each(change: Callable[[np.ndarray], Any]) -> Callable[..., Any]:
        def spoilt(*inputs: Any) -> Any:
            result = answer(*inputs)
            return tuple(change(x) for x in result) if isinstance(result, tuple) else change(result)

        return spoilt

    def in_place(*inputs: Any) -> Any:
        result = copy.deepcopy(answer(*inputs))
        for x in inputs:
            if hasattr(x, "shape") and x.ndim:
                x *= 0.5
        return result

    def first_swapped(*inputs: Any) -> Any:
        return answer(*inputs[1::-1], *inputs[2:])

    yield "the first argument, returned", lambda *inputs: inputs[0]
    yield "the right answer to one case", lambda *_: copy.deepcopy(seen)
    yield "nothing", lambda *_: None
    yield "zeros", each(lambda x: x * 0)
    yield "ones", each(lambda x: x * 0 + 1)
    yield "in another shape", each(lambda x: x[None])
    yield "as a list", each(lambda x: x.tolist())
    if any(hasattr(x, "shape") and x.ndim for x in case):
        yield "arguments changed in place", in_place
    if len(case) > 1:
        yield "first arguments swapped", first_swapped
