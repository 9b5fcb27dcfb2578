"""WKV of RWKV-4: a decayed weighted mean with a bonus for the present token. Introduced in 01_tour and 03c_memory.

Channel by channel, with weights e^{k}:

    y_t = (Σ_{j<t} e^{(t-1-j) w + k_j} v_j + e^{u + k_t} v_t) / (Σ_{j<t} e^{(t-1-j) w + k_j} + e^{u + k_t})

`lecture17.reference.wkv4` batched and differentiable; there are no heads. Numerator and denominator are kept as e^o p
and e^o q, with o the largest exponent so far, so that no k overflows. Source: Peng et al., arXiv 2305.13048, Section
3.1 and the appendix on the numerically stable form (its w is our -w). Arguments of all functions:

    w: (d,)                 log of the decay per token, at most 0 (RWKV-4: -exp(decay)); -inf keeps only the last token
    u: (d,)                 bonus of the present token
    k, v: (batch, time, d)  log weights and values; y has the same shape and type
    state                   (p, q, o), each (batch, d): numerator and denominator divided by e^o; empty if not given

16-bit inputs are summed in float32, the type of their state (w and u may be float32 too).

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; a positive or NaN
w, a number that is not finite, or types or devices that differ raise ValueError naming the argument.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from . import _recurrence
from ._chunks import segsum
from .validation import check_finite, checked, state_dtype

PerChannel = Float[Tensor, " d"]
Channels = Float[Tensor, "batch time d"]
Channel = Float[Tensor, "batch d"]
State = tuple[Channel, Channel, Channel]

EMPTY = -1e38  # exponent of an empty sum: below any other, yet finite, so that differences are never inf - inf


def _start(u: Tensor, k: Tensor, v: Tensor, state: State | None) -> State:
    """The state (p, q, o) before the first token, once all arguments are finite."""
    check_finite(u=u, k=k, v=v)
    if state is None:
        zero = k.new_zeros(len(k), k.shape[-1], dtype=state_dtype(k.dtype))
        return zero, zero, torch.full_like(zero, EMPTY)
    return state


def _add(p: Tensor, q: Tensor, o: Tensor, exponent: Tensor, v: Tensor) -> State:
    """Add e^exponent v to e^o p and e^exponent to e^o q; returns both sums divided by e^m, m the larger exponent."""
    m = torch.maximum(o, exponent)
    kept, added = torch.exp(o - m), torch.exp(exponent - m)
    return kept * p + added * v, kept * q + added, m


@checked
def parallel(
    w: PerChannel, u: PerChannel, k: Channels, v: Channels, state: State | None = None
) -> tuple[Channels, State]:
    """The attention view, O(N²): the states before all tokens at once, each with its own largest exponent."""
    p, q, o = _start(u, k, v, state)
    w, u, k, values = (z.to(o.dtype) for z in (w, u, k, v))
    # Log weights before token i = 0 … N: i w + o in column 0, (i-1-j) w + k_j in column j+1 for j < i, or -inf.
    decays = segsum(w[:, None].expand(-1, k.shape[1] + 1))  # (d, N+1, N+1): the state counts as one token
    exponents = decays + torch.cat([o[:, None], k], 1).mT[:, :, None, :]  # (b, d, N+1, N+1)
    o = exponents.amax(-1)  # (b, d, N+1): entry i is before token i, entry N after the last
    weights = torch.exp(exponents - o[..., None])
    p, q, o = (
        torch.einsum("bcij,bjc->bic", weights, torch.cat([p[:, None], values], 1)),
        torch.einsum("bcij,bjc->bic", weights, torch.cat([q[:, None], torch.ones_like(values)], 1)),
        o.mT,
    )
    numerator, denominator, _ = _add(p[:, :-1], q[:, :-1], o[:, :-1], u + k, values)
    return (numerator / denominator).to(v.dtype), (p[:, -1], q[:, -1], o[:, -1])


@checked
def recurrent(
    w: PerChannel, u: PerChannel, k: Channels, v: Channels, state: State | None = None
) -> tuple[Channels, State]:
    """The SSM view, O(N), in the stable form: read with the bonus, then decay and add, each under the larger exponent.

    m = max(o, u + k_t):      y_t = (e^{o-m} p + e^{u+k_t-m} v_t) / (e^{o-m} q + e^{u+k_t-m})
    m' = max(w + o, k_t):     p = e^{w+o-m'} p + e^{k_t-m'} v_t,   q = e^{w+o-m'} q + e^{k_t-m'},   o = m'
    """
    return _recurrence.by_tokens(partial(_step, w, u), {"k": k, "v": v}, _start(u, k, v, state), v)


@checked
def step(w: PerChannel, u: PerChannel, k_t: Channel, v_t: Channel, state: State | None = None) -> tuple[Channel, State]:
    """One token of `recurrent`; returns (y_t, state)."""
    return _step(w, u, k_t, v_t, _start(u, k_t, v_t, state))


def _step(w: Tensor, u: Tensor, k_t: Tensor, v_t: Tensor, state: State) -> tuple[Tensor, State]:
    p, q, o = state
    w, u, k, v = (z.to(o.dtype) for z in (w, u, k_t, v_t))
    numerator, denominator, _ = _add(p, q, o, u + k, v)
    return (numerator / denominator).to(v_t.dtype), _add(p, q, w + o, k, v)
