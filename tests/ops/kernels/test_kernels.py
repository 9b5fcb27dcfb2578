"""Triton kernels without a GPU: in the interpreter they compute what `ops` does, and the compiler takes them."""

import os
import subprocess
import sys

import pytest
import torch

from lecture17.mixers import with_kernels
from lecture17.ops import ssd
from tests.conftest import ROOT

pytest.importorskip("triton", reason="Triton is not installed: it is made for Linux")


def run_agreement(**environment: str) -> str:
    """The tests in agreement.py in a process of their own; its output."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/ops/kernels/agreement.py"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    return done.stdout


def test_in_the_interpreter_kernels_compute_what_ops_do() -> None:
    run_agreement(TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: kernels are interpreted and compiled, not run")
def test_on_a_gpu_kernels_compute_what_ops_do() -> None:
    run_agreement(TRITON_INTERPRET="0")


@pytest.mark.parametrize(
    ("sm", "dtype", "d"),
    [(sm, dtype, 128) for sm in (80, 90) for dtype in ("float32", "bfloat16")]
    + [(80, "float32", 64), (90, "bfloat16", 64)],
)
def test_every_kernel_fits_the_registers_and_the_chip(sm: int, dtype: str, d: int) -> None:
    from lecture17.triton_lab import compiler_report

    rows = list(compiler_report.report(architectures=[sm], dtypes=[getattr(torch, dtype)], d_k=d, d_v=d))
    for row in rows:
        assert row.code > 1000, row
        # A100's products of float32 hold their factors in registers, where H100's read them from shared memory.
        assert row.spills <= (96 if (sm, dtype, row.kernel[:3]) == (80, "float32", "ssd") else 0), row
        assert 16 <= row.registers <= 255, row
        assert row.shared <= compiler_report.SHARED_LIMIT[sm], row
        if row.dots and row.dtype == "bf16":
            assert row.mma > 0, row
    # RWKV-7's tokens come one after another: it has no matrix product that tensor cores could take.
    products = {mixer: any(r.dots for r in rows if r.kernel.startswith(f"{mixer}.")) for mixer in with_kernels()}
    assert products == {"ssd": True, "gla": True, "rwkv7": False}


@pytest.mark.skipif(torch.cuda.is_available(), reason="tensors on this machine's GPU run")
def test_on_a_cpu_auto_is_torch_and_triton_says_what_it_needs() -> None:
    x, B, C = torch.randn(3, 1, 20, 2, 16)
    args = (x, -torch.rand(1, 20, 2), B, C)
    for got, want in zip(ssd.chunkwise(*args), ssd.chunkwise(*args, backend="torch"), strict=True):
        assert torch.equal(got, want)
    with pytest.raises(ValueError, match=r'backend="triton" .* CUDA .*TRITON_INTERPRET=1'):
        ssd.chunkwise(*args, backend="triton")
