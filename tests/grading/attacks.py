"""What a learner's code may do to grading, and the verdict that it gets: the table of docs/grading.md, as code."""

import os
from dataclasses import dataclass

LEFT_BEHIND = f"time.sleep({10**6 + os.getpid()})"  # in the command of a process that an attack starts and leaves


@dataclass(frozen=True)
class Attack:
    """Code put into a right answer: at the head of its cell, or at the head of its function.

    `verdict` is what the exercise gets, and `earns` says whether it gets its points.
    """

    name: str
    verdict: str
    cell: str = ""
    function: str = ""
    earns: bool = False
    reason: str = ""


HARMLESS = (  # the kernel lives on
    Attack("an endless loop", "timed out", function="while True: pass"),
    Attack("`sys.exit`", "ended itself", function="import sys; sys.exit(0)"),
    Attack("200 MB of output", "too much output", function="for _ in range(200): print('x' * 10**6)"),
    Attack(
        "200 MB written past Python's streams", "passed", cell="import os; os.write(1, bytes(2 * 10**8))", earns=True
    ),
    Attack(
        "closed or replaced standard streams",
        "passed",
        cell="import os, sys\nsys.stdout.close(); sys.stderr.close(); os.close(1); os.close(2); sys.stdout = None",
        earns=True,
    ),
    Attack(
        "deleted files: of the folder, the course, the temporary folder",
        "passed",
        cell="import os, shutil, tempfile, lecture17.course.paths as paths\n"
        "for folder in (os.getcwd(), paths.home(), os.path.dirname(paths.home()), tempfile.gettempdir()):\n"
        "    shutil.rmtree(folder, ignore_errors=True)",
        earns=True,
    ),
    Attack(
        "a file larger than 1 GiB",
        "wrong",
        function="with open('large', 'wb') as f: f.seek(2**30); f.write(b'x')",
        reason="File too large",
    ),
    Attack("1 TB of memory at once", "out of memory", function="np.ones(10**11) * 2", reason="Unable to allocate"),
    Attack("NumPy changed", "disturbs checks", cell="np.abs = lambda x: 0 * x", earns=True, reason="numpy.abs"),
    Attack(
        "the check changed",
        "disturbs checks",
        cell="import lecture17.course.checking as c\nc.compare = lambda *_: None\n"
        "c.check.__code__ = (lambda *_, **__: 0).__code__",
        function="return None",
        reason="lecture17.course.check.__code__",
    ),
    Attack(
        "the check changed while it runs",
        "disturbs checks",
        function="import lecture17.course.checking as c\nc.compare = lambda *_: None\nreturn None",
        reason="while it was checked",
    ),
    Attack(
        "an exercise's definition changed",
        "disturbs checks",
        cell="from lecture17.course.exercises import of_notebook\n"
        "for e in of_notebook('03b_duality'): object.__setattr__(e, 'expected', lambda *_: 0)",
        earns=True,
        reason="expected",
    ),
    Attack(
        "a network connection",
        "wrong",
        function="import socket; socket.create_connection(('192.0.2.1', 9), timeout=60)",
        reason="[Errno 101] Network is unreachable",
    ),
    Attack(
        "a daemonized process",
        "passed",
        cell="import subprocess, sys\n"
        f"code = 'import os, time; os.fork() and os._exit(0); os.setsid(); {LEFT_BEHIND}'\n"
        "subprocess.run([sys.executable, '-Sc', code], env={}, stdout=subprocess.DEVNULL)",
        earns=True,
    ),
    Attack("a comment that tells nbval to skip", "passed", cell="# NBVAL_SKIP", earns=True),
)
DEADLY = (  # the kernel ends, or is ended
    Attack("`os._exit`", "kernel died", function="import os; os._exit(0)"),
    Attack("`exit()`", "passed", cell="exit()", earns=True),
    Attack(
        "an endless loop that catches Ctrl-C",
        "timed out",
        function="while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    ),
    Attack("ever more processes", "too many processes", function="import os\nwhile True: os.fork()"),
    Attack(
        "ever more threads",
        "too many threads",
        function="import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
    ),
    Attack("ever more memory", "out of memory", cell="hoard = []\nwhile True: hoard.append(np.ones(10**7))"),
    Attack(
        "a kernel that dies after its reply, before the end of its output",
        "kernel died",
        cell="import os, time\n"
        "get_ipython().kernel._publish_status_and_flush = lambda *_: (time.sleep(0.3), os._exit(1))",
    ),
    Attack(
        "the kernel's parent killed", "kernel died", function="import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
    ),
    Attack(
        "a thread that ends the kernel in another exercise's cell",
        "passed",
        cell="import os, threading, time\n"
        "def lurk():\n"
        "    while 'random_features' not in get_ipython().user_ns: time.sleep(0.01)\n"
        "    os._exit(1)\n"
        "threading.Thread(target=lurk, daemon=True).start()",
        earns=True,
    ),
)
ALL = (*HARMLESS, *DEADLY)
ALWAYS = tuple(a for a in ALL if a.name in ("a daemonized process", "ever more processes"))
"""Those that end the same without namespaces. What kills its parents would go on to yours there."""
