"""What a mixer costs on this machine: time against length, decoding against context. Introduced in 05a_cost.

What is measured is one layer of the catalogue, float32, batch 1, forward pass without gradients; FLOPs come from
`lecture17.costs`. `lecture17.bench` makes its table with the same tools.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from ..costs import carried, flops
from ..formulas import Size
from ..inputs import Batch
from ..mixers import CHUNK, HEADS, MIXERS, D, Mixer, recurrences
from .processes import progress_bar

SLOW = 0.3  # seconds: a call that takes longer is made twice only
_SCORES = 2**27  # bytes that one matrix of scores may take


def inputs(mixer: str, N: int, heads: int = HEADS) -> tuple[Any, ...]:
    """Arguments of a mixer as a trained model might give them, (1, N, heads, D) each."""
    row = MIXERS[mixer]
    d_v = heads * D if row.per_channel else D
    batch = Batch(1, heads, heads)
    drawn = row.draw(np.random.default_rng(0), N, row.d_k, d_v, batch=batch, dtype=np.float32)
    return tuple(torch.from_numpy(a) for a in drawn.values())


def function(mixer: str, form: str) -> Callable[..., Any]:
    """A form of a mixer as it is measured, in chunks of `CHUNK` tokens."""
    call = MIXERS[mixer].function("ops", form)
    return partial(call, chunk_size=CHUNK) if form == "chunkwise" else call


def step(mixer: str, N: int) -> Callable[[], Any]:
    """One decoding step with the state that N tokens have left."""
    row = MIXERS[mixer]
    arguments = list(zip(row.arguments.values(), inputs(mixer, N + 1), strict=True))
    with torch.no_grad():
        before = (a[:, :N] if argument.per_token else a for argument, a in arguments)
        _, state = function(mixer, row.trained_form)(*before)
    token = [a[:, N].clone() if argument.per_token else a for argument, a in arguments]
    call = row.function("ops", "step")
    return torch.no_grad()(lambda: call(*token, state=state))


def step_seconds(mixer: str, N: int, budget: float) -> float:
    """Seconds of one decoding step with the state that N tokens have left."""
    return median_seconds(step(mixer, N), budget / 5)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal softmax attention as PyTorch computes it; it takes heads before time."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)


def median_seconds(call: Callable[[], Any], budget: float = 1.0) -> float:
    """Median time of a call, over 3 to 50 calls in about `budget` seconds, after one to warm up."""
    return statistics.median(in_turn([call], budget)[0])


def in_turn(calls: Sequence[Callable[[], Any]], budget: float = 1.0) -> list[list[float]]:
    """Seconds of each of some calls that take turns: 3 to 50 rounds in about `budget` seconds, after one to warm up.

    When the machine is slow for a while, it is slow for all of them, and each call is compared with its neighbors.
    """
    rounds: list[list[float]] = []
    for call in calls:
        call()
    while len(rounds) < 3 or (sum(map(sum, rounds)) < budget and len(rounds) < 50):
        seconds = []
        for call in calls:
            begin = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begin)
        rounds.append(seconds)
    return [list(of_call) for of_call in zip(*rounds, strict=True)]


def ratio(seconds: list[float], others: list[float]) -> float:
    """The median of the quotients, round by round."""
    return statistics.median(a / b for a, b in zip(seconds, others, strict=True))


def peak_memory() -> int:
    """The most memory that this process has had at one time, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux; its ru_maxrss would count what the parent process had, too
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) * 1024
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return int(info.peak_wset)
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS, in bytes


@dataclass(frozen=True)
class Series:
    """Seconds and FLOPs of one mixer in one form at each length."""

    N: np.ndarray
    seconds: np.ndarray
    flops: np.ndarray

    def slope(self, longest: int = 3) -> float:
        """p in time ∝ N^p, fitted to the `longest` lengths: a straight line on a log-log plot."""
        return float(np.polyfit(np.log(self.N[-longest:]), np.log(self.seconds[-longest:]), 1)[0])

    def counted_slope(self, longest: int = 3) -> float:
        """The same for the FLOPs that the formulas count."""
        return Series(self.N, self.flops, self.flops).slope(longest)


