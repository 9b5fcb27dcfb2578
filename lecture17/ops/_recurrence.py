"""The recurrent form: the loop of every mixer, and the step and first state of those whose state only decays.

    S_t = a_t ∘ S_{t-1} + k_t v_tᵀ,    y_t = q_t S_t        (a_t = e^{log_a_t})

log_a holds one number per token and head, (..., heads, 1), or one per key as well, (..., heads, d_k).
"""

from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from .validation import check_groups, check_result, state_dtype


def start(state: Tensor | None, K: Tensor, V: Tensor) -> Tensor:
    """The state before the first token, zero if not given; K and V with or without a time axis, K of groups."""
    check_groups(V.shape[-2], K.shape[-2])
    if state is not None:
        return state
    return V.new_zeros(V.shape[0], V.shape[-2], K.shape[-1], V.shape[-1], dtype=state_dtype(V.dtype))


def by_tokens(
    step: Callable[..., tuple[Tensor, Any]], sequences: Mapping[str, Tensor | None], state: Any, like: Tensor
) -> tuple[Tensor, Any]:
    """The recurrent form, step(*token, state) -> (y_t, state) from token to token; `like` has the shape of y.

    Returns y and the state after the last token. A number that is not finite raises ValueError naming its sequence.
    """
    y = []
    for token in zip(*(repeat(None) if x is None else x.unbind(1) for x in sequences.values()), strict=False):
        y_t, state = step(*token, state)
        y.append(y_t)
    return check_result(torch.stack(y, 1) if y else like.clone(), sequences), state


def one_token(
    step: Callable[..., tuple[Tensor, Any]], token: Mapping[str, Tensor | None], state: Any
) -> tuple[Tensor, Any]:
    """`by_tokens` of a single one."""
    y_t, state = step(*token.values(), state)
    return check_result(y_t, token), state


def step(q_t: Tensor, k_t: Tensor, v_t: Tensor, log_a_t: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """One token: q_t, k_t: (b, groups, d_k), v_t: (b, h, d_v), log_a_t: (b, h, 1 or d_k), S: (b, h, d_k, d_v)."""
    per_group = v_t.shape[1] // k_t.shape[1]
    k, q = (x.to(S.dtype).repeat_interleave(per_group, 1) if per_group > 1 else x.to(S.dtype) for x in (k_t, q_t))
    a = log_a_t.to(S.dtype).exp()[..., None]
    S = a * S + k[..., :, None] * v_t.to(S.dtype)[..., None, :]
    return (q[..., None, :] @ S)[..., 0, :].to(v_t.dtype), S
