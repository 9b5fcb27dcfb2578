"""`python -m lecture17 bench`: every mixer in every form on this machine, beside its own matrix products and attention.

Times are medians over repeats, in float32, batch 1, forward pass without gradients. Two yardsticks are measured in the
same run: batched 64 × 64 × 64 products on operands that stay in the cache, which take turns with what is measured, and
causal scaled_dot_product_attention at the same N. What torch.bmm reaches when it makes the products of a whole sequence
at once has rows of its own. Machines are quicker at one minute than at the next, and by up to two times: so rows are
compared by their times in units of the products beside them, or take turns themselves. FLOPs are those of
`lecture17.costs`; shares are of what matrix products do. Memory is the peak of a process of its own beyond what the
inputs take.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import torch
from torch import Tensor

from .costs import work
from .experiments.measure import function, in_turn, inputs, peak_memory, ratio, step
from .mixers import CHUNK, FORMS, HEADS, MIXERS, D, recurrences, with_kernels
from .ops.ssd import listing

MEMORY_FROM = 16384  # tokens: below, what the process itself takes would hide the arrays
# By form; where every channel has a matrix of its own, the parallel form is for short sequences only.
LENGTHS = {"parallel": (1024,), "channels": (64,), "recurrent": (4096,), "chunkwise": (1024, 4096, 16384, 65536)}
QUICK = {"parallel": (64,), "channels": (16,), "recurrent": (128,), "chunkwise": (256,)}


@dataclass(frozen=True)
class Row:
    """One measurement; what does not apply is None."""

    mixer: str
    form: str
    N: int
    seconds: float
    in_products: float | None = None  # seconds in units of those of `Products` in turn with it
    gflop: float | None = None
    share_of_bmm: float | None = None  # of the rate of batched 64 × 64 × 64 products
    times_sdpa: float | None = None  # in_products of attention at this N divided by this one: above 1 is quicker
    times_loop: float | None = None  # seconds of the recurrent form divided by these, in turn
    growth: float | None = None  # these seconds divided by those for a quarter of the tokens, in turn
    backward: float | None = None  # seconds of a backward pass divided by those of the forward pass
    memory: float | None = None  # peak extra bytes divided by the bytes of inputs and outputs


def _call(mixer: str, form: str) -> Callable[..., Any]:
    return four_einsums if form == "einsums" else function(mixer, form)


def four_einsums(x: Tensor, log_a: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """SSD's listing, whose four steps take all chunks of the sequence at once: what leaves the cache."""
    return listing(x, log_a, B, C, x.new_zeros(len(x), x.shape[2], B.shape[-1], x.shape[-1]), CHUNK)


class Products:
    """Batched 64 × 64 × 64 products, so many of so many matrices: as they stand, their operands stay in the cache."""

    def __init__(self, matrices: int = 64, products: int = 80) -> None:
        self.A, self.B, self.out = torch.randn(3, matrices, 64, 64)
        self.products = products
        self.flops = products * matrices * 2 * 64**3

    def __call__(self) -> None:
        for _ in range(self.products):
            torch.bmm(self.A, self.B, out=self.out)


