"""Byte language models of equal size, trained in turn and timed: by steps and by seconds. Introduced in 05c_language.

text = data.standard_library()
schedule = Schedule(500, lengths=(128, 128), batch=8, lr=8e-3, warmup=30, grow=0, anytime=True)
curves = compare(text, schedule, seeds=[0, 1])                  for each kind one curve per seed
curves["SSD"][0].bits_at(seconds=10)                            bits per byte in the test, as far as 10 s of training
model = curves["SSD"][0].model()                                with what was learned
print(*write(model, "def ", n_bytes=200, temperature=0.7))

The blocks differ only in the mixer. In each of them q, k and v are the SiLU of a convolution of W x over four tokens,
and what is read is normalized per head:

    SoftmaxBlock   y_t = Σ_j softmax_j(q_t·k_j / √head_dim) v_j,     q and k rotated by position (RoPE)
    SSDBlock       S_t = e^{log_a_t} S_{t-1} + k_t (Δ_t v_t)ᵀ,       Δ and log_a as in Mamba-2
    GLABlock       S_t = diag(α_t) S_{t-1} + k_t v_tᵀ,               α as in GLA
    RWKV7Block     S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + (a_t ∘ k_t) v_tᵀ,     w in RWKV-7's range
    the last three y_t = q_t S_t

These are the recurrences of the published models, not the models: Mamba-2 has a gate after its scan, RWKV-7 a bonus, a
shift instead of the convolution, and values that pass from layer to layer.
"""

import codecs
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..layers import attention
from ..layers.delta_net import Convolved
from ..layers.mixer import over_time
from ..layers.parts import init_log_rate, init_step_bias
from ..models import LanguageModel
from ..ops import gla, rwkv7, ssd
from .data import Bytes, Text
from .processes import OnStep
from .runs import Outcome, Training, run, take_turns
from .tasks import Batch
from .training import Reading, Schedule

KINDS = {"attention": "AA", "SSD": "SS", "GLA": "GG", "RWKV-7": "RR", "hybrid": "SA"}
TESTS = 10  # how often a training is tested on its way
TEST_WINDOWS = 200
_AT_ONCE = 50  # windows of a test
RANK = 16  # of the maps from x to gates that are as many as a head's keys


class SoftmaxBlock(Convolved):
    def init_state(self, batch: int) -> attention.Cache:
        return attention.empty_cache(self.out_proj.weight, batch, self.n_heads, self.head_dim)

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        q, k, v = (z.transpose(1, 2) for z in (q, k, v))  # (b, h, t, p) each
        y, state = attention.attend(*attention.rotated(q, k, state.position), v, state)
        return y.transpose(1, 2), state


class SSDBlock(Convolved):
    def __init__(self, d_model: int, head_dim: int):
        super().__init__(d_model, head_dim)
        self.step_proj = nn.Linear(d_model, self.n_heads, bias=False)
        self.dt_bias = init_step_bias(self.n_heads)
        self.A_log = init_log_rate(self.n_heads)

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        delta = F.softplus(self.step_proj(x).to(state.dtype) + self.dt_bias)  # (b, t, h)
        log_a = -self.A_log.to(delta.dtype).exp() * delta
        return over_time(ssd, v * delta[..., None].to(v.dtype), log_a, k, q, state=state, chunk_size=64)


class GLABlock(Convolved):
    def __init__(self, d_model: int, head_dim: int):
        super().__init__(d_model, head_dim)
        self.alpha_proj = nn.Sequential(nn.Linear(d_model, RANK, bias=False), nn.Linear(RANK, d_model))

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        log_alpha = F.logsigmoid(self.heads(self.alpha_proj(x).to(state.dtype), 1)[:, :, 0]) / 16
        return over_time(gla, q, k, v, log_alpha, state=state, chunk_size=64)


