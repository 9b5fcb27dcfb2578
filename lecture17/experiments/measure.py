"""What a mixer costs on this machine: time against length, decoding against context. Introduced in 05a_cost.

Times come from `lecture17.bench`, FLOPs from `lecture17.flops`; here they are put into series. One head with 64 numbers
in a key and in a value, float32, forward pass without gradients.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch

from .. import bench
from ..flops import FORMS, carried, flops
from .training import progress_bar

HEADS = 1
SLOW = 0.3  # seconds: a call that takes longer is made twice only
_SCORES = 2**27  # bytes that one matrix of scores may take


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
    channels takes 4 N² bytes, and mixers that decay by channel, or by number of the state, hold one for each.
    """
    wanted = [("softmax", "parallel", N) for N in sorted({n for some in lengths.values() for n in some})]
    for mixer in bench.MIXERS:
        for form in FORMS:
            if hasattr(import_module(f"lecture17.ops.{mixer}"), form):
                wanted += [(mixer, form, N) for N in lengths[form] if form != "parallel" or _fits(mixer, N)]
    found: dict[tuple[str, str], list[tuple[int, float, int]]] = {}
    with progress_bar(len(wanted), "measurements") as bar, torch.no_grad():
        for mixer, form, N in wanted:
            call, args = bench.function(mixer, form), bench.inputs(mixer, N, heads=HEADS)
            d_k = 16 if mixer == "selective_scan" else bench.D
            counted = flops(mixer, form, N, d_k, bench.D, bench.CHUNK)
            found.setdefault((mixer, form), []).append((N, _seconds(partial(call, *args)), counted))
            bar.update()
    return {key: Series(*np.array(rows, float).T) for key, rows in found.items()}


def _fits(mixer: str, N: int) -> bool:
    channels = {"selective_scan": 16 * bench.D, "wkv4": bench.D, "gla": bench.D}.get(mixer, 1)
    return 4 * N**2 * channels <= _SCORES


def _seconds(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times) if min(times) > SLOW else bench.median_seconds(call, budget=0.1)


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


def decoding(mixers: Iterable[str], contexts: Iterable[int]) -> dict[str, Series]:
    """Seconds of one step after each context, of 8 heads; `flops` holds the bytes that are carried instead."""
    found: dict[str, list[tuple[int, float, int]]] = {}
    for mixer in mixers:
        for N in contexts:
            seconds = _cached_attention(N) if mixer == "softmax" else bench.step_seconds(mixer, N, budget=0.5)
            d_k = 16 if mixer == "selective_scan" else bench.D
            found.setdefault(mixer, []).append((N, seconds, 4 * bench.HEADS * carried(mixer, N, d_k, bench.D)))
    return {mixer: Series(*np.array(rows, float).T) for mixer, rows in found.items()}


def _cached_attention(N: int) -> float:
    """Seconds of attention of one new token over a cache of N keys and values."""
    q, k, v = (t.transpose(1, 2) for t in bench.inputs("softmax", N))
    with torch.no_grad():
        attend = torch.nn.functional.scaled_dot_product_attention
        return bench.median_seconds(lambda: attend(q[:, :, -1:], k, v), budget=0.1)
