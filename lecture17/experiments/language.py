"""Byte language models of equal size and depth that differ in their mixers. Introduced in 05c_language.

text = data.standard_library()
schedule = Schedule(300, lengths=(256, 256), batch=4, lr=8e-3, warmup=30, grow=0, anytime=True)
results = runs.run(trainings(text, schedule), seeds=[0, 1, 2])         all take turns, step by step
results.by_place("SSD", "bits")                                        bits per byte of the test, (seeds, windows)
results.by_place("SSD", "name again")                                  of the bytes that repeat a name
at_equal_time(results)["SSD"]                                          of the validation part, (seeds, windows)
model = trained("SSD", results.outcomes["SSD"][0])
print(*write(model, "def ", n_bytes=200, temperature=0.7))

The blocks differ only in the mixer. In each of them q, k and v are the SiLU of a convolution of W x over four tokens,
and what is read is normalized per head:

    SoftmaxBlock   y_t = Σ_j softmax_j(q_t·k_j / √head_dim) v_j,     q and k rotated by position (RoPE)
    WindowBlock    the same for t - WINDOW < j
    SSDBlock       S_t = a_t S_{t-1} + k_t (Δ_t v_t)ᵀ,               Δ and a as in Mamba-2
    HeadsBlock     the same, but for one head, which is that of SoftmaxBlock
    DeltaBlock     S_t = a_t (S_{t-1} - β_t k_t (k_tᵀ S_{t-1})) + β_t k_t v_tᵀ,     |k_t| = 1, as in Gated DeltaNet
    KDABlock       the same with diag(α_t) S_{t-1} in place of a_t S_{t-1}
    RWKV7Block     S_t = diag(w_t) S_{t-1} - (a_t ∘ κ̂_t)(κ̂_tᵀ S_{t-1}) + (a_t ∘ k_t) v_tᵀ,     w in RWKV-7's range
    y_t = q_t S_t in the last five

These are the recurrences of the published models, not the models: there is no gate after the mixer, and RWKV-7 lacks
its bonus, its shift, for which the convolution stands, and values that pass from layer to layer.
"""

import codecs
import keyword
import math
import re
import statistics
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..layers import KDA, GatedDeltaNet, attention
from ..layers.delta_net import Convolved
from ..layers.mixer import over_time
from ..layers.parts import init_log_rate, init_step_bias
from ..models import LanguageModel
from ..ops import rwkv7, ssd
from .data import Bytes, Text
from .measure import one_thread
from .runs import Outcome, Results, Training
from .tasks import Batch
from .training import Reading, Schedule

KINDS = {  # four blocks of two heads
    "attention": "AAAA",
    "SSD": "SSSS",
    "gated delta": "DDDD",
    "KDA": "KKKK",
    "RWKV-7": "RRRR",
    "hybrid 3:1": "SSSA",
    "hybrid 7:1": "SSSH",  # of all eight heads, one is attention
    "windowed 3:1": "SSSW",
}
WINDOW = 32  # bytes that windowed attention sees, itself included
TESTS = 6  # how often a training is tested on its way
TEST_WINDOWS = 300
VALIDATION_WINDOWS = 40
GROUPS = "name again", "new name", "all else"
_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]{5,}")
_KEYWORDS = {word.encode() for word in keyword.kwlist}
_AT_ONCE = 50  # windows of a test
RANK = 16  # of the maps from x to gates that are as many as a head's keys


class SoftmaxBlock(Convolved):
    window: int | None = None

    def init_state(self, batch: int) -> attention.Cache:
        return attention.empty_cache(self.out_proj.weight, batch, self.n_heads, self.head_dim)

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return _softmax(q, k, v, state, self.window)


def _softmax(q: Tensor, k: Tensor, v: Tensor, cache: attention.Cache, window: int | None) -> tuple[Tensor, Any]:
    q, k, v = (z.transpose(1, 2) for z in (q, k, v))  # (b, h, t, p) each
    y, cache = attention.attend(*attention.rotated(q, k, cache.position), v, cache, window)
    return y.transpose(1, 2), cache


class WindowBlock(SoftmaxBlock):
    window = WINDOW


class SSDBlock(Convolved):
    softmax_heads = 0

    def __init__(self, d_model: int, head_dim: int):
        super().__init__(d_model, head_dim)
        n_heads = self.n_heads - self.softmax_heads
        self.step_proj = nn.Linear(d_model, n_heads, bias=False)
        self.dt_bias = init_step_bias(n_heads)
        self.A_log = init_log_rate(n_heads)

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        delta = F.softplus(self.step_proj(x).to(state.dtype) + self.dt_bias)  # (b, t, h)
        log_a = -self.A_log.to(delta.dtype).exp() * delta
        return over_time(ssd, v * delta[..., None].to(v.dtype), log_a, k, q, state=state, chunk_size=64)


