"""Kernels in processes of their own, one that interprets and one that compiles. Introduced in 04b_triton.

A process is either Triton's interpreter or its compiler, so a notebook that interprets asks another process to compile.
And an unfinished kernel may loop forever or touch memory that is not its own: here that costs only a message.
"""

import atexit
import inspect
import os
import pickle
import subprocess
import sys
import textwrap
from functools import lru_cache
from importlib.util import find_spec
from multiprocessing import Pipe
from typing import Any

MISSING = (
    "Triton is not installed. It is made for Linux: there, run `make lab` again, or `pip install -c constraints.txt "
    "-e .` in the course's folder. On macOS and Windows, open the folder in its development container (.devcontainer, "
    "with Docker), or on Windows in WSL. Without it, read on with the stored outputs; all other parts run without it."
)

SECONDS = {"interpreter": 5.0, "compiler": 30.0}  # that one launch, or one compilation, may take
STARTING = 120.0  # that a process may take to load Triton


class Refused(Exception):
    """A kernel that cannot be compiled, or that does what no kernel may; the message says what, in plain words."""


class Process:
    """A process that answers one request after another, with Triton loaded as `mode`: "interpreter" or "compiler"."""

    def __init__(self, mode: str) -> None:
        if find_spec("triton") is None:
            raise Refused(MISSING)
        self.here, there = Pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}._worker", str(there.fileno())],
            env=os.environ | {"TRITON_INTERPRET": str(int(mode == "interpreter")), "OMP_NUM_THREADS": "1"},
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        there.close()
        atexit.register(self.end)
        self.ready = False

    def ask(self, request: bytes, seconds: float) -> bytes:
        """The answer. Raises TimeoutError if there is none in time, EOFError if the process dies of the request."""
        if not self.ready:
            if not self.here.poll(STARTING):
                raise TimeoutError
            self.ready = bool(self.here.recv_bytes())
        self.here.send_bytes(request)
        if not self.here.poll(seconds):
            raise TimeoutError
        return self.here.recv_bytes()

    def end(self) -> None:
        atexit.unregister(self.end)
        self.process.kill()
        self.process.wait()
        self.here.close()


_running: dict[str, Process] = {}  # one of each mode, started when first needed
_never_again: dict[str, str] = {}  # kernels that a process did not survive, and what they did


def interpret(kernel: Any, grid: tuple[int, ...], *args: Any, **constants: Any) -> None:
    """`kernel[grid](*args, **constants)` in an interpreter that watches every address; arrays are changed in place.

    What a GPU leaves undefined, the masked-out places of a load without `other`, is NaN. Raises Refused for a kernel
    that reads or writes outside its arguments, raises an error, or takes longer than SECONDS["interpreter"].
    """
    source = source_of(kernel)
    after = _answer("interpreter", source, pickle.dumps((source, grid, args, constants)))
    for given, changed in zip(args, after, strict=True):
        if hasattr(given, "shape"):
            given[...] = changed


def compiled(kernel: Any, *args: Any, sm: int = 90, **constants: Any) -> tuple[Any, dict[str, str]]:
    """What a GPU of architecture `sm` (80 is A100, 90 H100) would be given for a launch with these arguments.

    Returns a `compiler_report.Row` and the kernel as text by stage: "ttir" and "ptx". Raises Refused if the compiler
    refuses.
    """
    source = source_of(kernel)
    return _answer("compiler", source, pickle.dumps((source, sm, args, constants)))


def report(seconds: float = 600.0, **options: Any) -> list[Any]:
    """The rows of `compiler_report.report`, from a process that compiles."""
    return pickle.loads(_ask("compiler", pickle.dumps(options), seconds))


def _answer(mode: str, source: str, request: bytes) -> Any:
    if source in _never_again:
        raise Refused(_never_again[source])
    try:
        answer = pickle.loads(_remembered(mode, request))
    except TimeoutError:
        what = f"did not end within {SECONDS[mode]:g} seconds"
    except (EOFError, ConnectionError):
        what = "ended its process"
    else:
        if isinstance(answer, str):
            raise Refused(answer)
        return answer
    _never_again[source] = f"in Triton's {mode} the kernel {what}"
    raise Refused(_never_again[source])


@lru_cache(maxsize=512)
def _remembered(mode: str, request: bytes) -> bytes:
    return _ask(mode, request, SECONDS[mode])


def _ask(mode: str, request: bytes, seconds: float) -> bytes:
    for each in SECONDS:  # both modes: the other one loads Triton meanwhile
        if each not in _running:
            _running[each] = Process(each)
    try:
        return _running[mode].ask(request, seconds)
    except BaseException:  # also an interrupt: a late answer would be taken for the next one
        _running.pop(mode).end()
        raise


def source_of(kernel: Any) -> str:
    """The text of a kernel, after that of the kernels and constants of its notebook that it uses.

    Raises Refused if it is not a kernel.
    """
    if hasattr(kernel, "source"):  # text already
        return kernel.source
    if not hasattr(kernel, "fn"):
        raise Refused("expected a kernel: decorate the function with @triton.jit")
    needed = []
    for name in kernel.fn.__code__.co_names:
        value = kernel.fn.__globals__.get(name)
        module = getattr(getattr(value, "fn", None), "__module__", None) or ""
        if value is kernel:
            continue
        if module.startswith("lecture17."):
            needed.append(f"from {module} import {name}")
        elif hasattr(value, "fn"):
            needed.append(source_of(value))
        elif type(value).__name__ == "constexpr":
            needed.append(f"{name} = tl.constexpr({value.value!r})")
        elif isinstance(value, (int, float)):
            needed.append(f"{name} = {value!r}")
    return "\n".join([*needed, textwrap.dedent(inspect.getsource(kernel.fn))])