class RWKV7Block(Convolved):
    def __init__(self, d_model: int, head_dim: int):
        super().__init__(d_model, head_dim)
        self.gates_proj = nn.Sequential(nn.Linear(d_model, RANK, bias=False), nn.Linear(RANK, 2 * d_model))
        from_slow_to_quick = torch.linspace(-6, 1, head_dim).repeat(self.n_heads)
        self.gates_proj[1].bias.data = torch.cat([from_slow_to_quick, torch.zeros(d_model)])

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        w, a = torch.sigmoid(self.heads(self.gates_proj(x), 2)).unbind(2)
        log_w = -math.exp(-0.5) * w.to(state.dtype)
        return over_time(rwkv7, q, log_w, a * k, v, F.normalize(k, dim=-1), a, state=state, chunk_size=64)


BLOCKS: dict[str, type[Convolved]] = {"A": SoftmaxBlock, "S": SSDBlock, "G": GLABlock, "R": RWKV7Block}


def network(kind: str, d_model: int = 64, head_dim: int = 16, parameters: int = 107_000) -> LanguageModel:
    """A model of one of `KINDS`, with MLPs of the width that brings it nearest to the number of parameters.

    The embedding starts with larger values than GPT-2's, with which so short a training learns less. Raises ValueError
    if the rest of the model leaves no parameters for the MLPs.
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
    """One training: tests along the way, and the weights at its end.

    steps, seconds    when it was tested: steps done, and time of one core spent on them, tests left out
    bits              bits per byte, for each test and window of the test text
    """

    kind: str
    steps: Float[np.ndarray, " tests"]
    seconds: Float[np.ndarray, " tests"]
    bits: Float[np.ndarray, "tests windows"]
    weights: Mapping[str, np.ndarray] = field(repr=False)

    def bits_at(self, *, steps: float | None = None, seconds: float | None = None) -> float:
        """Bits per byte after so many steps or so much time, interpolated between two tests.

        Raises ValueError unless exactly one of them is given, and for a time outside the tests.
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
    kind: str,
    text: Text,
    schedule: Schedule,
    seed: int,
    on_step: OnStep = lambda step: None,
    windows: int = TEST_WINDOWS,
) -> Curve:
    """Train a network of one kind, and test it along the way, each time on that many `windows` of the test text."""
    (outcome,) = take_turns([_training(kind, text, schedule, windows)], seed, on_step).values()
    return _curve(kind, outcome)


def _training(kind: str, text: Text, schedule: Schedule, windows: int) -> Training:
    read = partial(_reading, text.test.spread(windows, schedule.lengths[1]))
    return Training(kind, text.train, partial(network, kind), schedule, read, TESTS)


def _reading(test: Batch, model: nn.Module, part: str) -> Reading:
    return {"bits": bits(model, test)}


def _curve(kind: str, outcome: Outcome) -> Curve:
    """What was read on the way, and where the training ended or was stopped."""
    readings = {**outcome.readings, len(outcome.losses): outcome.final}
    steps = np.array(list(readings))
    in_test = np.array([reading["bits"] for reading in readings.values()])
    return Curve(kind, steps.astype(float), outcome.seconds.cumsum()[steps - 1], in_test, outcome.weights)


@torch.no_grad()
def bits(model: torch.nn.Module, test: Batch) -> Float[np.ndarray, " windows"]:
    """Bits per byte that the model needs for each window: its mean cross entropy in bits."""
    model.eval()
    parts = (torch.from_numpy(a).split(_AT_ONCE) for a in test)
    nats = [F.cross_entropy(model(x).transpose(1, 2), y, reduction="none").mean(1) for x, y in zip(*parts, strict=True)]
    return torch.cat(nats).numpy() / math.log(2)


def compare(
    text: Text, schedule: Schedule, seeds: Sequence[int], windows: int = TEST_WINDOWS
) -> dict[str, list[Curve]]:
    """Train a network of each kind with each seed, the kinds in turn step by step; one curve per seed for each kind.

    After the stop button, curves are shorter, and seeds that had not begun are missing.
    """
    results = run([_training(kind, text, schedule, windows) for kind in KINDS], seeds)
    return {kind: [_curve(kind, outcome) for outcome in some] for kind, some in results.outcomes.items()}


def counted_bits(text: Text, order: int) -> float:
    """Bits per byte of a table of counts on the test text: how often each byte followed the `order` bytes before it.

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
    """Each byte with the `order` before it, as the digits of one number in base 256."""
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