class HeadsBlock(SSDBlock):
    """SSD, but for its first head, which is softmax attention."""

    softmax_heads = 1

    def init_state(self, batch: int) -> tuple[attention.Cache, Tensor]:
        cache = attention.empty_cache(self.out_proj.weight, batch, 1, self.head_dim)
        return cache, super().init_state(batch)[:, 1:]

    def read(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        by_softmax, cache = _softmax(q[:, :, :1], k[:, :, :1], v[:, :, :1], state[0], window=None)
        by_state, state = super().read(q[:, :, 1:], k[:, :, 1:], v[:, :, 1:], x, state[1])
        return torch.cat([by_softmax, by_state], dim=2), (cache, state)


class _Ungated(Convolved):
    """A layer without its output gate, which the other blocks lack, too."""

    def __init__(self, d_model: int, head_dim: int):
        super().__init__(d_model, head_dim)
        del self.g_proj

    gated = Convolved.gated


class DeltaBlock(_Ungated, GatedDeltaNet):
    pass


class KDABlock(_Ungated, KDA):
    pass


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


BLOCKS: dict[str, type[Convolved]] = {
    "A": SoftmaxBlock,
    "W": WindowBlock,
    "S": SSDBlock,
    "H": HeadsBlock,
    "D": DeltaBlock,
    "K": KDABlock,
    "R": RWKV7Block,
}


def network(kind: str, d_model: int = 48, head_dim: int = 24, parameters: int = 90_000) -> LanguageModel:
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


def trainings(
    text: Text, schedule: Schedule, validation: int = VALIDATION_WINDOWS, test: int = TEST_WINDOWS
) -> list[Training]:
    """A training of a network of each kind, for `runs.run`, read on so many windows of the validation and test parts.

    What is read are bits per byte (windows,), of all bytes, and of each of `GROUPS` (`of_group`).
    """
    length = schedule.lengths[1]
    windows = {"validation": text.validation.spread(validation, length), "test": text.test.spread(test, length)}
    read = partial(_reading, windows)
    return [Training(kind, text.train, partial(network, kind), schedule, read, TESTS) for kind in KINDS]


def _reading(windows: Mapping[str, Batch], model: nn.Module, part: str) -> Reading:
    of_bytes, groups = bits(model, windows[part]), name_bytes(windows[part])
    found = {group: of_group(of_bytes, groups == i) for i, group in enumerate(GROUPS)}
    return {"bits": of_bytes.mean(1), **found}


@torch.no_grad()
def bits(model: torch.nn.Module, windows: Batch) -> Float[np.ndarray, "windows time"]:
    """The bits that the model needs for each byte: its cross entropy in bits."""
    model.eval()
    parts = (torch.from_numpy(a).split(_AT_ONCE) for a in windows)
    nats = [F.cross_entropy(model(x).transpose(1, 2), y, reduction="none") for x, y in zip(*parts, strict=True)]
    return torch.cat(nats).numpy() / math.log(2)


def name_bytes(windows: Batch) -> Int[np.ndarray, "windows time"]:
    """For each byte that is asked for, which of `GROUPS` it belongs to.

    A name has six letters, digits or underscores or more and is no keyword. Its first two bytes are "all else": they
    say which name it is. The others are "name again" if the name occurs earlier in the window, the last time more than
    `WINDOW` bytes before, and "new name" if it does not. If it occurs nearer, they are "all else", too.
    """
    groups = np.full(windows.labels.shape, GROUPS.index("all else"))
    for of_window, tokens, labels in zip(groups, *windows, strict=True):
        seen: dict[bytes, int] = {}
        for name in _NAME.finditer(bytes([tokens[0], *labels])):  # labels[i] is byte i + 1
            word, begin = name.group(), name.start()
            if word not in _KEYWORDS:
                if begin - seen.get(word, -WINDOW - 1) > WINDOW:
                    of_window[begin + 1 : name.end() - 1] = GROUPS.index("name again" if word in seen else "new name")
                seen[word] = begin
    return groups


def of_group(of_bytes: np.ndarray, group: np.ndarray) -> Float[np.ndarray, " windows"]:
    """The bits of each window's bytes of a group, in units such that their mean is the group's bits per byte."""
    return (of_bytes * group).sum(1) / max(group.sum(1).mean(), 1 / group.size)


def at_equal_time(results: Results) -> dict[str, Float[np.ndarray, "seeds windows"]]:
    """Bits per byte of the validation windows when, with each seed, the quickest kind had done its last step.

    Between two tests, bits are interpolated. Raises ValueError if a training was stopped before its first test.
    """
    of_seeds = zip(*results.outcomes.values(), strict=True)
    moments = [min(float(outcome.seconds.sum()) for outcome in outcomes) for outcomes in of_seeds]
    return {
        kind: np.array([_at(outcome, moment) for outcome, moment in zip(outcomes, moments, strict=True)])
        for kind, outcomes in results.outcomes.items()
    }


def _at(outcome: Outcome, moment: float) -> Float[np.ndarray, " windows"]:
    if not outcome.readings:
        raise ValueError("a training was stopped before its first test: run the cell again, and it goes on")
    seconds = outcome.seconds.cumsum()[np.array(list(outcome.readings)) - 1]
    of_tests = np.array([reading["bits"] for reading in outcome.readings.values()])
    return np.array([np.interp(moment, seconds, of_window) for of_window in of_tests.T])


def trained(kind: str, outcome: Outcome) -> LanguageModel:
    """The network with what was learned."""
    model = network(kind)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in outcome.weights.items()})
    return model.eval()


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


def decoding_rates(models: Mapping[str, LanguageModel], text: Bytes, context: int, n_bytes: int) -> dict[str, float]:
    """Bytes a second that each model writes after a context, by the median of `n_bytes` steps on one core.

    The models take turns byte by byte, so that all of them are slow when the machine is.
    """
    prompt = torch.from_numpy(text.spread(1, context).tokens)
    with one_thread():
        streams = {kind: model.stream(prompt, n_bytes + 2) for kind, model in models.items()}
        for stream in streams.values():  # reads the context
            next(stream), next(stream)
        steps = [{kind: _seconds_of_next(stream) for kind, stream in streams.items()} for _ in range(n_bytes)]
    return {kind: 1 / statistics.median(step[kind] for step in steps) for kind in models}


def _seconds_of_next(stream: Iterator[Tensor]) -> float:
    begin = time.process_time()
    next(stream)
    return time.process_time() - begin
