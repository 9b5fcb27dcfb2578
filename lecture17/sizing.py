"""Parameters, bytes and time of a whole model, projections and MLPs included. Introduced in 05e_choose.

A `Network` is what its layers add up to; `network(shape, layers, cache)` adds them up. With b sequences of N tokens:

    memory, serving      b_w P + b (b_c C(N) + 4 S)        b_w bytes a weight, b_c a cached number, states of 32 bits
    memory, training     16 P + 2 b N w                    mixed precision with Adam, activations of layers recomputed
    one decoded token    max(bytes read / bandwidth, FLOPs / rate)
    reading N tokens     the same of a forward pass; training takes three times its FLOPs

P parameters (P_a of them used by a token), C(N) numbers cached and S numbers of state for one sequence, w = layers x
width. A decoded token reads every weight that a token of the batch uses and every cache, and reads and writes every
state. The times are lower bounds: kernels reach a part of a machine's rates. Sources: 16 bytes a parameter, arXiv
1910.02054 (Section 3.1); activations, arXiv 2205.05198; latent attention, arXiv 2405.04434 (Section 2.1).
"""

import math
from dataclasses import dataclass

from .costs import carried, flops

CACHE_BYTES, STATE_BYTES, TRAINING_BYTES, ACTIVATION_BYTES = 2, 4, 16, 2
LATENT, ROTARY = 512, 64  # numbers that latent attention caches for a token, as in DeepSeek-V2
CHUNK, HEAD, STATE = 64, 64, 128  # of SSD: tokens of a chunk, values and keys of a head
# Per feature of the model, as in Mamba-2, whose heads hold 2 d_model features; a gated delta rule with heads of 128
# keys and 128 values, 2 d_model values in all, has as many.
STATE_NUMBERS = 2 * carried("ssd", 1, STATE, HEAD) // HEAD
STEP_FLOPS = 2 * flops("ssd", "step", 1, STATE, HEAD) / HEAD
READ_FLOPS = 2 * flops("ssd", "chunkwise", 4096, STATE, HEAD, CHUNK) / (4096 * HEAD)

EVERY_HEAD, GROUPS, LATENT_CACHE = CACHES = ("every head", "groups of heads", "latent")


@dataclass(frozen=True)
class Shape:
    """Sizes of a published model whose layers are a mixer and a gated MLP each; `all_mlp` counts experts not used."""

    like: str
    d_model: int
    layers: int
    heads: int
    d_head: int
    mlp: int  # width of the MLP, of the experts that a token uses
    vocabulary: int
    groups: int  # heads of keys and values
    all_mlp: int = 0  # width of all experts; 0: as `mlp`
    tied: bool = False  # embedding and output share weights


SHAPES = {
    "0.1B": Shape("ViT-B, GPT-2", 768, 12, 12, 64, 2048, 50_257, 4, tied=True),
    "1B": Shape("Llama 3.2 1B", 2048, 16, 32, 64, 8192, 128_256, 8, tied=True),
    "3B": Shape("Llama 3.2 3B", 3072, 28, 24, 128, 8192, 128_256, 8, tied=True),
    "8B": Shape("Llama 3.1 8B", 4096, 32, 32, 128, 14_336, 128_256, 8),
    "32B": Shape("Qwen2.5 32B", 5120, 64, 40, 128, 27_648, 152_064, 8),
    "70B": Shape("Llama 3.1 70B", 8192, 80, 64, 128, 28_672, 128_256, 8),
    "80B, 3B active": Shape("Qwen3-Next 80B", 2048, 48, 16, 256, 11 * 512, 151_936, 2, 513 * 512),
}


@dataclass(frozen=True)
class Layers:
    """How many layers see everything, see a window of so many tokens, and carry a state instead."""

    full: int
    windowed: int = 0
    state: int = 0
    window: int = 0


@dataclass(frozen=True)
class Network:
    """What all layers add up to, for one sequence.

    parameters, active   all, and those that one token uses
    cache, kept          numbers cached for each token, by layers that see everything and by windows
    window               tokens that a window sees
    pair, near           FLOPs of a token for each token seen, decoding: everything, and in windows
    read_pair, read_near the same where many tokens are read at once
    state                numbers
    step, read           FLOPs of a token for its states: one after another, and in chunks
    width                numbers in the residual stream, of all layers
    """

    parameters: float
    active: float
    cache: float = 0.0
    kept: float = 0.0
    window: int = 0
    pair: float = 0.0
    near: float = 0.0
    read_pair: float = 0.0
    read_near: float = 0.0
    state: float = 0.0
    step: float = 0.0
    read: float = 0.0
    width: float = 0.0

    def cached(self, N: int) -> float:
        """Numbers in the caches of one sequence of N tokens."""
        return self.cache * N + self.kept * min(N, self.window)


