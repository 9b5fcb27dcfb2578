"""One training loop for every experiment of the course. Introduced in 03d_expressivity.

A training is a pure function of network, task, schedule and seed: the batch of each step is drawn from the seed and the
step's number, so nothing but the network, the optimizer's memory and PyTorch's random numbers (where a network uses
any) passes from step to step. These are what a checkpoint holds, and why a training that was interrupted anywhere and
resumed ends with the same bits as one that was not.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .processes import OnStep, StopButton
from .tasks import IGNORE, Batch, Task

PARTS = {"training": 0, "test": 1, "validation": 2}  # first entry of a seed: no sequence is drawn in two parts
_PAIRS = 2**20  # tokens × tokens × batch that a test holds in memory at once
_SAVE_EVERY = 50  # steps

Reading = Mapping[Any, np.ndarray]  # what a test found, by name or by length


@dataclass(frozen=True)
class Schedule:
    """How long and on what: AdamW with warm-up and decay, on sequences that grow.

    lengths    shortest and longest sequence; every step has one length for its whole batch
    grow       over which part of the steps the length grows from shortest to longest; None: no growth, the length of
               each step is drawn evenly between the two
    anytime    False: the learning rate falls linearly to zero at the last step. True: it falls like 1/√step, which
               does not depend on `steps`, so that one training can be read at any of its steps
    """

    steps: int
    lengths: tuple[int, int]
    batch: int = 32
    lr: float = 1e-2
    warmup: int = 50
    grow: float | None = 0.4
    anytime: bool = False

    def length(self, step: int) -> int:
        """The length of the sequences of a step."""
        shortest, longest = self.lengths
        if self.grow is None:
            return int(np.random.default_rng(step).integers(shortest, longest, endpoint=True))
        grown = min(1.0, step / (self.grow * self.steps)) if self.grow else 1.0
        return shortest + round((longest - shortest) * grown)

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        decay = min(1.0, self.warmup / (step + 1)) ** 0.5 if self.anytime else 1 - step / self.steps
        return self.lr * min((step + 1) / self.warmup, 1.0) * decay


class UnderWay:
    """A training of which each call of `step` does one step, so that several can take turns.

    losses      of each step done
    seconds     of a core that each step took, the drawing of its batch left out
    readings    what tests on its way found, by the number of steps done before

    checkpoint    a file that is written every 50 steps and at the end; if it is there already, the training goes on
                  from it. Raises ValueError where it belongs to another training.

    The caller's random numbers are left alone.
    """

    def __init__(self, model: nn.Module, task: Task, schedule: Schedule, seed: int, checkpoint: Path | None = None):
        self.model, self.task, self.schedule, self.seed, self.checkpoint = model, task, schedule, seed, checkpoint
        self.optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98))
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.readings: dict[int, Reading] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._random = torch.get_rng_state()
        self._described = f"{task}, {schedule}, seed {seed}"
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint)

    @property
    def done(self) -> int:
        """How many steps were done."""
        return len(self.losses)

    @property
    def ended(self) -> bool:
        return self.done >= self.schedule.steps

    def step(self) -> None:
        """Do one step."""
        schedule, step = self.schedule, self.done
        batch = self.task.draw(schedule.batch, schedule.length(step), (PARTS["training"], self.seed, step))
        begin = time.process_time()
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._random)
            self.model.train()
            for group in self.optimizer.param_groups:
                group["lr"] = schedule.rate(step)
            self.optimizer.zero_grad()
            loss = _loss(self.model, batch)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self._random = torch.get_rng_state()
        self.losses.append(loss.item())
        self.seconds.append(time.process_time() - begin)
        if self.done % _SAVE_EVERY == 0 or self.ended:
            self.save()

    def save(self) -> None:
        """Write the checkpoint, if there is one, such that the file always holds the whole old or the whole new one."""
        if (path := self.checkpoint) is None:
            return
        state = {
            "training": self._described,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self._random,
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            "readings": {
                step: {key: torch.from_numpy(np.array(value)) for key, value in reading.items()}
                for step, reading in self.readings.items()
            },
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

    def _resume(self, path: Path) -> None:
        """Put everything back as it was after the last step in the checkpoint."""
        state = torch.load(path, weights_only=True)
        if state["training"] != self._described:
            raise ValueError(
                f"checkpoint {path.name} is of another training: expected {self._described}, got {state['training']}; "
                "delete the file, or name another"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._random = state["random"]
        self.losses, self.seconds = state["losses"].tolist(), state["seconds"].tolist()
        self.readings = {
            step: {key: value.numpy() for key, value in reading.items()} for step, reading in state["readings"].items()
        }


def train(
    model: nn.Module,
    task: Task,
    schedule: Schedule,
    seed: int,
    on_step: OnStep = lambda step: None,
    checkpoint: Path | None = None,
) -> np.ndarray:
    """Train `model` in place; returns the loss of each step done, fewer than `schedule.steps` if it was stopped.

    on_step       called with the number of steps done after each of them; returns True to stop here
    checkpoint    as in `UnderWay`

    The stop button (■ in Jupyter, Ctrl-C) stops after the step at hand and keeps what was learned, in `model` and in
    the checkpoint.
    """
    training = UnderWay(model, task, schedule, seed, checkpoint)
    with StopButton() as button:
        while not training.ended:
            training.step()
            if on_step(training.done) or button.asked:
                training.save()
                break
    return np.array(training.losses)


def _loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    logits = model(torch.from_numpy(batch.tokens))
    return F.cross_entropy(logits.flatten(0, -2), torch.from_numpy(batch.labels).flatten(), ignore_index=IGNORE)


@torch.no_grad()
def accuracy(model: nn.Module, task: Task, length: int, sequences: int, part: str = "test") -> np.ndarray:
    """The share of right answers to a sequence's first question, its second, …, over fresh sequences of one length."""
    model.eval()
    tokens, labels = task.draw(sequences, length, (PARTS[part], length))
    size = max(1, _PAIRS // tokens.shape[1] ** 2)
    guesses = [model(part).argmax(-1) for part in torch.from_numpy(tokens).split(size)]
    right = torch.cat(guesses).numpy() == labels
    return right[labels != IGNORE].reshape(sequences, -1).mean(0)
