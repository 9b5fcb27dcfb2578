"""One training loop for every experiment of the course. Introduced in 03d_expressivity.

A training is a pure function of network, task, schedule and seed: the batch of each step is drawn from the seed and the
step's number, so nothing but the network, the optimizer's memory and PyTorch's random numbers (where a network uses
any) passes from step to step. These are what a checkpoint holds, and why a training that was interrupted anywhere and
resumed ends with the same bits as one that was not.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from .tasks import IGNORE, Batch, Task

_TRAIN, _TEST = 0, 1  # first entry of a seed, so that no test sequence is one that was trained on
_PAIRS = 2**20  # tokens × tokens × batch that a test holds in memory at once
_SAVE_EVERY = 50  # steps

_Result = TypeVar("_Result")
OnStep = Callable[[int], bool | None]

_steps_done: Any = None  # a counter and a flag that all processes share; set in each by _begin
_stop: Any = None


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


class StopButton:
    """Jupyter's ■ (Interrupt) or Ctrl-C, noticed between two steps: `asked` becomes True, and what was learned is kept.

    with StopButton() as button:
        while not button.asked: ...

    A second one raises KeyboardInterrupt at once, as it would without this. Where interrupts do not arrive (in a thread
    other than the main one) or something else already handles them, `asked` stays False.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> "StopButton":
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


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
    """Write a checkpoint such that, whatever happens meanwhile, the file holds the whole old or the whole new one."""
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


class _NotebookLine:
    """A file that shows what tqdm writes to it as one line of a notebook's output, rewritten in place.

    tqdm's own bar for notebooks is a widget, and a notebook opened the next day would show only an error in its place.
    """

    encoding = "utf-8"

    def __init__(self) -> None:
        from IPython.display import display

        self.output = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> None:
        if line := text.strip():
            self.output.update({"text/plain": line}, raw=True)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


def progress_bar(total: int, what: str) -> tqdm:
    """tqdm's bar in a notebook's output or a terminal; silent elsewhere."""
    ipython = sys.modules.get("IPython")
    in_notebook = hasattr(ipython and ipython.get_ipython(), "kernel")
    return tqdm(total=total, desc=what, file=_NotebookLine() if in_notebook else None, disable=None, ncols=100)


def train_all(
    jobs: Mapping[str, Callable[..., _Result]], seeds: Sequence[int], steps: int, processes: int = 2
) -> dict[str, list[_Result]]:
    """Call every job with every seed, as job(seed=…, on_step=…), in one-thread processes; by name, one result per seed.

    steps    the steps of all jobs with one seed, for the progress bar

    A job passes `on_step` on to `train`. When the stop button is pressed, on_step tells every running job to end, and
    the results of jobs that had not begun are missing.
    """
    every = {(name, seed): partial(job, seed=seed) for name, job in jobs.items() for seed in seeds}
    total = len(seeds) * steps
    context = get_context("spawn")
    counter, stop = context.Value("q", 0), context.Value("b", 0)
    workers = min(processes, os.cpu_count() or 1, len(every))
    pool = ProcessPoolExecutor(workers, context, _begin, (counter, stop))
    with progress_bar(total, f"{len(every)} trainings, {total:,} steps") as bar, StopButton() as button:
        try:
            started = {key: pool.submit(_counted, job) for key, job in every.items()}
            waiting: set[Future[_Result | None]] = set(started.values())
            while waiting:
                _, waiting = wait(waiting, timeout=0.2)
                bar.update(counter.value - bar.n)
                if button.asked:
                    stop.value = 1
                    waiting = {future for future in waiting if not future.cancel()}
            results = {key: future.result() for key, future in started.items() if not future.cancelled()}
            done = {key: result for key, result in results.items() if result is not None}
            return {name: [done[name, seed] for seed in seeds if (name, seed) in done] for name in jobs}
        finally:
            stop.value = 1
            pool.shutdown(cancel_futures=True)


def _begin(counter: Any, stop: Any) -> None:
    """What each process does first."""
    global _steps_done, _stop
    _steps_done, _stop = counter, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Jupyter's ■ reaches all processes; the first one tells the others
    torch.set_num_threads(1)


def _counted(job: Callable[..., _Result]) -> _Result | None:
    """The job's result, or None if it was to stop before it began."""
    if _stop.value:
        return None
    seen = 0

    def count(step: int) -> bool:
        nonlocal seen
        with _steps_done.get_lock():
            _steps_done.value += step - seen  # more than one after a checkpoint
        seen = step
        return bool(_stop.value)

    return job(on_step=count)
