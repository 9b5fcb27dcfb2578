"""Byte language models of equal size, trained and timed: by steps and by seconds. Introduced in 05c_language.

text = data.standard_library()
schedule = Schedule(500, lengths=(128, 128), batch=8, lr=8e-3, warmup=30, grow=0, anytime=True)
curves = compare(text, schedule, seeds=[0, 1])                  for each kind one curve a seed
curves["SSD"][0].bits_at(seconds=10)                            bits per byte in the test, as far as 10 s of training
model = curves["SSD"][0].model()                                with what was learned
print(*write(model, "def ", n_bytes=200, temperature=0.7))
"""

import codecs
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from ..models import LanguageModel
from .byte_mixers import BLOCKS
from .data import Bytes, Text
from .runs import in_processes
from .tasks import Batch
from .train import Schedule, train

KINDS = {"attention": "AA", "SSD": "SS", "GLA": "GG", "RWKV-7": "RR", "hybrid": "SA"}
TESTS = 10  # how often a training is tested on its way
TEST_WINDOWS = 200
_AT_ONCE = 50  # windows of a test


def network(kind: str, d_model: int = 64, head_dim: int = 16, parameters: int = 107_000) -> LanguageModel:
    """A model of one of `KINDS`, with MLPs as wide as brings it nearest to the number of parameters.

    The embedding starts larger than GPT-2's, with which so short a training learns less. Raises ValueError where the
    rest of the model leaves no parameter for them.
    """
    pattern = KINDS[kind]
    options = {letter: {"head_dim": head_dim} for letter in pattern}

    def built(mlp_ratio: float) -> LanguageModel:
        return LanguageModel(256, d_model, pattern, mlp_ratio, tie=False, options=options, mixers=BLOCKS)

    left = parameters - count(built(0))
    hidden = round((left / len(pattern) - 2 * d_model) / (2 * d_model + 1))  # two maps, two biases and a norm
    if hidden < 1:
        raise ValueError(f"parameters is {parameters:,}: expected more, since {kind} without MLPs is {left:,} short")
    model = built(hidden / d_model)
    torch.nn.init.normal_(model.embedding.weight, std=0.5)
    return model


def count(model: torch.nn.Module) -> int:
    """How many parameters a model has."""
    return sum(p.numel() for p in model.parameters())


@dataclass(frozen=True)
class Curve:
    """One training: tests on its way, and the weights at its end.

    steps, seconds    when it was tested: steps done, and time of one core spent on them, tests left out
    bits              bits per byte, for each test and window of the test text
    """

    kind: str
    steps: Float[np.ndarray, " tests"]
    seconds: Float[np.ndarray, " tests"]
    bits: Float[np.ndarray, "tests windows"]
    weights: Mapping[str, np.ndarray] = field(repr=False)

    def bits_at(self, *, steps: float | None = None, seconds: float | None = None) -> float:
        """Bits per byte after so many steps or so much time, straight between two tests.

        Raises ValueError unless just one of them is given, and for a time outside the tests.
        """
        if steps is not None and seconds is None:
            when, asked = self.steps, steps
        elif seconds is not None and steps is None:
            when, asked = self.seconds, seconds
        else:
            raise ValueError(f"steps is {steps} and seconds {seconds}: expected one of them")
        if not when[0] <= asked <= when[-1]:
            raise ValueError(f"asked for {asked:g}: expected {when[0]:g} to {when[-1]:g}, the tests of {self.kind}")
        return float(np.interp(asked, when, self.bits.mean(1)))

    def model(self) -> LanguageModel:
        """The network with what was learned."""
        model = network(self.kind)
        model.load_state_dict({name: torch.from_numpy(value) for name, value in self.weights.items()})
        return model.eval()


