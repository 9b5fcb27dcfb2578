"""One training script for one process or many: a byte language model on the standard library. Introduced in 04d.

    python -m lecture17.experiments.data_parallel                                            one process
    torchrun --standalone --nproc-per-node 2 -m lecture17.experiments.data_parallel          two, sharing each batch
    … --kind "hybrid 3:1" --steps 500 --batch 8 --length 128        one of the kinds that 05c_language compares

Each process holds all weights and its share of every batch; DistributedDataParallel averages the gradients during the
backward pass. The batch of a step depends on the step alone, so any number of processes takes the same steps up
to rounding. The first process prints a line of JSON.
"""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .data import Bytes, standard_library
from .language import KINDS, network

TIMEOUT = timedelta(seconds=60)


@contextmanager
def processes() -> Iterator[tuple[int, int, torch.device]]:
    """Rank, number of processes and device of this one; alone where torchrun has not started it."""
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if gpu else torch.device("cpu")
    if not dist.is_torchelastic_launched():
        yield 0, 1, device
        return
    dist.init_process_group("nccl" if gpu else "gloo", timeout=TIMEOUT)
    try:
        yield dist.get_rank(), dist.get_world_size(), device
    finally:
        dist.destroy_process_group()


def windows(text: Bytes, batch: int, length: int, step: int, rank: int, world: int) -> tuple[Tensor, Tensor]:
    """This process's rows of the batch of a step: bytes, and the byte that follows each."""
    drawn = text.draw(batch, length, (0, step))
    mine = slice(rank * batch // world, (rank + 1) * batch // world)
    return torch.from_numpy(drawn.tokens[mine]), torch.from_numpy(drawn.labels[mine])


def train(
    model: nn.Module, text: Bytes, steps: int, batch: int, length: int, rank: int, world: int, device: torch.device
) -> list[float]:
    """Train `model` in place; returns the loss of each step over the whole batch. Processes must share it evenly."""
    if batch % world:
        raise ValueError(
            f"batch is {batch} for {world} processes: expected a multiple, so that a mean of means is right"
        )
    model.to(device)
    replica = DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.98))
    losses = []
    for step in range(steps):
        tokens, following = (t.to(device) for t in windows(text, batch, length, step, rank, world))
        loss = F.cross_entropy(replica(tokens).flatten(0, 1), following.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(_mean(loss.detach(), world).item())
    return losses


def _mean(value: Tensor, world: int) -> Tensor:
    if world > 1:
        dist.all_reduce(value)
    return value / world


def _spread_of_weights(model: nn.Module, world: int) -> float:
    """The largest difference between any process's weights and the mean of all: 0 for replicas."""
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    difference = (flat - _mean(flat.clone(), world)).abs().amax()
    if world > 1:
        dist.all_reduce(difference, dist.ReduceOp.MAX)
    return difference.item()


def main() -> None:
    parser = argparse.ArgumentParser(description="A byte language model, trained by one process or many.")
    for name, value in {"steps": 20, "batch": 8, "length": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--kind", choices=KINDS, default="SSD")
    options = parser.parse_args()
    with processes() as (rank, world, device):
        torch.manual_seed(0)
        model = network(options.kind)
        text = standard_library().train
        losses = train(model, text, options.steps, options.batch, options.length, rank, world, device)
        apart = _spread_of_weights(model, world)
        if rank == 0:
            share = options.batch // world
            print(json.dumps({"processes": world, "rows each": share, "losses": losses, "weights apart": apart}))


if __name__ == "__main__":
    main()
