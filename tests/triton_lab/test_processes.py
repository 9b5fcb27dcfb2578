"""Kernels in processes of their own: what they compute comes back, and what they do wrong is told in words."""

# mypy: disallow-incomplete-defs=False

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lecture17.triton_lab import processes
from lecture17.triton_lab.processes import MISSING

pytest.importorskip("triton", reason="Triton is not installed: it is made for Linux")
import triton
import triton.language as tl

LIMIT = tl.constexpr(37)


@triton.jit
def half_of(numbers):
    return numbers / 2


@triton.jit
def halve(x, y, L: tl.constexpr):
    i = tl.program_id(0) * L + tl.arange(0, L)
    tl.store(y + i, half_of(tl.load(x + i, mask=i < LIMIT, other=0.0)), mask=i < LIMIT)


@triton.jit
def spill_over(x, y, L: tl.constexpr):
    i = tl.program_id(0) * L + tl.arange(0, L)
    tl.store(y + i, tl.load(x + i, mask=i < 37), mask=i < 37 + 1)


@triton.jit
def read_below(x, y, L: tl.constexpr):
    tl.store(y, tl.load(x - 1))


@triton.jit
def undefined(x, y, L: tl.constexpr):
    i = tl.arange(0, L)
    tl.store(y + i, tl.load(x + i, mask=i < 3))


@triton.jit
def none_of_these(x, y, L: tl.constexpr):
    tl.store(y, tl.load(x, mask=L < 0, other=0.0))
    tl.store(y + 1, tl.load(x, mask=L < 0, other=2))
    tl.store(y + 2, tl.load(x, mask=L < 0))
    tl.store(y + 3 + tl.arange(0, 1), tl.load(x + tl.arange(0, 1), mask=tl.arange(0, 1) > L, other=0.0))


@triton.jit
def endless(x, y, L: tl.constexpr):
    i = 0
    while i < 1:
        i = i * 1


@triton.jit
def crash(x, y, L: tl.constexpr):
    __import__("os").abort()


@triton.jit
def prints(x, y, L: tl.constexpr):
    print(sorted([L]))


@triton.jit
def odd_tile(x, y, L: tl.constexpr):
    tl.store(y + tl.arange(0, 24), 0.0)


@triton.jit
def breaks(x, y, L: tl.constexpr):
    for i in range(L):
        if i > 3:
            break
        tl.store(y + i, 1.0)


@triton.jit
def small_dot(x, y, L: tl.constexpr):
    m, k = tl.arange(0, 16), tl.arange(0, 8)
    a = tl.load(x + (m[:, None] + k[None, :]) % 37)
    tl.store(y + (m[:, None] + m[None, :]) % 37, tl.dot(a, tl.trans(a)))


def arrays() -> tuple[np.ndarray, np.ndarray]:
    return np.arange(37, dtype=np.float32), np.full(37, np.nan, np.float32)


def test_arrays_and_tensors_are_changed_in_place_and_helpers_travel_along() -> None:
    x, y = arrays()
    processes.interpret(halve, (3,), x, y, L=16)
    assert np.array_equal(y, x / 2)
    given, result = torch.arange(37.0), torch.empty(37)
    processes.interpret(halve, (3,), given, result, L=16)
    assert torch.equal(result, given / 2)


def test_what_a_mask_leaves_out_without_other_is_nan() -> None:
    x, y = arrays()
    processes.interpret(undefined, (1,), x, y, L=16)
    assert np.array_equal(y[:3], x[:3])
    assert np.isnan(y[3:]).all()


def test_a_single_number_that_a_mask_leaves_out_is_other_also_if_that_is_0() -> None:
    x, y = arrays()
    processes.interpret(none_of_these, (1,), x + 1, y, L=16)
    assert np.array_equal(y[:4], [0, 2, np.nan, 0], equal_nan=True)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (spill_over, r"program \(2\) writes 1 place outside of y"),
        (read_below, r"program \(0\) reads 1 place outside of x"),
        (odd_tile, r"fails at `tl.store\(y \+ tl.arange\(0, 24\), 0.0\)`: the sides of a tile are powers of two"),
        (lambda x, y, L: None, "decorate the function with @triton.jit"),
    ],
    ids=["store", "load", "tile", "no kernel"],
)
def test_the_interpreter_refuses_with_a_reason(kernel: Any, message: str) -> None:
    with pytest.raises(processes.Refused, match=message):
        processes.interpret(kernel, (3,), *arrays(), L=16)


