"""One sequence on several processes: SSD sends a state, ring attention all keys and values. Introduced in 04d.

    torchrun --standalone --nproc-per-node 2 -m lecture17.experiments.sequence_parallel --tokens 4096

Every process draws the same sequence, works on its own segment, and compares it with the whole computed alone. The
first one prints a line of JSON: the largest relative errors, and the bytes that each process has sent.
"""

import argparse
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor

from ..ops import ssd
from ..ops.distributed import ssd_chunkwise
from .measure import attention


class Wire:
    """Bytes that this process has sent to its neighbors; `marked` has those between one mark and the next, by name."""

    def __init__(self) -> None:
        self.bytes = 0
        self.marked: dict[str, float] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count what torch.distributed sends from this process inside the block."""
        send = dist.send

        def counting(tensor: Tensor, *args: Any, **options: Any) -> None:
            self.bytes += tensor.numel() * tensor.element_size()
            send(tensor, *args, **options)

        with mock.patch.object(dist, "send", counting):
            yield

    def mark(self, name: str) -> None:
        self.marked[name], self.bytes = self.bytes, 0


def segment(tokens: int, rank: int, processes: int) -> slice:
    """The tokens of one process: as equal as possible, the longer segments first."""
    each, rest = divmod(tokens, processes)
    start = rank * each + min(rank, rest)
    return slice(start, start + each + (rank < rest))


def ring_attention(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
    """Causal softmax attention of a sequence that is cut across processes; q, k, v: (batch, time, heads, d),
    lengths: how many tokens each process has.

    The blocks of keys and values pass from neighbor to neighbor, and each process adds every block that comes by
    to a running maximum, sum of weights and sum of weighted values. Blocks of later tokens, which a causal mask hides,
    are not sent.
    Source: Liu, Zaharia and Abbeel, arXiv 2310.01889.
    """
    rank, last = dist.get_rank(), dist.get_world_size() - 1
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # (b, h, t, d)
    best = torch.full((*q.shape[:-1], 1), -torch.inf, dtype=q.dtype)
    weights, y = torch.zeros_like(best), torch.zeros_like(q)
    for source in range(rank, -1, -1):
        if source < rank:
            k, v = q.new_empty(2, *k.shape[:2], lengths[source], k.shape[3])
            dist.recv(k, rank - 1)
            dist.recv(v, rank - 1)
        if rank < last:
            dist.send(k.contiguous(), rank + 1)
            dist.send(v.contiguous(), rank + 1)
        scores = q @ k.mT * q.shape[-1] ** -0.5
        if source == rank:
            scores = scores.masked_fill(~torch.ones(scores.shape[-2:]).tril().bool(), -torch.inf)
        higher = torch.maximum(best, scores.amax(-1, keepdim=True))
        found, shrunk = (scores - higher).exp(), (best - higher).exp()
        weights, y, best = shrunk * weights + found.sum(-1, keepdim=True), shrunk * y + found @ v, higher
    return (y / weights).transpose(1, 2)


def draw(options: argparse.Namespace) -> dict[str, Tensor]:
    """The whole sequence, the same in every process, and how a loss weighs the outputs and the last state."""
    generator = torch.Generator().manual_seed(0)
    batch, tokens, heads, d_state, d = (getattr(options, n) for n in ("batch", "tokens", "heads", "d_state", "d_head"))
    shapes = {
        "x": (batch, tokens, heads, d),
        "log_a": (batch, tokens, heads),
        "B": (batch, tokens, options.groups, d_state),
        "C": (batch, tokens, options.groups, d_state),
        "keys": (batch, tokens, heads, d),
        "queries": (batch, tokens, heads, d),
        "dy": (batch, tokens, heads, d),
        "dstate": (batch, heads, d_state, d),
    }
    drawn = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return drawn | {"log_a": drawn["log_a"].abs() * (-4 / tokens)}  # no segment is forgotten by the end


Results = dict[str, Tensor]


def run_ssd(function: Callable[..., Any], drawn: Mapping[str, Tensor], part: slice, last: bool, wire: Wire) -> Results:
    """Outputs and gradients of a part, with the last state if it ends the sequence; `wire` counts the bytes sent."""
    leaves = {name: drawn[name][:, part].clone().requires_grad_() for name in ("x", "log_a", "B", "C")}
    y, state = function(*leaves.values())
    wire.mark("forward")
    loss = (y * drawn["dy"][:, part]).sum() + ((state * drawn["dstate"]).sum() if last else 0)
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    wire.mark("backward")
    return {"y": y, "last state": state} | {f"d{n}": g for n, g in zip(leaves, gradients, strict=True)}


def compare(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """SSD and attention on this process's segment: errors against the whole computed here alone, and bytes sent."""
    rank, processes = dist.get_rank(), dist.get_world_size()
    segments = [segment(options.tokens, r, processes) for r in range(processes)]
    mine, last, drawn = segments[rank], rank == processes - 1, draw(options)
    alone = run_ssd(ssd.chunkwise, drawn, slice(None), True, Wire())
    q, k, v = drawn["queries"], drawn["keys"], drawn["x"]
    alone["ring attention"] = attention(q, k, v)

    if rank == options.kill:
        os.kill(os.getpid(), signal.SIGKILL)
    if rank == options.stall:
        time.sleep(10 * options.timeout)
    wire = Wire()
    with wire.watched():
        found = run_ssd(ssd_chunkwise, drawn, mine, last, wire)
        lengths = [s.stop - s.start for s in segments]
        found["ring attention"] = ring_attention(q[:, mine], k[:, mine], v[:, mine], lengths)
        wire.mark("ring attention")
    errors = {n: _error(found[n], whole[:, mine], whole) for n, whole in alone.items() if n != "last state"}
    if last:
        errors["last state"] = _error(found["last state"], alone["last state"], alone["last state"])
    return {"errors": errors, "bytes": wire.marked}


def _error(found: Tensor, expected: Tensor, whole: Tensor) -> float:
    """Largest difference, relative to the largest number of the whole."""
    return ((found - expected).abs().max() / whole.abs().max()).item()


def main() -> None:
    parser = argparse.ArgumentParser(description="One sequence on several processes, compared with one process.")
    sizes = {"tokens": 4096, "batch": 1, "heads": 4, "groups": 1, "d_state": 64, "d_head": 64}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--timeout", type=float, default=20, help="seconds that a process waits for another")
    parser.add_argument("--kill", type=int, help="the process of this rank is killed before it has sent anything")
    parser.add_argument("--stall", type=int, help="the process of this rank sleeps instead of sending")
    options = parser.parse_args()
    dist.init_process_group("gloo", timeout=timedelta(seconds=options.timeout))
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, compare(options))
    if dist.get_rank() == 0:
        errors = {n: max(r["errors"].get(n, 0.0) for r in everyone) for n in everyone[-1]["errors"]}
        sent = {n: [r["bytes"][n] for r in everyone] for n in everyone[0]["bytes"]}
        print(json.dumps({"errors": errors, "bytes": sent}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
