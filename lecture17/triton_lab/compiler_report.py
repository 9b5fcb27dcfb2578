"""What the compiler makes of every kernel, for chips that need not be present: registers, spills, memory, products.

    from lecture17.triton_lab.compiler_report import report, table
    print(table(report()))

The launches of a forward and a backward pass are noted instead of made. Each is compiled with Triton's own ptxas for
the requested architecture. The tools that read the machine code also come with Triton.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ..inputs import Batch
from ..mixers import MIXERS, with_kernels
from ..ops.kernels.tools import INTERPRETED, Launch, noted_launches

SHARED_LIMIT = {80: 163 * 1024, 90: 227 * 1024}  # bytes that one program may use on A100 and H100
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float64: "fp64"}


@dataclass(frozen=True)
class Row:
    """One kernel compiled for one architecture; spills and shared memory in bytes."""

    kernel: str
    sm: int
    dtype: str
    registers: int  # per thread, at most 255
    spills: int
    shared: int
    dots: int  # matrix products in the kernel's source, as Triton understands it
    mma: int  # tensor-core instructions in the machine code, on numbers of this type (tf32 for float32)
    code: int  # bytes of machine code


def launches(mixer: str, d_k: int, d_v: int, chunk_size: int, dtype: torch.dtype) -> list[Launch]:
    """All that a forward and a backward pass of the mixer would launch."""
    kernels = import_module(f"lecture17.ops.kernels.{mixer}")
    drawn = MIXERS[mixer].draw(np.random.default_rng(0), 256, d_k, d_v, batch=Batch())  # values do not matter
    args = [torch.tensor(x, dtype=dtype, requires_grad=True) for x in drawn.values()]
    with noted_launches() as noted:
        y, _ = kernels.chunkwise(*args, torch.zeros(1, 1, d_k, d_v), chunk_size)
        y.sum().backward()
    return noted


def machine_code(launch: Launch, sm: int) -> Any:
    """One launch, compiled for architecture `sm` (90 is H100) by Triton: its `CompiledKernel`."""
    kernel, args, constants = launch
    options = {name: constants[name] for name in ("num_warps", "num_stages") if name in constants}
    sizes = {name: value for name, value in constants.items() if name not in options}
    values = dict(zip(kernel.arg_names, args, strict=False))
    signature = dict.fromkeys(kernel.arg_names, "constexpr")
    signature |= {n: f"*{TYPES[a.dtype]}" if isinstance(a, Tensor) else "i32" for n, a in values.items()}
    # What a launch on a GPU would also tell the compiler: these addresses and lengths are multiples of 16.
    aligned = {(i,): [["tt.divisibility", 16]] for i, a in enumerate(args) if isinstance(a, Tensor) or a % 16 == 0}
    source = ASTSource(kernel, signature, sizes, aligned)
    return triton.compile(source, target=GPUTarget("cuda", sm, 32), options=options)


def measured(launch: Launch, made: Any, sm: int) -> Row:
    """What `machine_code` made of a launch, in numbers."""
    code = made.asm["cubin"]
    dtype = next(TYPES[a.dtype] for a in launch[1] if isinstance(a, Tensor))
    product = rf"\bHG?MMA\S*\.{'BF16' if dtype == 'bf16' else 'TF32'}\b"
    return Row(
        _name(launch),
        sm,
        dtype,
        *_resources(code),
        made.metadata.shared,
        len(re.findall(r"\btt\.dot\b", made.asm["ttir"])),
        len(re.findall(product, _tool("nvdisasm", code))),
        len(code),
    )


def _name(launch: Launch) -> str:
    kernel, _, constants = launch
    module = kernel.fn.__module__.rpartition(".")[2]
    flags = [name.lower() for name, value in constants.items() if value is True]
    return " ".join([f"{module}.{kernel.fn.__name__}", *flags])


def _tool(name: str, code: bytes, *options: str) -> str:
    program = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        return subprocess.run([program, *options, file.name], capture_output=True, encoding="utf-8", check=True).stdout


def _resources(code: bytes) -> tuple[int, int]:
    """Registers per thread, and the bytes that did not fit in them and went to its stack."""
    usage = _tool("cuobjdump", code, "--dump-resource-usage")
    found = dict(re.findall(r"\b(REG|STACK|LOCAL):(\d+)", usage))
    return int(found["REG"]), int(found["STACK"]) + int(found["LOCAL"])


def report(
    mixers: Sequence[str] = with_kernels(),
    architectures: Sequence[int] = tuple(SHARED_LIMIT),
    dtypes: Sequence[torch.dtype] = (torch.float32, torch.bfloat16),
    d_k: int = 128,
    d_v: int = 64,
    chunk_size: int = 64,
) -> Iterator[Row]:
    """Every kernel of the mixers, forward and backward, compiled for every architecture and type.

    Raises RuntimeError in Triton's interpreter, where nothing can be compiled.
    """
    if INTERPRETED:
        raise RuntimeError("Triton runs as an interpreter here: expected a process without TRITON_INTERPRET")
    for mixer in mixers:
        for dtype in dtypes:
            unique = {}
            for launch in launches(mixer, d_k, d_v, chunk_size, dtype):
                unique[_name(launch)] = launch
            for sm in architectures:
                yield from (measured(launch, machine_code(launch, sm), sm) for launch in unique.values())


def table(rows: Iterable[Row]) -> str:
    """The rows as text in columns, under a line with their names."""
    lines = [[field.name for field in fields(Row)], *([str(x) for x in astuple(row)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(line, widths, strict=True)).rstrip() for line in lines)
