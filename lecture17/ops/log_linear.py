"""Log-linear attention: O(log N) states, one for each of ever longer stretches of the past. For 03e_family_since.

    y_i = Σ_ℓ λ_i^ℓ q_i S_i^{(ℓ)},    S_i^{(ℓ)} = Σ_j e^{log_a_{j+1} + … + log_a_i} k_j v_jᵀ

Level 0 is token i (from 0) itself; for each bit ℓ - 1 of i that is 1, level ℓ is the bucket of 2^{ℓ-1} tokens that ends
just before i - (i mod 2^{ℓ-1}). So token j is read at level ℓ(i, j), the number of bits of i xor j.

`lecture17.reference.log_linear` batched, differentiable and fast. Source: Guo et al., arXiv 2506.04761, Section 3.
Arguments of all functions:

    Q, K: (batch, time, heads, d_k)         queries and keys
    V: (batch, time, heads, d_v)            values; y has the same shape and type
    log_a: (batch, time, heads)             log decays, at most 0; -inf forgets everything before the token
    lam: (batch, time, heads, levels)       weights of the levels; levels ≥ ⌈log₂ n⌉ + 1 for n tokens in all
    state                                   opaque: pass on what was returned, None at the start

The state is (S, t) after t tokens: S, (batch, heads, buckets, d_k, d_v), has one bucket of 2^b tokens for each bit b of
t that is 1, small buckets first. 16-bit inputs are summed in float32, the type of their state (log_a may be float32
too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; too few levels, a
positive or NaN log_a, a number that is not finite, a state with more or fewer buckets than its t has, types or devices
that differ, chunk_size < 1, or a backend that cannot run raises ValueError naming the argument.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import hardshrink, pad

from ..reference.log_linear import buckets, check_buckets, check_levels
from . import _recurrence
from ._chunks import segsum
from ._recomputed import Recomputed
from .cpu.memory import empty_result, keep_what_is_freed
from .validation import FINITE, check_backend, check_result, checked_with, state_dtype

Keys = Float[Tensor, "batch time heads d_k"]
Values = Float[Tensor, "batch time heads d_v"]
LogDecay = Float[Tensor, "batch time heads"]
Levels = Float[Tensor, "batch time heads levels"]
State = tuple[Float[Tensor, "batch heads _buckets d_k d_v"], int]


class Bucket(NamedTuple):
    """The state of a stretch of tokens as it was at their end, and what the decays since have left of it."""

    S: Tensor  # (batch, heads, d_k, d_v)
    left: Tensor  # (batch, heads)

    @property
    def now(self) -> Tensor:
        return self.left[..., None, None] * self.S


ByBit = dict[int, Bucket]  # the bucket of 2^bit tokens for each bit of t that is 1

checked = checked_with(lam=FINITE)

BLOCK_NUMEL = 2**19  # numbers in the values of one block: its intermediates stay in the cache


def _start(K: Tensor, V: Tensor, lam: Tensor, n: int, state: State | None) -> tuple[ByBit, int]:
    """The buckets by their bits, and t, once there are enough levels for n tokens more."""
    S, t = (None, 0) if state is None else state
    check_buckets(0 if S is None else S.shape[2], t)
    check_levels(lam.shape[-1], t + n)
    bits = [len(bucket).bit_length() - 1 for bucket in buckets(t)]
    states = () if S is None else S.unbind(2)
    return {b: Bucket(S_b, S_b.new_ones(S_b.shape[:2])) for b, S_b in zip(bits, states, strict=True)}, t


def _finish(by_bit: ByBit, t: int, K: Tensor, V: Tensor) -> State:
    if not by_bit:
        return V.new_zeros(len(V), V.shape[-2], 0, K.shape[-1], V.shape[-1], dtype=state_dtype(V.dtype)), t
    return torch.stack([by_bit[bit].now for bit in sorted(by_bit)], 2), t


def level_of(i: Tensor, j: Tensor | int) -> Tensor:
    """The level at which token i reads token j ≤ i: the number of bits of i xor j."""
    return torch.frexp((i ^ j).to(torch.float64))[1].long()


def _flushed(x: Tensor) -> Tensor:
    """Decays, those under about 1e-30 (in float32) as 0: products of numbers that small have few digits or none, and a
    processor takes a hundred times as long for them.
    """
    return hardshrink(x, torch.finfo(x.dtype).tiny ** 0.8)


def _read(q: Tensor, lam: dict[int, Tensor], from_start: Tensor, by_bit: ByBit) -> Tensor:
    """What q finds in all buckets, each at its level, in one product: Σ_b λ_b (decay since the bucket) q S_b.

    q: (b, h, T, d_k); λ_b and the decay from the start to each token: (b, h, T).
    """
    weights = [lam[bit] * _flushed(from_start * bucket.left[..., None]) for bit, bucket in by_bit.items()]
    queries = torch.stack(weights, -1)[..., None] * q[..., None, :]  # (b, h, T, buckets, d_k)
    return queries.flatten(-2) @ torch.cat([bucket.S for bucket in by_bit.values()], -2)


def _merge(by_bit: ByBit, decay: Tensor, bit: int, new: Tensor) -> ByBit:
    """Decay all buckets and add one of 2^bit tokens. Two of the same size become one, as a binary counter carries."""
    after = {b: Bucket(bucket.S, _flushed(bucket.left * decay)) for b, bucket in by_bit.items()}
    while bit in after:
        new = after.pop(bit).now + new
        bit += 1
    return after | {bit: Bucket(new, torch.ones_like(decay))}


def listing(
    chunk_size: int, bits: Sequence[int], Q: Tensor, K: Tensor, V: Tensor, log_a: Tensor, lam: Tensor, *old: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One block of `chunkwise`: 2^b tokens at a multiple of 2^b. All is done by doubling: of two neighboring stretches
    of 2^{ℓ-1} tokens, the second reads the first at level ℓ, as far as it is left; then the two become one.

    `old` are the buckets before it, S and what is left of it, for each of `bits`. They are at least as long as the
    block, which reads each at one level. Returns y, what the block adds to the state, and the decay of the whole block.
    """
    batch, time, heads, _ = V.shape
    length, wide = min(chunk_size, time), state_dtype(V.dtype)
    by_head = (x.to(wide).transpose(1, 2).contiguous() for x in (Q, K, V, lam, log_a))
    q, k, v, lam, log_a = (x.view(-1, length, *x.shape[3:]) for x in by_head)  # (chunks of all heads, L, …)

    # 1. Inside the chunks the first stretch is read by its scores. Their weights are products of λ, the decay from the
    #    start of the second stretch to its token, and the decay from a token of the first to its end.
    weights, from_start, to_end = lam[..., 0].reshape(-1, 1, 1), log_a.exp().view(-1, 1), q.new_ones(log_a.numel(), 1)
    for level in range(1, length.bit_length()):
        (before, after), (start_1, start_2), (end_1, end_2) = map(_neighbors, (weights, from_start, to_end))
        reads = _second(lam, start_2.shape[1])[..., level] * start_2
        across = _flushed(reads[:, :, None] * end_1[:, None, :])
        weights = torch.cat([pad(before, (0, before.shape[-1])), torch.cat([across, after], 2)], 1)
        from_start = torch.cat([start_1, _flushed(start_1[:, -1:] * start_2)], 1)
        to_end = torch.cat([_flushed(end_1 * start_2[:, -1:]), end_2], 1)
    y = torch.bmm(q @ k.mT * weights, v)
    # 2. Between chunks it is read by its state.
    S = (to_end[..., None] * k).mT @ v
    for level in range(length.bit_length(), time.bit_length()):
        (first, second), (start_1, start_2) = map(_neighbors, (S, from_start))
        q_2, lam_2, y_2 = (_second(x, start_2.shape[1]) for x in (q, lam, y))
        y_2.baddbmm_((lam_2[..., level] * start_2)[..., None] * q_2, first)
        S = start_2[:, -1:, None] * first + second
        from_start = torch.cat([start_1, _flushed(start_1[:, -1:] * start_2)], 1)
    # 3. The block reads the buckets before it.
    y, q, lam = (x.view(batch, heads, time, x.shape[-1]) for x in (y, q, lam))
    from_start, S = from_start.view(batch, heads, time), S.view(batch, heads, *S.shape[1:])
    by_bit = dict(zip(bits, map(Bucket, old[::2], old[1::2]), strict=True))
    if by_bit:
        y = y + _read(q, {bit: lam[..., bit + 1] for bit in bits}, from_start, by_bit)
    return y.transpose(1, 2), S, from_start[..., -1]