def sweep(lengths: Mapping[str, Iterable[int]]) -> dict[tuple[str, str], Series]:
    """Every mixer in every form, and softmax attention, at the lengths given for each form.

    Lengths at which the matrices of a parallel form would not fit into 128 MiB are left out: one matrix for all
    channels takes 4 N² bytes, and mixers with a decay per channel or per state entry hold one for each.
    """
    wanted = [("softmax", "parallel", N) for N in sorted({n for some in lengths.values() for n in some})]
    for mixer, row in recurrences().items():
        for form in row.forms:
            wanted += [(mixer, form, N) for N in lengths[form] if form != "parallel" or _fits(row, N)]
    found: dict[tuple[str, str], list[tuple[int, float, int]]] = {}
    with progress_bar(len(wanted), "measurements") as bar, torch.no_grad():
        for mixer, form, N in wanted:
            call, args = function(mixer, form), inputs(mixer, N, heads=1)
            counted = flops(mixer, form, N, MIXERS[mixer].d_k, D, CHUNK)
            found.setdefault((mixer, form), []).append((N, _seconds(partial(call, *args)), counted))
            bar.update()
    return {key: Series(*np.array(rows, float).T) for key, rows in found.items()}


def plain(found: Mapping[tuple[str, str], Series]) -> dict[str, dict[str, np.ndarray]]:
    """What `study.stored` can keep of a sweep."""
    return {" ".join(key): vars(series) | {"N": series.N.astype(int)} for key, series in found.items()}


def restored(kept: Mapping[str, Any]) -> dict[tuple[str, str], Series]:
    """The sweep that `plain` was made from."""
    found = {}
    for key, series in kept.items():
        mixer, form = key.split()
        found[mixer, form] = Series(**series)
    return found


def _fits(row: Mixer, N: int) -> bool:
    return 4 * N**2 * row.masks(Size(N, row.d_k, D)) <= _SCORES


def _seconds(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times) if min(times) > SLOW else median_seconds(call, budget=0.1)


def crossover(quick: Series, attention: Series) -> float:
    """The length from which on `quick` takes less time than `attention`, interpolated; nan if it never does."""
    N = np.intersect1d(quick.N, attention.N)
    ratio = np.log(quick.seconds[np.isin(quick.N, N)] / attention.seconds[np.isin(attention.N, N)])
    behind = np.flatnonzero(ratio >= 0)
    if len(behind) == 0:
        return float(N[0])
    last = behind[-1]
    if last + 1 == len(N):
        return float("nan")
    share = ratio[last] / (ratio[last] - ratio[last + 1])
    return float(N[last] * (N[last + 1] / N[last]) ** share)


def decoding(mixers: Iterable[str], contexts: Iterable[int]) -> dict[tuple[str, str], Series]:
    """Seconds of one step after each context, of 8 heads; `flops` holds the bytes that are carried instead."""
    found: dict[tuple[str, str], list[tuple[int, float, int]]] = {}
    for mixer in mixers:
        for N in contexts:
            seconds = _cached_attention(N) if MIXERS[mixer].grows else step_seconds(mixer, N, budget=0.5)
            numbers = HEADS * carried(mixer, N, MIXERS[mixer].d_k, D)
            found.setdefault((mixer, "step"), []).append((N, seconds, 4 * numbers))
    return {key: Series(*np.array(rows, float).T) for key, rows in found.items()}


def _cached_attention(N: int) -> float:
    """Seconds of attention of one new token over a cache of N keys and values, one block of memory for each head."""
    q, k, v = (t.transpose(1, 2).contiguous() for t in inputs("softmax", N))
    with torch.no_grad():
        attend = torch.nn.functional.scaled_dot_product_attention
        return median_seconds(lambda: attend(q[:, :, -1:], k, v), budget=0.1)