def once(
    kind: str, text: Text, schedule: Schedule, seed: int, on_step: Callable[[int], bool | None] = lambda step: None
) -> Curve:
    """Train a network of one kind, and test it on the way."""
    with torch.random.fork_rng(devices=[]):
        unseen = network(kind)  # for PyTorch's own first steps, which take seconds and are nobody's training
        train(unseen, text.train, Schedule(1, schedule.lengths, schedule.batch), seed)
        torch.manual_seed(seed)
        model = network(kind)
    test = text.test.spread(TEST_WINDOWS, schedule.lengths[1])
    tests = set(np.linspace(0, schedule.steps, TESTS + 1).astype(int)[1:].tolist())
    rows: list[tuple[int, float, np.ndarray]] = []
    spent = 0.0
    begin = time.process_time()

    def tested(step: int) -> bool | None:
        nonlocal begin, spent
        spent += time.process_time() - begin
        stop = on_step(step)
        if step in tests or stop:
            rows.append((step, spent, bits(model, test)))
            model.train()
        begin = time.process_time()
        return stop

    train(model, text.train, schedule, seed, tested)
    steps, seconds, in_test = zip(*rows, strict=True)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    return Curve(kind, np.array(steps, float), np.array(seconds), np.array(in_test), weights)


@torch.no_grad()
def bits(model: torch.nn.Module, test: Batch) -> Float[np.ndarray, " windows"]:
    """Bits per byte that the model needs for each window: its mean cross entropy in bits."""
    model.eval()
    parts = (torch.from_numpy(a).split(_AT_ONCE) for a in test)
    nats = [F.cross_entropy(model(x).transpose(1, 2), y, reduction="none").mean(1) for x, y in zip(*parts, strict=True)]
    return torch.cat(nats).numpy() / math.log(2)


def compare(text: Text, schedule: Schedule, seeds: Sequence[int]) -> dict[str, list[Curve]]:
    """Train a network of each kind with each seed, in two processes of one thread; a curve a seed for each kind.

    After the stop button, curves are shorter, and what had not begun is missing.
    """
    jobs = {(kind, seed): partial(once, kind, text, schedule, seed) for kind in KINDS for seed in seeds}
    total = len(jobs) * schedule.steps
    done = in_processes(jobs, total, f"{len(jobs)} trainings, {total:,} steps")
    return {kind: [done[kind, seed] for seed in seeds if (kind, seed) in done] for kind in KINDS}


def counted_bits(text: Text, order: int) -> float:
    """Bits per byte in the test of a table of counts: how often each byte followed the `order` bytes before it.

        p_0 = 1 / 256,      p_n(byte | context) = (count + 8 p_{n-1}(byte | shorter context)) / (counts + 8)

    Raises ValueError for an order beyond 2, whose table has 256⁴ entries.
    """
    if not 0 <= order <= 2:
        raise ValueError(f"order is {order}: expected 0, 1 or 2")
    p = np.full((1, 256), 1 / 256, np.float32)
    for n in range(order + 1):
        counts = np.bincount(_numbers(text.train, n), minlength=256 ** (n + 1)).reshape(-1, 256)
        shorter = np.tile(p, (len(counts) // len(p), 1))  # the last bytes of a context are its number modulo 256^(n-1)
        p = ((counts + 8 * shorter) / (counts.sum(1, keepdims=True) + 8)).astype(np.float32)
    return float(-np.log2(p.ravel()[_numbers(text.test, order)]).mean())


def _numbers(text: Bytes, order: int) -> np.ndarray:
    """Each byte with the `order` before it, as digits of one number to the base 256."""
    n = len(text.data) - order
    numbers = np.zeros(n, np.int64)
    for i in range(order + 1):
        numbers = 256 * numbers + text.data[i : i + n]
    return numbers


def write(
    model: LanguageModel, prompt: str, n_bytes: int, temperature: float = 0.8, seed: int | None = None
) -> Iterator[str]:
    """What the model writes after a prompt, piece by piece as it is drawn."""
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    tokens = torch.tensor([list(prompt.encode() or b"\n")])
    for token in model.stream(tokens, n_bytes, temperature, generator):
        yield decoder.decode(bytes(token.tolist()))
    yield decoder.decode(b"", final=True)


def decoding_rate(model: LanguageModel, text: Bytes, context: int, n_bytes: int = 200) -> float:
    """Bytes a second that the model writes after a context, by the median of `n_bytes` steps."""
    prompt = torch.from_numpy(text.spread(1, context).tokens)
    times = [time.perf_counter() for _ in model.stream(prompt, n_bytes + 1)]
    return float(1 / np.median(np.diff(times)))
