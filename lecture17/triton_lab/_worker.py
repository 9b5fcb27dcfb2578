"""The other end of `processes`: `python -m lecture17.triton_lab._worker DESCRIPTOR` answers requests.

A request is pickled: (source, grid, args, constants) in an interpreter, (source, sm, args, constants) or the options of
`report` in a compiler. The answer is the result, or a str that says why there is none.
"""

import dataclasses
import linecache
import pickle
import signal
import sys
import tempfile
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.compiler.errors import CompilationError

from ..ops.kernels.tools import INTERPRETED
from . import compiler_report

FILE = "<kernel>"
GAP = 1 << 16  # bytes between two arguments, so that a wrong address does not hit another argument

# What the compiler says, and the same in plain words.
WORDS = {
    "and K >= 16": "on a GPU tl.dot sums over at least 16 numbers; the interpreter accepts fewer",
    "must be a power of 2": "the sides of a tile are powers of two: take the next larger one, and mask the excess",
    "must be of type tl.constexpr": "the ends of tl.arange must be known when compiling: numbers, or tl.constexpr",
    "equal reduction dimensions": "tl.dot(a, b) sums over columns of a and rows of b; tl.trans turns a tile over",
    "Cannot make_shape_compatible": "these tiles do not fit: a[:, None] goes with rows, a[None, :] with columns",
    "unsupported AST node type": "Triton compiles only a part of Python, and this is not in it",
    "is not defined": "a kernel knows almost none of Python's built-in functions and of the notebook's variables",
}


def define(source: str) -> Any:
    """The last function that `source` defines, set up so that Triton can read its text as if from a file."""
    names: dict[str, Any] = {"triton": triton, "tl": tl, "__name__": "kernel"}
    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
    exec(compile(source, FILE, "exec"), names)
    return list(names.values())[-1]


def cause_of(error: BaseException) -> BaseException:
    """The root of an interpreter's or a compiler's error: for the compiler, its innermost message about a line."""
    cause = error.__cause__
    if cause is None or (isinstance(error, CompilationError) and not isinstance(cause, CompilationError)):
        return error
    return cause_of(cause)


def in_words(said: str) -> str:
    """What Triton said, after the same in plain words if there are any."""
    words = next((f"{plain}. " for mark, plain in WORDS.items() if mark in said), "")
    return f"{words}Triton says: {said}"


# --- interpreting -------------------------------------------------------------------------------------------------


class OutOfBounds(Exception):
    """An address that belongs to none of the arguments."""


