"""Runs pytest for `grade` where a learner's code can do little harm: `python -P sandbox.py SCRATCH ARGUMENT…`.

On Linux, where users may create namespaces: without a network, with every file outside SCRATCH read-only, and with
processes that all end when pytest does. Elsewhere pytest runs as it is. The first line of the report says which.

Not covered: reading files, including the user's; sockets in the file system, such as Docker's or an SSH agent's; a GPU;
a scratch folder that fills its disk; load on the processor until a cell's time is up. And where there are no
namespaces, only processes are ended and lost notebooks restored.

The report goes to what was this process's standard output; pytest and the kernel get another one, so that nobody else
can write to it. This is a script, run by its path, because only a process without threads may enter namespaces, and
importing the package would start NumPy's.
"""

import contextlib
import ctypes
import io
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

REPORT = "LECTURE17_REPORT"  # environment variable: the report's file descriptor
MEMORY = "LECTURE17_MEMORY"  # environment variable: bytes that all processes of a kernel may use
OPEN = "LECTURE17_UNCONFINED"  # environment variable: if set, namespaces are not tried

NEW_USER, NEW_FILES, NEW_NETWORK, NEW_PROCESSES, NEW_IPC = 0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000
BIND, RECURSIVE, PRIVATE, NO_SUID, NO_DEVICES = 0x1000, 0x4000, 0x40000, 0x2, 0x4
SET_DEATH_SIGNAL, SET_DUMPABLE, SET_SECURE_BITS, SET_SUBREAPER = 1, 4, 28, 36  # prctl
MOUNT_SETATTR, READ_ONLY, BELOW = 442, 1, 0x8000


def call(name: str, *arguments: Any) -> None:
    """Call a function of the C library; raises OSError if it fails."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def set_read_only(path: Path, yes: bool) -> None:
    """Make what is mounted at `path`, with everything below it, read-only or writable again."""
    attributes = ctypes.create_string_buffer(struct.pack("QQQQ", READ_ONLY * yes, READ_ONLY * (not yes), 0, 0))
    where = (ctypes.c_long(-100), str(path).encode(), ctypes.c_long(BELOW))  # -100: paths are relative to the cwd
    call("syscall", ctypes.c_long(MOUNT_SETATTR), *where, attributes, ctypes.c_long(32))


def mount(kind: str, path: str, options: str = "") -> None:
    call("mount", kind.encode(), path.encode(), kind.encode(), NO_SUID | NO_DEVICES, options.encode())


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process that only Linux has."""
    if sys.platform == "linux":
        call("prctl", option, value)


def die_with_parent() -> None:
    prctl(SET_DEATH_SIGNAL, signal.SIGKILL)


def outlive(child: int) -> NoReturn:
    """Wait for a child, and for orphans that this process inherits meanwhile; end as the child did."""
    status = -1
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(abs(os.waitstatus_to_exitcode(status)))


def enter(scratch: Path) -> None:
    """Cut this process, and those it starts, off from the machine's network, processes and writable files."""
    user, group = os.getuid(), os.getgid()
    call("unshare", NEW_USER | NEW_FILES | NEW_NETWORK | NEW_PROCESSES | NEW_IPC)
    die_with_parent()
    Path("/proc/self/setgroups").write_text("deny", encoding="utf-8")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="utf-8")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="utf-8")
    call("mount", b"none", b"/", None, RECURSIVE | PRIVATE, None)
    call("mount", str(scratch).encode(), str(scratch).encode(), None, BIND, None)
    set_read_only(Path("/"), True)
    set_read_only(scratch, False)
    if Path("/dev/shm").is_dir():  # shared memory and locks of multiprocessing
        mount("tmpfs", "/dev/shm", "size=256m")
    os.chdir(scratch)  # enter the new mount: the folder beneath it is read-only


def settle() -> None:
    """As the first of the new processes: see no others, start the network that goes nowhere, and give up privileges."""
    die_with_parent()
    mount("proc", "/proc")
    import fcntl

    with socket.socket() as loopback:  # the way to talk to the kernel
        fcntl.ioctl(loopback, 0x8914, struct.pack("16sh22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
    prctl(SET_SECURE_BITS, 3)  # not even root's programs regain privileges, and that is final


def confine(scratch: Path) -> str:
    """Enter namespaces: returns "" in the process inside. If that fails, returns why, in the process that called.

    Otherwise the process that called waits for the one inside, and does not return.
    """
    if sys.platform != "linux":
        return f"{sys.platform} has no namespaces"
    if os.environ.get(OPEN):
        return f"{OPEN} is set"
    failed, fails = os.pipe()
    outside = os.fork()
    if outside:
        os.close(fails)
        with open(failed, encoding="utf-8") as pipe:
            reason = pipe.read()
        if not reason:
            outlive(outside)
        os.waitpid(outside, 0)
        return reason
    try:
        enter(scratch)
        if first := os.fork():
            os.close(fails)
            outlive(first)
        settle()
        if inside := os.fork():
            os.close(fails)
            outlive(inside)
    except OSError as error:
        os.write(fails, str(error).encode())
        os._exit(1)
    os.close(fails)
    return ""


def end_all(processes: Callable[[], Iterable[Any]]) -> None:
    """End the processes that `processes()` lists, and list them again until none is left alive."""
    import psutil

    for _ in range(100):
        left = []
        for process in processes():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE:
                    process.suspend()  # all of them first, so that none can start others meanwhile
                    left.append(process)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not left:
            return
        time.sleep(0.02)


def end_children() -> None:
    """End everything that this process has started, directly or indirectly."""
    import psutil

    end_all(lambda: psutil.Process().children(recursive=True))


def watch_over() -> None:
    """Continue in a child; this process waits, then ends what the child left behind, and does not return."""
    prctl(SET_SUBREAPER, 1)  # this process inherits orphans
    child = os.fork()
    if child == 0:
        die_with_parent()
        return
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    _, status = os.waitpid(child, 0)
    end_children()
    os._exit(abs(os.waitstatus_to_exitcode(status)))


def main(scratch: Path, arguments: list[str]) -> int:
    """Run pytest, confined if possible."""
    die_with_parent()
    reason = confine(scratch)
    if reason and hasattr(os, "fork"):
        watch_over()
    prctl(SET_DUMPABLE, 0)  # others could open the report of a process that can be dumped
    os.chdir(scratch)
    report = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.write(report, (json.dumps({"unconfined": reason}) + "\n").encode())
    os.environ[REPORT] = str(report)
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # jsonschema does without; it loads slowly
    import pytest

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = pytest.main(arguments)
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):  # not even a cell was run
        os.write(report, (json.dumps({"broken": said.getvalue().strip().splitlines()[-1]}) + "\n").encode())
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
