"""One training loop for every experiment of the course. Introduced in 03d_expressivity.

A training is a pure function of network, task, schedule and seed: the batch of each step is drawn from the seed and the
step's number, so nothing but the network, the optimizer's memory and PyTorch's random numbers (where a network uses
any) passes from step to step. These are what a checkpoint holds, and why a training that was interrupted anywhere and
resumed ends with the same bits as one that was not.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .stopping import StopButton
from .tasks import IGNORE, Batch, Task

_TRAIN, _TEST = 0, 1  # first entry of a seed, so that no test sequence is one that was trained on
_PAIRS = 2**20  # tokens × tokens × batch that a test holds in memory at once
_SAVE_EVERY = 50  # steps


@dataclass(frozen=True)
class Schedule:
    """How long and on what: AdamW with warm-up and decay, on sequences that grow.

    lengths    shortest and longest sequence; every step has one length for its whole batch
    grow       over which part of the steps the length grows from shortest to longest
    anytime    False: the learning rate falls linearly to zero at the last step. True: it falls like 1/√step, which
               does not depend on `steps`, so that one training can be read at any of its steps
    """

    steps: int
    lengths: tuple[int, int]
    batch: int = 32
    lr: float = 1e-2
    warmup: int = 50
    grow: float = 0.4
    anytime: bool = False

    def length(self, step: int) -> int:
        """The length of the sequences of a step."""
        shortest, longest = self.lengths
        grown = min(1.0, step / (self.grow * self.steps)) if self.grow else 1.0
        return shortest + round((longest - shortest) * grown)

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        decay = min(1.0, self.warmup / (step + 1)) ** 0.5 if self.anytime else 1 - step / self.steps
        return self.lr * min((step + 1) / self.warmup, 1.0) * decay


def train(
    model: nn.Module,
    task: Task,
    schedule: Schedule,
    seed: int,
    on_step: Callable[[int], bool | None] = lambda step: None,
    checkpoint: Path | None = None,
) -> np.ndarray:
    """Train `model` in place; returns the loss of each step done, fewer than `schedule.steps` if it was stopped.

    on_step       called with the number of steps done after each of them; returns True to stop here
    checkpoint    a file that is written every 50 steps and at the end; if it is there already, the training goes on
                  from it. Raises ValueError where it belongs to another training.

    The stop button (■ in Jupyter, Ctrl-C) stops after the step at hand and keeps what was learned, in `model` and in
    the checkpoint. The caller's random numbers are left alone.
    """
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98))
    losses: list[float] = []
    described = f"{task}, {schedule}, seed {seed}"
    model.train()
    with torch.random.fork_rng(devices=[]), StopButton() as button:
        torch.manual_seed(seed)
        if checkpoint is not None and checkpoint.exists():
            losses = _resume(checkpoint, described, model, optimizer)
        for step in range(len(losses), schedule.steps):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step)
            optimizer.zero_grad()
            loss = _loss(model, task.draw(schedule.batch, schedule.length(step), (_TRAIN, seed, step)))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
            stop = on_step(step + 1) or button.asked
            if checkpoint is not None and (stop or (step + 1) % _SAVE_EVERY == 0 or step + 1 == schedule.steps):
                _save(checkpoint, described, model, optimizer, losses)
            if stop:
                break
    return np.array(losses)


def _save(path: Path, described: str, model: nn.Module, optimizer: torch.optim.Optimizer, losses: list[float]) -> None:
    """Write a checkpoint so that whatever happens meanwhile, the file holds the old one or the new one, whole."""
    state = {
        "training": described,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "losses": torch.tensor(losses, dtype=torch.float64),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _resume(path: Path, described: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
    """Put everything back as it was after the last step in the checkpoint; returns the losses so far."""
    state = torch.load(path, weights_only=True)
    if state["training"] != described:
        raise ValueError(
            f"checkpoint {path.name} is of another training: expected {described}, got {state['training']}; "
            "delete the file, or name another"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    return state["losses"].tolist()


def _loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    logits = model(torch.from_numpy(batch.tokens))
    return F.cross_entropy(logits.flatten(0, -2), torch.from_numpy(batch.labels).flatten(), ignore_index=IGNORE)


@torch.no_grad()
def accuracy(model: nn.Module, task: Task, length: int, sequences: int) -> np.ndarray:
    """The share of right answers to a sequence's first question, its second, …, over fresh sequences of one length."""
    model.eval()
    tokens, labels = task.draw(sequences, length, (_TEST, length))
    size = max(1, _PAIRS // tokens.shape[1] ** 2)
    guesses = [model(part).argmax(-1) for part in torch.from_numpy(tokens).split(size)]
    right = torch.cat(guesses).numpy() == labels
    return right[labels != IGNORE].reshape(sequences, -1).mean(0)