def network(shape: Shape, layers: Layers, cache: str = GROUPS) -> Network:
    """The layers of a model, added up.

    Raises ValueError for a kind of cache that is not one of `CACHES`.
    """
    if cache not in CACHES:
        raise ValueError(f"cache is {cache!r}: expected one of {', '.join(CACHES)}")
    d, H, h = shape.d_model, shape.heads, shape.d_head
    if cache == LATENT_CACHE:
        kept, weights = LATENT + ROTARY, d * H * (h + ROTARY) + d * (LATENT + ROTARY) + 2 * LATENT * H * h + d * H * h
        pair, read_pair = 2 * H * (2 * LATENT + ROTARY), 2 * H * (2 * h + ROTARY)
    else:
        pairs = H if cache == EVERY_HEAD else shape.groups
        kept, weights = 2 * pairs * h, 2 * d * h * (H + pairs)
        pair = read_pair = 4 * H * h
    attention, near = layers.full + layers.windowed, layers.windowed
    mixing = attention * weights + layers.state * 6 * d * d
    ends = shape.vocabulary * d
    mlps = 3 * d * shape.layers
    return Network(
        parameters=mixing + mlps * (shape.all_mlp or shape.mlp) + ends * (1 if shape.tied else 2),
        active=mixing + mlps * shape.mlp + ends,  # looking up an embedding multiplies nothing
        cache=layers.full * kept,
        kept=near * kept,
        window=layers.window,
        pair=layers.full * pair,
        near=near * pair,
        read_pair=layers.full * read_pair,
        read_near=near * read_pair,
        state=layers.state * d * STATE_NUMBERS,
        step=layers.state * d * STEP_FLOPS,
        read=layers.state * d * READ_FLOPS,
        width=shape.layers * d,
    )


def weight_bytes(net: Network, bits: int, batch: float) -> float:
    """Bytes of the weights that one step of a batch reads: experts that none of its tokens uses stay unread."""
    used = 1 - (1 - net.active / net.parameters) ** batch if net.active < net.parameters else 1.0
    return net.parameters * used * bits / 8


def sequence_bytes(net: Network, N: int, cache_bytes: float = CACHE_BYTES) -> float:
    """Bytes of the caches and states of one sequence of N tokens, with so many bytes for a cached number."""
    return cache_bytes * net.cached(N) + STATE_BYTES * net.state


def serving_bytes(net: Network, N: int, batch: float, bits: int = 16, cache_bytes: float = CACHE_BYTES) -> float:
    """Memory of the weights, of so many bits each, and of so many sequences."""
    return net.parameters * bits / 8 + batch * sequence_bytes(net, N, cache_bytes)


def most_sequences(net: Network, N: int, memory: float, bits: int = 16, cache_bytes: float = CACHE_BYTES) -> int:
    """How many sequences of N tokens fit beside the weights into so many bytes."""
    each = sequence_bytes(net, N, cache_bytes)
    return max(0, math.floor((memory - net.parameters * bits / 8) / each)) if each else 0


def decoding_seconds(
    net: Network,
    N: int,
    batch: float,
    bandwidth: float,
    rate: float,
    bits: int = 16,
    cache_bytes: float = CACHE_BYTES,
) -> float:
    """Seconds of a step that adds a token to each sequence, with so many bytes and FLOPs a second."""
    read = weight_bytes(net, bits, batch) + batch * (sequence_bytes(net, N, cache_bytes) + STATE_BYTES * net.state)
    work = batch * (2 * net.active + net.pair * N + net.near * min(N, net.window) + net.step)
    return max(read / bandwidth, work / rate)


def reading_flops(net: Network, N: int, causal: bool = True) -> float:
    """FLOPs of a forward pass over a sequence of N tokens; a causal kernel leaves out the masked half."""
    near = min(N, net.window)
    pairs, in_windows = (N * N / 2, N * near - near * near / 2) if causal else (N * N, N * near)
    return N * (2 * net.active + net.read) + net.read_pair * pairs + net.read_near * in_windows


def reading_seconds(
    net: Network, N: int, batch: float, bandwidth: float, rate: float, bits: int = 16, causal: bool = True
) -> float:
    """Seconds of a forward pass over so many sequences."""
    return max(weight_bytes(net, bits, batch * N) / bandwidth, batch * reading_flops(net, N, causal) / rate)


def training_bytes(net: Network, N: int, batch: float) -> float:
    """Memory of a training step on one machine."""
    return TRAINING_BYTES * net.parameters + ACTIVATION_BYTES * batch * N * net.width


def training_seconds(net: Network, N: int, batch: float, rate: float, causal: bool = True) -> float:
    """Seconds of a training step without recomputation: forward, and backward with twice its FLOPs."""
    return 3 * batch * reading_flops(net, N, causal) / rate