def products_of_a_sequence(N: int, budget: float) -> Row:
    """What the four products of SSD cost when each is made for all chunks at once: their operands leave the cache."""
    of_sequence, yardstick = Products(HEADS * N // CHUNK, 4), Products()
    times, beside = in_turn([of_sequence, yardstick], budget)
    seconds, in_products = statistics.median(times), ratio(times, beside)
    share = of_sequence.flops / yardstick.flops / in_products
    return Row("products", "bmm", N, seconds, in_products, of_sequence.flops / 1e9, share)


def measure(mixer: str, form: str, N: int, sdpa: float | None, budget: float) -> Row:
    """One row: time, rate, the ratio of backward to forward, and memory of long sequences."""
    row, call, args = MIXERS[mixer], _call(mixer, form), inputs(mixer, N)
    forward = torch.no_grad()(lambda: call(*args))
    yardstick = Products(products=max(4, round(80 * budget)))
    calls: dict[str, Callable[[], Any]] = {"it": forward, "products": yardstick}
    if form == "chunkwise" and N in LENGTHS["recurrent"]:
        loop = function(mixer, "recurrent")
        calls["loop"] = torch.no_grad()(lambda: loop(*args))
    if form == "chunkwise" and LENGTHS["chunkwise"][-1] == N:
        shorter = inputs(mixer, N // 4)
        calls["shorter"] = torch.no_grad()(lambda: call(*shorter))
    of = dict(zip(calls, in_turn(list(calls.values()), budget), strict=True))
    times = of["it"]
    seconds, in_products = statistics.median(times), ratio(times, of["products"])
    done = work(mixer, "chunkwise" if form == "einsums" else form, N, row.d_k, D, CHUNK)
    backward = None
    if form == "chunkwise" and N <= 16384:
        leaves = tuple(a.clone().requires_grad_() for a in args)
        y, _ = call(*leaves)
        dy = torch.randn_like(y)
        backward = ratio(*in_turn([lambda: torch.autograd.grad(call(*leaves)[0], leaves, dy), forward], budget)) - 1
    return Row(
        mixer,
        form,
        N,
        seconds,
        in_products,
        gflop=HEADS * round(done.total) / 1e9,
        share_of_bmm=None if row.per_channel else HEADS * done.products / yardstick.flops / in_products,
        times_sdpa=None if sdpa is None else sdpa / in_products,
        times_loop=ratio(of["loop"], times) if "loop" in of else None,
        growth=ratio(times, of["shorter"]) if "shorter" in of else None,
        backward=backward,
        memory=extra_memory(mixer, form, N) if N >= MEMORY_FROM and not row.grows else None,
    )


def extra_memory(mixer: str, form: str, N: int) -> float:
    """Peak memory of one call beyond its inputs, in its own process, divided by the bytes of inputs and outputs."""
    code = f"from lecture17.bench import print_extra_memory; print_extra_memory({mixer!r}, {form!r}, {N})"
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    return float(done.stdout)


def print_extra_memory(mixer: str, form: str, N: int) -> None:
    """What `extra_memory` runs in its process."""
    call = _call(mixer, form)
    with torch.no_grad():
        call(*inputs(mixer, CHUNK))  # what is loaded once
        args = inputs(mixer, N)
        before = psutil.Process().memory_info().rss
        outputs = call(*args)
    print(max(0, peak_memory() - before) / _bytes((args, outputs)))


def _bytes(values: Any) -> int:
    if isinstance(values, Tensor):
        return values.numel() * values.element_size()
    return sum(map(_bytes, values)) if isinstance(values, tuple) else 0


def run(quick: bool = False) -> Iterator[Row]:
    """Measure every mixer and form, a row at a time."""
    lengths, budget = (QUICK, 0.05) if quick else (LENGTHS, 1.0)
    sdpa: dict[int, float | None] = {}
    for N in sorted({N for form in FORMS for N in lengths[form]}):
        if N <= 16384:  # beyond, attention alone would take minutes
            attention = measure("softmax", "parallel", N, None, budget)
            sdpa[N] = attention.in_products
            yield attention
    for N in lengths["chunkwise"]:
        yield products_of_a_sequence(N, budget)
        if N <= 16384:
            yield measure("ssd", "einsums", N, sdpa[N], budget)
    for mixer, row in recurrences().items():
        for form in row.forms:
            for N in lengths["channels"] if form == "parallel" and row.per_channel else lengths[form]:
                yield measure(mixer, form, N, sdpa.get(N), budget)
        after = (16, lengths["chunkwise"][-1])
        steps = in_turn([step(mixer, N) for N in after], budget / 2)
        yield from (Row(mixer, "step", N, statistics.median(seconds)) for N, seconds in zip(after, steps, strict=True))


def backends(device: str, quick: bool = False) -> Iterator[Row]:
    """The mixers with kernels, chunkwise in PyTorch and, on a GPU, in Triton: a row each, with the backward pass.

    On a GPU also in bfloat16, beside PyTorch's causal attention.
    """
    lengths, budget = (QUICK, 0.05) if quick else (LENGTHS, 1.0)
    ways = [("torch", torch.float32)]
    if device == "cuda":
        ways += [("triton", torch.float32), ("triton", torch.bfloat16)]
        for N in lengths["chunkwise"]:
            yield measure_backend("softmax", N, "torch", torch.bfloat16, device, budget)
    for mixer in with_kernels():
        for N in lengths["chunkwise"]:
            for backend, dtype in ways:
                yield measure_backend(mixer, N, backend, dtype, device, budget)


def measure_backend(mixer: str, N: int, backend: str, dtype: torch.dtype, device: str, budget: float) -> Row:
    """One row of `backends`."""
    form, options = ("parallel", {}) if mixer == "softmax" else ("chunkwise", {"backend": backend})
    call = function(mixer, form)
    leaves = [a.to(device, dtype).requires_grad_() for a in inputs(mixer, N)]

    def forward() -> Tensor:
        results = finished(call(*leaves, **options))
        return results if mixer == "softmax" else results[0]

    dy = torch.randn_like(forward())
    both = [torch.no_grad()(forward), lambda: finished(torch.autograd.grad(forward(), leaves, dy))]
    alone, with_backward = in_turn(both, budget)
    backward = ratio(with_backward, alone) - 1
    words = [form, backend, *(["bf16"] if dtype == torch.bfloat16 else [])]
    return Row(mixer, ", ".join(words), N, statistics.median(alone), backward=backward)


def finished(results: Any) -> Any:
    """The results, once the GPU that they may be on has them."""
    if results[0].is_cuda:
        torch.cuda.synchronize()
    return results


def machine(gpu: bool = False) -> str:
    """The machine in words, for a caption: its processor, or its GPU."""
    chip = torch.cuda.get_device_name() if gpu else platform.machine()
    cores, threads = psutil.cpu_count(logical=False), torch.get_num_threads()
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__.split('+')[0]}"
    return f"{chip}, {cores or '?'} cores, {threads} threads, {platform.system()}, {versions}, float32"


def to_json(rows: list[Row], gpu: bool = False) -> str:
    """The rows and the machine as JSON."""
    return json.dumps({"machine": machine(gpu), "rows": [asdict(r) for r in rows]}, indent=1) + "\n"


HEADER = ("mixer", "form", "N", "ms", "GFLOP", "of bmm", "× sdpa", "× loop", "÷ N/4", "backward", "memory")
_FORMATS = ("", "", ",", ".3g", ".3g", ".0%", ".2g", ".2g", ".1f", ".1f", ".2f")


def cells(row: Row) -> tuple[str, ...]:
    """A row as it is printed, in the order of HEADER."""
    numbers = row.mixer, row.form, row.N, 1e3 * row.seconds, row.gflop, row.share_of_bmm, row.times_sdpa
    more = row.times_loop, row.growth, row.backward, row.memory
    return tuple("" if x is None else format(x, form) for x, form in zip(numbers + more, _FORMATS, strict=True))
