"""Sequence-parallel SSD: each process holds a segment of the sequence, and only states travel.

Introduced in 04d_many_machines. In each head, a segment changes the state before it by one map, a decay and a state:

    S ↦ a S + U,    a = e^{Σ log_a},    U = the segment's last state, if it begins at zero

Two such maps in a row are again one. So every process first computes its own segment as if the state before it were
zero. Then it receives the map of all earlier segments, sends on that map combined with its own, and adds what the state
it now knows contributes to its outputs. In the backward pass the gradients of the map travel in the other direction.

One message crosses each border between processes in each direction: batch × heads × d_state × d numbers of state and
batch × heads decays, however long the sequence. It takes at least P - 1 messages, and with so few they must pass from
neighbor to neighbor: a process that gets a single message must get it from one that knows everything before it. A tree
takes log₂ P rounds instead of P - 1, but more messages. All the long work is done before a process waits, so only short
steps run one after another, P - 1 times: receive, scale and add one state, send.

Source: Dao and Gu, arXiv 2405.21060, Section 8.2; the scan over pairs is that of Blelloch, "Prefix sums and their
applications", 1990.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from . import ssd
from .ssd import Keys, LogDecay, State, Values
from .type_validation import cast_once
from .validation import check_arguments, refuse_second_derivative, shapes_checked

Group = Any  # dist.ProcessGroup or None; jaxtyping's checker cannot see it where PyTorch was built without it


@cast_once
@shapes_checked
def ssd_chunkwise(
    x: Values,
    log_a: LogDecay,
    B: Keys,
    C: Keys,
    state: State | None = None,
    chunk_size: int = 64,
    backend: str = "auto",
    group: Group = None,
) -> tuple[Values, State]:
    """`ssd.chunkwise` of a sequence that is cut across the processes of `group`, the first segment on rank 0.

        S = a_before state + U_before,    y_t = C_t (S_t from zero) + (a_1 … a_t) C_t S

    x, log_a, B, C: this rank's segment, of any length, including zero; batch, heads, groups and sizes are the same on
    all ranks. state: before the first token of the whole sequence, *the same on every rank*, or None on every rank.
    Returns y of the segment and the state after it; on the last rank that is the state after the whole sequence.

    Differentiable: each rank calls backward on something that depends on its y, and gets the gradients of its segment
    for the sum of all ranks' losses. The gradient of `state` is this rank's part, to be summed over ranks as for any
    parameter that all ranks hold.

    Errors: as `ssd.chunkwise`; RuntimeError if torch.distributed is not initialized, and in a backward pass with
    create_graph=True; ConnectionError if a neighbor ends, sends nothing within the time-out of the process group, or
    sends too few numbers.
    """
    if not dist.is_initialized():
        raise RuntimeError(
            "torch.distributed is not initialized: expected a process started by torchrun, and in it "
            'dist.init_process_group("gloo"), or "nccl" for tensors on GPUs'
        )
    check_arguments(state, x=x)
    y, own = ssd.chunkwise(x, log_a, B, C, None, chunk_size, backend)
    log_decays = log_a.to(own.dtype).cumsum(1)  # (b, t, h)
    log_decay = log_decays[:, -1] if log_a.shape[1] else own.new_zeros(own.shape[:2])
    log_decay_before, S = _Before.apply(log_decay, own, group)
    if state is not None:
        S = S + _scaled(state, log_decay_before)
    # Without a given state rank 0 adds zeros, so that its y depends on what it sends and its backward pass runs.
    of_group = S.unflatten(1, (C.shape[2], -1))  # (b, groups, heads per group, d_state, d)
    read = torch.einsum("btgn,bgknd->btgkd", C.to(S.dtype), of_group).flatten(2, 3)  # (b, t, h, d)
    return y + (read * log_decays.exp()[..., None]).to(y.dtype), _scaled(S, log_decay) + own


def _scaled(S: Tensor, log_decay: Tensor) -> Tensor:
    return S * log_decay.exp()[..., None, None]


class _Before(torch.autograd.Function):
    """The map of all segments before this rank's: its log decay (b, h) and its state (b, h, d_state, d)."""

    @staticmethod
    def forward(ctx: Any, log_decay: Tensor, own: Tensor, group: Group) -> tuple[Tensor, Tensor]:
        rank, last = dist.get_rank(group), dist.get_world_size(group) - 1
        log_before, before = torch.zeros_like(log_decay), torch.zeros_like(own)
        if rank > 0:
            log_before, before = _receive(log_before, before, rank - 1, group)
        if rank < last:
            _send(log_before + log_decay, _scaled(before, log_decay) + own, rank + 1, group)
        ctx.save_for_backward(log_decay, before)
        ctx.group, ctx.rank, ctx.last = group, rank, last
        return log_before, before

    @staticmethod
    def backward(ctx: Any, dlog_before: Tensor, dbefore: Tensor) -> tuple[Tensor, Tensor, None]:
        refuse_second_derivative("distributed.ssd_chunkwise", "ssd.chunkwise in one process")
        log_decay, before = ctx.saved_tensors
        dlog_after, dafter = torch.zeros_like(log_decay), torch.zeros_like(before)
        if ctx.rank < ctx.last:
            dlog_after, dafter = _receive(dlog_after, dafter, ctx.rank + 1, ctx.group)
        ddecayed = _scaled(dafter, log_decay)
        if ctx.rank > 0:
            _send(dlog_before + dlog_after, dbefore + ddecayed, ctx.rank - 1, ctx.group)
        return dlog_after + (ddecayed * before).sum((-2, -1)), dafter, None


def _send(log_decay: Tensor, state: Tensor, to: int, group: Group) -> None:
    message = torch.cat([state.flatten(), log_decay.flatten()])
    _on_the_wire(lambda: dist.send(message, group=group, group_dst=to), f"send to rank {to}", group)


def _receive(log_decay: Tensor, state: Tensor, source: int, group: Group) -> tuple[Tensor, Tensor]:
    """(log decay, state) of the shapes of the arguments, from rank `source`."""
    message = state.new_full((state.numel() + log_decay.numel(),), torch.nan)
    _on_the_wire(lambda: dist.recv(message, group=group, group_src=source), f"receive from rank {source}", group)
    if message.numel() and message[-1].isnan():  # Gloo accepts a shorter message silently
        raise ConnectionError(
            f"rank {dist.get_rank(group)} got fewer than {message.numel()} numbers from rank {source}, or a decay that "
            f"is NaN: expected the state of {tuple(state.shape)} and a decay per head; do both ranks have the same "
            "batch, heads, d_state and d?"
        )
    state_part, log_part = message.split([state.numel(), log_decay.numel()])
    return log_part.view_as(log_decay), state_part.view_as(state)


def _on_the_wire(transfer: Callable[[], Any], what: str, group: Group) -> None:
    try:
        transfer()
    except RuntimeError as error:
        said = str(error).partition("] ")[2] or str(error)  # without the line of Gloo's source
        raise ConnectionError(
            f"rank {dist.get_rank(group)} of {dist.get_world_size(group)} could not {what}: {said.partition('. ')[0]} "
            "(that process has ended or is stuck, or needs longer than the time-out given to init_process_group)"
        ) from error