def _neighbors(x: Tensor) -> tuple[Tensor, ...]:
    """The first and the second of each pair of stretches, (stretches, …)."""
    return x.view(-1, 2, *x.shape[1:]).unbind(1)


def _second(x: Tensor, tokens: int) -> Tensor:
    """The second of each pair of stretches of so many tokens, (pairs, tokens, features)."""
    return x.view(-1, 2, tokens, x.shape[-1])[:, 1]


def _blocks(t: int, n: int, longest: int) -> Iterator[int]:
    """Lengths of the blocks that n tokens after t are cut into: powers of two, each at a multiple of itself."""
    while n:
        length = min(t & -t or longest, longest, 1 << n.bit_length() - 1)
        yield length
        t, n = t + length, n - length


@checked
def parallel(
    Q: Keys, K: Keys, V: Values, log_a: LogDecay, lam: Levels, state: State | None = None
) -> tuple[Values, State]:
    """The attention view, O(N²): the masked matrix of the whole sequence, and what the state's buckets add.

    M = Λ ∘ L ∘ (Q Kᵀ),  Λ[i, j] = λ_i^{ℓ(i, j)},  L the decay mask of SSD
    """
    time = V.shape[1]
    by_bit, t = _start(K, V, lam, time, state)
    if time == 0:
        return V.clone(), _finish(by_bit, t, K, V)
    q, k, v, a, weights = (x.to(state_dtype(V.dtype)).transpose(1, 2) for x in (Q, K, V, log_a, lam))  # (b, h, T, …)
    i = t + torch.arange(time, device=V.device)
    decay, from_start = segsum(a).exp(), a.cumsum(-1).exp()
    y = (q @ k.mT * weights.gather(-1, level_of(i[:, None], i).expand_as(decay)) * decay) @ v
    old = dict(zip(by_bit, buckets(t), strict=True))
    if old:
        # All tokens of a bucket are read at one level, so its first tells which.
        read_at = {bit: level_of(i, bucket.start).expand_as(a)[..., None] for bit, bucket in old.items()}
        y = y + _read(q, {bit: weights.gather(-1, at)[..., 0] for bit, at in read_at.items()}, from_start, by_bit)
    written, whole, after = decay[..., -1:, :].mT * k, a.sum(-1).exp()[..., None, None], []
    for bucket in buckets(t + time):
        new = slice(max(bucket.start - t, 0), max(bucket.stop - t, 0))
        held = [whole * by_bit[bit].S for bit, b in old.items() if b.start in bucket]
        after.append(sum(held, written[:, :, new].mT @ v[:, :, new]))
    y = y.transpose(1, 2).to(V.dtype)
    return check_result(y, {"Q": Q, "K": K, "V": V, "lam": lam}), (torch.stack(after, 2), t + time)


