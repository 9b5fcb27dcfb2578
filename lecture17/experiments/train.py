"""One training loop for every experiment of the course. Introduced in 03d_expressivity.

A training is a pure function of network, task, schedule and seed: the batch of each step is drawn from the seed and the
step's number, so nothing but the network and the optimizer's memory passes from step to step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .tasks import IGNORE, Batch, Task

_TRAIN, _TEST = 0, 1  # first entry of a seed, so that no test sequence is one that was trained on
_PAIRS = 2**20  # tokens × tokens × batch that a test holds in memory at once


@dataclass(frozen=True)
class Schedule:
    """How long and on what: AdamW with warm-up and linear decay, on sequences that grow.

    lengths    shortest and longest sequence; every step has one length for its whole batch
    grow       over which part of the steps the length grows from shortest to longest
    """

    steps: int
    lengths: tuple[int, int]
    batch: int = 32
    lr: float = 1e-2
    warmup: int = 50
    grow: float = 0.4

    def length(self, step: int) -> int:
        """The length of the sequences of a step."""
        shortest, longest = self.lengths
        grown = min(1.0, step / (self.grow * self.steps)) if self.grow else 1.0
        return shortest + round((longest - shortest) * grown)

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.lr * min((step + 1) / self.warmup, 1.0) * (1 - step / self.steps)


def train(
    model: nn.Module, task: Task, schedule: Schedule, seed: int, on_step: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Train `model` in place; returns the loss of each step. `on_step` is called after each."""
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98))
    losses = np.empty(schedule.steps)
    model.train()
    for step in range(schedule.steps):
        batch = task.draw(schedule.batch, schedule.length(step), (_TRAIN, seed, step))
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        optimizer.zero_grad()
        loss = _loss(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses[step] = loss.item()
        on_step()
    return losses


def _loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    logits = model(torch.from_numpy(batch.tokens))
    return F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.labels).flatten(), ignore_index=IGNORE)


@torch.no_grad()
def accuracy(model: nn.Module, task: Task, length: int, sequences: int) -> np.ndarray:
    """The share of right answers at each place where the task asks something, over fresh sequences of one length."""
    model.eval()
    tokens, labels = task.draw(sequences, length, (_TEST, length))
    size = max(1, _PAIRS // tokens.shape[1] ** 2)
    guesses = [model(part).argmax(-1) for part in torch.from_numpy(tokens).split(size)]
    asked = labels != IGNORE
    right = (torch.cat(guesses).numpy() == labels) & asked
    return right.sum(0)[asked.any(0)] / asked.sum(0)[asked.any(0)]
