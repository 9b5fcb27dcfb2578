"""What a mixer costs on this machine: time against length, reading a prompt, decoding. Introduced in 05a_cost.

What is measured is one layer of the catalogue, float32, forward pass without gradients, on one thread; FLOPs come from
`lecture17.costs`. `lecture17.bench` makes its table with the same tools.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from ..costs import flops
from ..formulas import Size
from ..inputs import Batch
from ..mixers import CHUNK, HEADS, MIXERS, D, Mixer, recurrences
from .processes import progress_bar

SLOW = 0.5  # seconds: a call that takes longer is made only once
_SCORES = 2**27  # bytes that one matrix of scores may take
# Seconds of this thread alone, so that other programs do not count; Windows counts them in steps that are too long.
_CLOCK = time.perf_counter if os.name == "nt" else time.thread_time


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread, without gradients."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)


def inputs(mixer: str, N: int, heads: int = HEADS, sequences: int = 1) -> tuple[Any, ...]:
    """Arguments of a mixer as a trained model might give them, (sequences, N, heads, D) each."""
    row = MIXERS[mixer]
    d_v = heads * D if row.per_channel else D
    batch = Batch(sequences, heads, heads)
    drawn = row.draw(np.random.default_rng(0), N, row.d_k, d_v, batch=batch, dtype=np.float32)
    return tuple(torch.from_numpy(a) for a in drawn.values())


def function(mixer: str, form: str) -> Callable[..., Any]:
    """A form of a mixer as it is measured, in chunks of `CHUNK` tokens."""
    call = MIXERS[mixer].function("ops", form)
    return partial(call, chunk_size=CHUNK) if form == "chunkwise" else call


def step(mixer: str, N: int, sequences: int = 1) -> Callable[[], Any]:
    """One decoding step with the state that N tokens have left: call it for (y, state)."""
    row = MIXERS[mixer]
    arguments = list(zip(row.arguments.values(), inputs(mixer, N + 1, sequences=sequences), strict=True))
    with torch.no_grad():
        before = (a[:, :N] if argument.per_token else a for argument, a in arguments)
        _, state = function(mixer, row.trained_form)(*before)
    token = [a[:, N].clone() if argument.per_token else a for argument, a in arguments]
    call = row.function("ops", "step")
    return torch.no_grad()(lambda: call(*token, state=state))


def cached_step(N: int, sequences: int, kv_heads: int) -> Callable[[], Any]:
    """One decoding step of softmax attention after N tokens: call it for (y, (keys, values)).

    The cache has room for all N + 1, in one block of memory for each head of keys and values. The queries of a group,
    which share such a head, are the rows of one product, so the cache is read once.
    """
    q, k, v = inputs("softmax", N + 1, sequences=sequences)
    q = q[:, -1].unflatten(1, (kv_heads, -1))  # (b, kv, group, d)
    keys, values = (x[:, :, :kv_heads].transpose(1, 2).contiguous() for x in (k, v))  # (b, kv, N + 1, d)
    k_t, v_t = keys[:, :, N].clone(), values[:, :, N].clone()

    def call() -> Any:
        keys[:, :, N], values[:, :, N] = k_t, v_t
        return torch.nn.functional.scaled_dot_product_attention(q, keys, values), (keys, values)

    return call


def read(mixer: str, form: str, N: int) -> Callable[[], Any]:
    """Reading a prompt of N tokens, after which the next can be decoded: call it for (y, state), or (y, cache)."""
    args = inputs(mixer, N)
    if not MIXERS[mixer].grows:
        return partial(function(mixer, form), *args)

    def call() -> Any:
        q, k, v = (x.transpose(1, 2) for x in args)
        cache = k.contiguous(), v.contiguous()
        return torch.nn.functional.scaled_dot_product_attention(q, *cache, is_causal=True), cache

    return call


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal softmax attention as PyTorch computes it; it takes heads before time."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)


def median_seconds(call: Callable[[], Any], budget: float = 1.0) -> float:
    """Median time of a call, over 3 to 50 calls in about `budget` seconds, after one to warm up."""
    return statistics.median(in_turn([call], budget)[0])


def in_turn(
    calls: Sequence[Callable[[], Any]], budget: float = 1.0, clock: Callable[[], float] = time.perf_counter
) -> list[list[float]]:
    """Seconds of each of some calls that take turns: 3 to 50 rounds in about `budget` seconds, after one to warm up.

    When the machine is slow for a while, it is slow for all of them, and each call is compared with its neighbors.
    """
    rounds: list[list[float]] = []
    for call in calls:
        call()
    while len(rounds) < 3 or (sum(map(sum, rounds)) < budget and len(rounds) < 50):
        seconds = []
        for call in calls:
            begin = clock()
            call()
            seconds.append(clock() - begin)
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
    """Seconds of one mixer in one form at each length, and what is counted: FLOPs, or the bytes that are kept."""

    N: np.ndarray
    seconds: np.ndarray
    counted: np.ndarray

    def slope(self, longest: int = 3) -> float:
        """p in time ∝ N^p, fitted to the `longest` lengths: a straight line on a log-log plot."""
        return float(np.polyfit(np.log(self.N[-longest:]), np.log(self.seconds[-longest:]), 1)[0])

    def counted_slope(self, longest: int = 3) -> float:
        """The same for what is counted."""
        return Series(self.N, self.counted, self.counted).slope(longest)

    def at(self, N: int) -> float:
        """Seconds at a length that was measured."""
        return float(self.seconds[self.N == N].item())


@one_thread()
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
    with progress_bar(len(wanted), "measurements") as bar:
        for mixer, form, N in wanted:
            call, args = function(mixer, form), inputs(mixer, N, heads=1)
            counted = flops(mixer, form, N, MIXERS[mixer].d_k, D, CHUNK)
            found.setdefault((mixer, form), []).append((N, _seconds(partial(call, *args)), counted))
            bar.update()
    return _series(found)


@one_thread()
def passes(lengths: Iterable[int]) -> dict[tuple[str, str], Series]:
    """The product of two N × N matrices entry by entry, into a new matrix and into one at hand: N² entries."""
    found: dict[tuple[str, str], list[tuple[int, float, int]]] = {}
    for N in lengths:
        a, b, c = (torch.ones(N, N) for _ in range(3))
        for kind, call in {"new": partial(torch.mul, a, b), "at-hand": partial(torch.mul, a, b, out=c)}.items():
            found.setdefault(("product", kind), []).append((N, _seconds(call), N * N))
    return _series(found)


def _series(found: Mapping[tuple[str, str], list[tuple[int, float, int]]]) -> dict[tuple[str, str], Series]:
    return {key: Series(*np.array(rows, float).T) for key, rows in found.items()}


def plain(found: Mapping[tuple[str, str], Series]) -> dict[str, dict[str, np.ndarray]]:
    """What `study.stored` can keep of a sweep."""
    whole = {key: {"N": s.N.astype(int), "counted": s.counted.astype(int)} for key, s in found.items()}
    return {" ".join(key): vars(series) | whole[key] for key, series in found.items()}


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
    """The least of some calls: what others do on the machine can only add to a time."""
    begin = _CLOCK()
    call()
    once = _CLOCK() - begin
    return min(once, *in_turn([call], 0.1, _CLOCK)[0]) if once < SLOW else once


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


@one_thread()
def reading(wanted: Iterable[tuple[str, str]], lengths: Iterable[int]) -> dict[tuple[str, str], Series]:
    """Seconds to `read` a prompt of each length by each (mixer, form), of 8 heads, and the bytes that this leaves."""
    some = list(lengths)
    calls = {(mixer, form, N): partial(read, mixer, form, N) for mixer, form in wanted for N in some}
    return _kept_by(calls, "prompts")


@one_thread()
def decoding(decoders: Iterable[str], contexts: Mapping[int, Iterable[int]]) -> dict[tuple[str, str], Series]:
    """Seconds of the step that makes the N-th token, of 8 heads, and the bytes that are kept after it.

    decoders    mixers; "softmax:2" is attention whose 8 heads of queries share 2 heads of keys and values
    contexts    lengths N for each number of sequences; of 8, the results are under (decoder, "batch-8")
    """
    calls: dict[tuple[str, str, int], Callable[[], Callable[[], Any]]] = {}
    for decoder in decoders:
        mixer, _, kv_heads = decoder.partition(":")
        for sequences, lengths in contexts.items():
            for N in lengths:
                calls[decoder, f"batch-{sequences}", N] = (
                    partial(cached_step, N - 1, sequences, int(kv_heads or HEADS))
                    if MIXERS[mixer].grows
                    else partial(step, mixer, N - 1, sequences)
                )
    return _kept_by(calls, "decoding")


def _kept_by(
    wanted: Mapping[tuple[str, str, int], Callable[[], Callable[[], Any]]], title: str
) -> dict[tuple[str, str], Series]:
    """Each call's seconds, and the bytes of the state or cache that it returns beside y."""
    found: dict[tuple[str, str], list[tuple[int, float, int]]] = {}
    with progress_bar(len(wanted), title) as bar:
        for (name, kind, N), make in wanted.items():
            call = make()
            _, state = call()
            kept = sum(part.nbytes for part in (state if isinstance(state, tuple) else (state,)))
            found.setdefault((name, kind), []).append((N, _seconds(call), kept))
            bar.update()
    return _series(found)