@pytest.mark.parametrize(("kernel", "what"), [(endless, "did not end within 1 seconds"), (crash, "ended its process")])
def test_a_kernel_that_costs_its_process_is_told_and_not_tried_again(
    kernel: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(processes.SECONDS, "interpreter", 1.0)
    for _ in range(2):
        with pytest.raises(processes.Refused, match=what):
            processes.interpret(kernel, (1,), *arrays(), L=16)
        monkeypatch.setattr(processes, "_ask", lambda *_: pytest.fail("asked again"))
    monkeypatch.undo()
    x, y = arrays()
    processes.interpret(halve, (3,), x, y, L=16)
    assert np.array_equal(y, x / 2)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (odd_tile, r"at `tl.store\(y \+ tl.arange\(0, 24\), 0.0\)`: .*power of 2"),
        (breaks, r"at `break`: Triton compiles only a part of Python.*Break"),
        (small_dot, "sums over at least 16 numbers.*K >= 16"),
        (prints, r"at `print\(sorted\(\[L\]\)\)`: a kernel knows almost none of Python's built-in functions"),
    ],
    ids=["tile", "break", "dot", "python"],
)
def test_the_compiler_refuses_with_its_reason_in_plain_words(kernel: Any, message: str) -> None:
    with pytest.raises(processes.Refused, match=rf"a GPU's compiler refuses the kernel.*{message}"):
        processes.compiled(kernel, *arrays(), L=16)


@pytest.mark.parametrize("sm", [80, 90])
def test_a_kernel_is_compiled_for_the_chip_that_was_asked_for(sm: int) -> None:
    row, text = processes.compiled(halve, *arrays(), sm=sm, L=16)
    assert (row.sm, row.spills, row.dots) == (sm, 0, 0)
    assert row.registers > 0
    assert f".target sm_{sm}" in text["ptx"]
    assert "tt.load" in text["ttir"]


def test_a_home_that_cannot_be_written_to_does_not_stop_the_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "_running", {})
    monkeypatch.setenv("TRITON_CACHE_DIR", "/proc/1/cache")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    row, _ = processes.compiled(halve, *arrays(), L=64)
    assert row.code > 0
    assert list((tmp_path / "triton").iterdir())
    for process in processes._running.values():
        process.end()


def in_a_notebook(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`code` in a fresh process; `environment` may hide Triton from it."""
    hide = "import sys; sys.modules['triton'] = None\n" if environment.pop("hide", "") else ""
    command = [sys.executable, "-c", hide + textwrap.dedent(code)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


IMPORT = "from lecture17.triton_lab.interpreter import tl, triton\n"


def test_in_a_notebook_triton_is_an_interpreter() -> None:
    done = in_a_notebook(IMPORT + "import os; print(triton.knobs.runtime.interpret, os.environ['TRITON_INTERPRET'])")
    assert done.stdout.split() == ["True", "1"]


def test_a_compiler_that_was_loaded_before_stays_one_and_that_is_said() -> None:
    done = in_a_notebook("import triton\n" + IMPORT + "print(triton.knobs.runtime.interpret)", TRITON_INTERPRET="0")
    assert "restart the notebook" in done.stdout
    assert done.stdout.split()[-1] == "False"


def test_without_triton_the_first_cell_says_how_to_get_it() -> None:
    done = in_a_notebook(IMPORT, hide="yes")
    assert done.stderr.splitlines()[-1] == f"ImportError: {MISSING}"


def test_without_triton_a_check_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find: Callable[[str], Any] = lambda name: None  # noqa: E731
    monkeypatch.setattr(processes, "find_spec", find)
    monkeypatch.setattr(processes, "_running", {})
    with pytest.raises(processes.Refused, match="Triton is not installed"):
        processes.interpret(halve, (1,), *arrays(), L=32)
