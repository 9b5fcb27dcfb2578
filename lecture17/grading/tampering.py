"""In the kernel during grading: runs the checks, and restores what they rely on if a learner's code has changed it.

A change is whatever existed and is replaced or deleted: attributes of modules and classes, the code and the defaults of
functions. New attributes, filled caches and submodules that are loaded late do not count.

Records travel in the reply to the very cell that ran the check, so neither tracebacks nor output, nor the code that
shows them, can affect them. None of this stops code that sets out to deceive: it runs in the same process. It stops
accidents and the usual tricks, and names them. A cell's output is thrown away, and too much of it is a fault.
"""

import dataclasses
import io
import json
import mmap
import os
import sys
import threading
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import psutil
from IPython import get_ipython

from lecture17.course import checking, exercises

from . import SOURCE

PACKAGES = ("numpy", "lecture17")  # what checks rely on, besides the builtins
FORKS = 200  # processes that a kernel may fork in total
THREADS = 200  # threads that a kernel may have at once
TASKS = 1000  # processes and threads besides those that the user already has
FILE = 2**30  # bytes of the largest file that a cell may write
OUTPUT = 10_000_000  # characters that one cell may print


class TooMuchOutput(BaseException):
    """A cell has printed more than anybody reads. Not an Exception, because an answer or its check may catch those."""


class TooManyThreads(BaseException):
    """A cell has started more threads than an answer can need."""


class Sink(io.TextIOWrapper):
    """A standard stream that goes nowhere, takes a limited amount, and stays open."""

    left = OUTPUT

    def write(self, text: str) -> int:
        self.left -= len(text)
        if self.left < 0:
            raise TooMuchOutput(f"more than {OUTPUT // 10**6} million characters were printed")
        return len(text)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _parts(value: Any) -> dict[str, Any]:
    """The parts of a module, function, class or dataclass that a learner's code could change."""
    if isinstance(value, FunctionType):  # whatever else a function holds is a cache
        names = ("__code__", "__defaults__", "__kwdefaults__", "__wrapped__")
        return {n: getattr(value, n) for n in names if hasattr(value, n)}
    if isinstance(value, (ModuleType, type)) or dataclasses.is_dataclass(value):
        return dict(vars(value))
    return dict(enumerate(value)) if isinstance(value, tuple) else {}  # type: ignore[arg-type]


def _belongs(value: Any) -> bool:
    """Whether something is part of the packages rather than only used in them."""
    if isinstance(value, tuple):
        return bool(value) and all(map(_belongs, value))
    of = value.__module__ if isinstance(value, (FunctionType, type)) else type(value).__module__
    return isinstance(of, str) and of.split(".")[0] in PACKAGES and bool(_parts(value))


class Guard:
    """What checks rely on, as it was at the start: restored between cells and around each check."""

    def __init__(self) -> None:
        self.send = get_ipython().payload_manager.write_payload
        self.kept: dict[int, tuple[str, Any, dict[str, Any]]] = {}
        packages = ("builtins", *PACKAGES)
        self.modules = {name: m for name, m in sorted(sys.modules.items()) if name.split(".")[0] in packages}
        self.streams = {name: Sink(io.FileIO(os.devnull, "w"), encoding="utf-8") for name in ("stdout", "stderr")}
        for name, module in self.modules.items():
            self._keep(name, module)

    def _keep(self, name: str, value: Any) -> None:
        if id(value) in self.kept:
            return
        self.kept[id(value)] = name, value, _parts(value)
        for part, found in _parts(value).items():
            if _belongs(found):
                self._keep(f"{name}.{part}", found)

    def restore(self) -> list[str]:
        """Restore everything, and reset the streams; returns the names of what was changed."""
        names = [name for name, module in self.modules.items() if sys.modules.get(name) is not module]
        for name, value, parts in self.kept.values():
            now = _parts(value)
            frozen = dataclasses.is_dataclass(value) and not isinstance(value, type)
            for part, was in parts.items():
                if now.get(part, self) is not was and name + part != "builtinsinput":  # which Jupyter replaces
                    (object.__setattr__ if frozen else setattr)(value, part, was)
                    names.append(f"{name}.{part}")
        sys.modules.update(self.modules)
        for name, stream in self.streams.items():
            stream.left = OUTPUT
            setattr(sys, name, stream)
        return names

    def examine(self, *_: object) -> None:
        """After each cell: restore what it has changed, and report it."""
        if names := self.restore():
            self.send({"source": SOURCE, "changed": names[:3]}, single=False)

    def check(self, token: str, source: str) -> None:
        """Run the text of a check; its findings are sent with `token`, which only this run of this cell knows."""
        found: list[checking.Record] = []
        self.restore()
        try:
            exec(source, {**get_ipython().user_ns, "check": lambda *words: found.append(checking.judge(*words))})
        finally:
            self.examine()
            for record in found:
                text = json.dumps(dataclasses.asdict(record))  # in ASCII: a lone surrogate would cost the whole reply
                self.send({"source": SOURCE, "token": token, "record": text}, single=False)


guard: Guard


def limit_forks() -> None:
    """Slow down processes forked from this one, and end those beyond a number: otherwise nobody could end them all."""
    born = mmap.mmap(-1, 8)  # one count for all of them

    def count() -> None:
        os.nice(19)
        number = int.from_bytes(born[:8], "little") + 1
        born[:8] = number.to_bytes(8, "little")
        if number > FORKS:
            os._exit(1)

    os.register_at_fork(after_in_child=count)


def limit_threads() -> None:
    """Refuse more threads than an answer can need, while there is still room for the kernel's own."""
    start = threading.Thread.start

    def limited(self: threading.Thread) -> None:
        if threading.active_count() > THREADS:
            raise TooManyThreads
        start(self)

    threading.Thread.start = limited  # type: ignore[method-assign]


def begin(stem: str, memory: int, imports: str) -> None:
    """Before any of the learner's code runs: save what checks rely on, and limit what the kernel may take.

    `imports` is the course's own first cell: what it takes to load PyTorch, say, is not the learner's time.
    """
    global guard
    exec(imports, {})
    exercises.of_notebook(stem)  # loads what the checks need
    guard = Guard()
    guard.restore()
    limit_threads()
    shell = get_ipython()
    shell.events.register("pre_run_cell", lambda _: setattr(shell, "_last_traceback", None))  # not from an earlier cell
    shell.events.register("post_run_cell", guard.examine)
    shell.ast_node_interactivity = "none"  # nobody looks at the value of a cell
    shell.ask_exit = lambda: None  # exit() would end the kernel a moment later, during another cell
    shell.display_pub.publish = lambda *_, **__: None
    if sys.platform != "win32":
        import resource

        limit_forks()
        limits = {resource.RLIMIT_DATA: 2 * memory + 2**31, resource.RLIMIT_FSIZE: FILE}
        if os.getuid():  # root has no such limit
            found = [p.info for p in psutil.process_iter(["uids", "num_threads"])]
            mine = [p["num_threads"] or 0 for p in found if p["uids"] and p["uids"].real == os.getuid()]
            limits[resource.RLIMIT_NPROC] = sum(mine) + TASKS
        for limit, value in limits.items():
            allowed = resource.getrlimit(limit)[1]
            value = value if allowed == resource.RLIM_INFINITY else min(value, allowed)
            resource.setrlimit(limit, (value, value))
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text(
            "1000", encoding="utf-8"
        )  # if memory runs out, this process goes first