@checked
def recurrent(
    Q: Keys, K: Keys, V: Values, log_a: LogDecay, lam: Levels, state: State | None = None
) -> tuple[Values, State]:
    """The SSM view, O(N log N): read every bucket at its level, then merge as a binary counter carries.

    Source: arXiv 2506.04761, Section 3.
    """
    by_bit, t = _start(K, V, lam, V.shape[1], state)
    sequences = {"Q": Q, "K": K, "V": V, "log_a": log_a, "lam": lam}
    y, by_bit = _recurrence.by_tokens(_step, sequences, by_bit, V)
    return y, _finish(by_bit, t + V.shape[1], K, V)


@checked
def chunkwise(
    Q: Keys,
    K: Keys,
    V: Values,
    log_a: LogDecay,
    lam: Levels,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
) -> tuple[Values, State]:
    """Quadratic inside a chunk, a state for each level between chunks, O(N (chunk_size + log N)): all by products.

    Levels halve and halve again, so chunks have the largest power of two tokens that is at most chunk_size. The
    sequence is cut into blocks of a power of two tokens, see `listing`; the backward pass recomputes each of them.
    """
    check_backend(backend, V)
    compiling = torch.compiler.is_compiling()  # what is traced is kept or recomputed as the compiler sees fit
    if not compiling:
        keep_what_is_freed()
    by_bit, t = _start(K, V, lam, V.shape[1], state)
    if V.shape[1] == 0:
        return V.clone(), _finish(by_bit, t, K, V)
    chunk_size = 1 << chunk_size.bit_length() - 1
    of_token = max(1, V.shape[0] * V.shape[2] * max(chunk_size, K.shape[-1], V.shape[-1]))
    longest = max(chunk_size, 1 << (BLOCK_NUMEL // of_token).bit_length() >> 1)
    lengths = list(_blocks(t, V.shape[1], longest))
    sequences = (Q, K, V, log_a, lam)
    differentiated = any(x.requires_grad for x in (*sequences, *(b.S for b in by_bit.values())))
    keep = compiling or (torch.is_grad_enabled() and differentiated)
    y, parts = empty_result(V), []
    for length, *pieces, place in zip(lengths, *(x.split(lengths, 1) for x in (*sequences, y)), strict=True):
        block, tensors = partial(listing, chunk_size, tuple(by_bit)), (*pieces, *chain.from_iterable(by_bit.values()))
        part, S, decay = block(*tensors) if compiling else Recomputed.apply(block, *tensors)
        by_bit = _merge(by_bit, decay, length.bit_length() - 1, S)
        parts.append(part if keep else place.copy_(part))
    y = torch.cat(parts, 1) if keep else y
    return check_result(y, {"Q": Q, "K": K, "V": V, "lam": lam}), _finish(by_bit, t + V.shape[1], K, V)


@checked
def step(
    q_t: Float[Tensor, "batch heads d_k"],
    k_t: Float[Tensor, "batch heads d_k"],
    v_t: Float[Tensor, "batch heads d_v"],
    log_a_t: Float[Tensor, "batch heads"],
    lam_t: Float[Tensor, "batch heads levels"],
    state: State | None = None,
) -> tuple[Float[Tensor, "batch heads d_v"], State]:
    """One token of `recurrent`; returns (y_t, state)."""
    by_bit, t = _start(k_t, v_t, lam_t, 1, state)
    token = {"q_t": q_t, "k_t": k_t, "v_t": v_t, "log_a_t": log_a_t, "lam_t": lam_t}
    y_t, by_bit = _recurrence.one_token(_step, token, by_bit)
    return y_t, _finish(by_bit, t + 1, k_t, v_t)


def _step(q_t: Tensor, k_t: Tensor, v_t: Tensor, log_a_t: Tensor, lam_t: Tensor, by_bit: ByBit) -> tuple[Tensor, ByBit]:
    """A block of one token."""
    q, k, v, log_a, lam = (x.to(state_dtype(v_t.dtype)) for x in (q_t, k_t, v_t, log_a_t, lam_t))
    a = log_a.exp()
    y = lam[..., :1] * (q * k).sum(-1, keepdim=True) * v
    if by_bit:
        lam_of = {bit: lam[..., bit + 1, None] for bit in by_bit}
        y = y + _read(q[..., None, :], lam_of, a[..., None], by_bit)[..., 0, :]
    return y.to(v_t.dtype), _merge(by_bit, a, 0, k[..., :, None] * v[..., None, :])