class Memory:
    """The arguments of a launch, far apart in one piece of memory, and a check of addresses in it."""

    def __init__(self, names: list[str], args: tuple[Any, ...], axes: int) -> None:
        self.axes = axes
        self.names = [name for name, a in zip(names, args, strict=False) if isinstance(a, (np.ndarray, Tensor))]
        arrays = [torch.as_tensor(a) for a in args if isinstance(a, (np.ndarray, Tensor))]
        place = torch.empty(GAP + sum(GAP + a.nbytes // 16 * 16 for a in arrays), dtype=torch.uint8)
        self.arrays, at = [], GAP
        for a in arrays:
            self.arrays.append(place[at : at + a.nbytes].view(a.dtype).view(a.shape).copy_(a))
            at += GAP + a.nbytes // 16 * 16
        self.starts = np.array([a.data_ptr() for a in self.arrays])
        self.ends = self.starts + np.array([a.nbytes for a in self.arrays])

    def check(self, what: str, addresses: np.ndarray, builder: Any) -> None:
        """Raise OutOfBounds, naming the argument that is nearest, for an address outside all of them."""
        addresses = addresses.astype(np.int64)
        outside = ~((addresses[:, None] >= self.starts) & (addresses[:, None] < self.ends)).any(1)
        if outside.any():
            first = addresses[outside][0]
            nearest = self.names[np.argmin(np.minimum(abs(self.starts - first), abs(self.ends - first)))]
            program = ", ".join(str(i) for i in builder.grid_idx[: self.axes])
            places = f"{outside.sum()} place{'s' if outside.sum() > 1 else ''}"
            raise OutOfBounds(f"program ({program}) {what} {places} outside of {nearest}, in memory of no argument")


def watch(memory: Memory) -> None:
    """Make the interpreter check each address, and fill what a load leaves undefined with NaN, or -1.

    It forgets an `other` that is a single 0, because that is false: what was given is kept here.
    """
    from triton.runtime import interpreter

    builder = interpreter.interpreter_builder
    builder.options = dataclasses.replace(builder.options, sanitize_overflow=False)  # twice as fast
    load, store = type(builder).create_masked_load, type(builder).create_masked_store

    semantic, given = interpreter.interpreter_semantic, list[Any]()

    def keeping_load(ptr: Any, mask: Any, other: Any, *options: Any) -> Any:
        given[:] = [] if other is None else [semantic.cast(other, ptr.dtype.scalar.element_ty).handle]
        return type(semantic)._load_legacy(semantic, ptr, mask, other, *options)

    def watched_load(ptrs: Any, mask: Any, other: Any, *options: Any) -> Any:
        memory.check("reads", ptrs.data[mask.data], builder)
        if other is None and given:
            [other] = given
        if other is None:
            kind = ptrs.get_element_ty()
            bits = np.full((*ptrs.data.shape, kind.primitive_bitwidth // 8), 255, np.uint8)
            other = interpreter.TensorHandle(bits.view(interpreter._get_np_dtype(kind))[..., 0], kind)
        return load(builder, ptrs, mask, other, *options)

    def watched_store(ptrs: Any, value: Any, mask: Any, *options: Any) -> Any:
        memory.check("writes", ptrs.data[mask.data], builder)
        return store(builder, ptrs, value, mask, *options)

    semantic._load_legacy = keeping_load
    builder.create_masked_load, builder.create_masked_store = watched_load, watched_store


def interpret(source: str, grid: tuple[int, ...], args: tuple[Any, ...], constants: dict[str, Any]) -> Any:
    kernel = define(source)
    memory = Memory(kernel.arg_names, args, len(grid))
    watch(memory)
    tensors = iter(memory.arrays)
    try:
        kernel[grid](*(next(tensors) if isinstance(a, (np.ndarray, Tensor)) else a for a in args), **constants)
    except Exception as error:
        cause = cause_of(error)
        if isinstance(cause, OutOfBounds):
            return str(cause)
        lines = [f.line for f in traceback.extract_tb(cause.__traceback__) if f.filename == FILE]
        where = f" at `{lines[-1]}`" if lines else ""
        return f"the kernel fails{where}: {in_words(str(cause))}"
    tensors = iter(memory.arrays)
    pairs = ((a, next(tensors) if hasattr(a, "shape") else a) for a in args)
    return [np.array(t) if isinstance(a, np.ndarray) else t.clone() if hasattr(a, "shape") else a for a, t in pairs]


# --- compiling ----------------------------------------------------------------------------------------------------


def compile_kernel(source: str, sm: int, args: tuple[Any, ...], constants: dict[str, Any]) -> Any:
    try:
        kernel = define(source)
        tensors = tuple(torch.as_tensor(a) if isinstance(a, np.ndarray) else a for a in args)
        launch = kernel, tensors, constants
        made = compiler_report.machine_code(launch, sm)
        return compiler_report.measured(launch, made, sm), {stage: made.asm[stage] for stage in ("ttir", "ptx")}
    except Exception as error:
        return refusal(error)


def refusal(error: Exception) -> str:
    """Why the compiler refuses, in plain words and in its own."""
    cause: Any = cause_of(error)
    said = str(getattr(cause, "error_message", None) or cause).strip().splitlines()[-1]
    line = ""
    if getattr(cause, "src", None) and getattr(cause, "node", None):
        line = f" at `{cause.src.splitlines()[cause.node.lineno - 1].strip()}`"
    return f"a GPU's compiler refuses the kernel{line}: {in_words(said)}"


def find_a_cache() -> None:
    """Give the compiler another cache folder if it cannot write to its own, as during grading."""
    folder = Path(triton.knobs.cache.dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        triton.knobs.cache.dir = str(Path(tempfile.gettempdir()) / "triton")


def main() -> None:
    find_a_cache()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the notebook, which may then end this process
    connection = Connection(int(sys.argv[1]))
    connection.send_bytes(b"ready")
    while True:
        try:
            request = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        signal.alarm(600 if isinstance(request, dict) else 60)  # a last resort, if nobody is left to end it
        if isinstance(request, dict):
            answer: Any = list(compiler_report.report(**request))
        else:
            answer = (interpret if INTERPRETED else compile_kernel)(*request)
        signal.alarm(0)
        connection.send_bytes(pickle.dumps(answer))


if __name__ == "__main__":
    main()
