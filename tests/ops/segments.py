"""What `test_distributed` starts in three processes: sequence-parallel SSD on many cases, each against one process.

torchrun --standalone --nproc-per-node 3 -m tests.ops.segments        prints a line of JSON: what failed, by case
"""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from lecture17.experiments.sequence_parallel import Wire
from lecture17.ops import ssd
from lecture17.ops.distributed import ssd_chunkwise
from tests.ops.inputs import relative_error

BATCH, HEADS, GROUPS, D_STATE, D = 2, 4, 2, 5, 3
WEIGHTS = 17


def draw(tokens: int, dtype: torch.dtype, decays: str) -> list[Tensor]:
    """x, log_a, B, C of the whole sequence, the same in every process."""
    generator = torch.Generator().manual_seed(tokens)

    def normal(*shape: int) -> Tensor:
        return torch.randn(BATCH, tokens, *shape, generator=generator, dtype=torch.float64)

    log_a = -0.1 * normal(HEADS).abs()
    if decays == "zero":
        log_a[0, :: max(1, tokens // 4), 1:] = -torch.inf
    if decays == "keep":
        log_a.zero_()
    return [a.to(dtype) for a in (normal(HEADS, D), log_a, normal(GROUPS, D_STATE), normal(GROUPS, D_STATE))]


def weights(like: Tensor) -> Tensor:
    """How the loss weighs each number of an output."""
    generator = torch.Generator().manual_seed(WEIGHTS)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.dtype)


def check(
    lengths: Sequence[int],
    dtype: torch.dtype = torch.float64,
    tolerance: float = 1e-10,
    decays: str = "mild",
    with_state: bool = False,
    layers: int = 1,
    state_in_loss: bool = True,
    group: Any = None,
) -> None:
    """Outputs, states, gradients and bytes of this process's segment are those of the whole, `layers` times over."""
    rank, last = dist.get_rank(group), dist.get_rank(group) == len(lengths) - 1
    end = sum(lengths[: rank + 1])
    mine = slice(end - lengths[rank], end)
    args = draw(sum(lengths), dtype, decays)
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    first = weights(torch.empty(BATCH, HEADS, D_STATE, D, dtype=wide)) if with_state else None

    def run(function: Callable[..., Any], args: list[Tensor], part: slice, wire: Wire, in_loss: bool) -> Any:
        leaves = [a.clone().requires_grad_() for a in (*args, *([] if first is None else [first]))]
        y, log_a, B, C = leaves[:4]
        state = None if first is None else leaves[4]
        for _ in range(layers):
            y, after = function(y, log_a, B, C, state, chunk_size=4)
        wire.mark("forward")
        whole = weights(torch.empty(BATCH, sum(lengths), HEADS, D, dtype=dtype))
        loss = (y * whole[:, part]).sum() + ((after * weights(after)).sum() if in_loss else 0)
        gradients = torch.autograd.grad(loss, leaves)
        wire.mark("backward")
        return y.detach(), after.detach(), gradients

    wire = Wire()
    with wire.watched():
        y, after, gradients = run(
            partial(ssd_chunkwise, group=group),
            [a[:, mine] for a in args],
            mine,
            wire,
            last and state_in_loss,
        )
    y_all, after_all, gradients_all = run(ssd.chunkwise, args, slice(None), Wire(), state_in_loss)
    if y.numel():
        assert relative_error(y, y_all[:, mine]) < tolerance
    if last:
        assert relative_error(after, after_all) < tolerance
    assert (y.dtype, after.dtype) == (dtype, wide)
    for name, ours, alone in zip(("x", "log_a", "B", "C"), gradients, gradients_all, strict=False):
        error = (ours - alone[:, mine]).abs().amax().item() if ours.numel() else 0.0
        assert error <= tolerance * alone.abs().amax().item(), f"gradient of {name}: {error}"
    if with_state:
        total = gradients[4].clone()
        dist.all_reduce(total, group=group)
        assert relative_error(total, gradients_all[4]) < tolerance, "gradient of state"
    message = layers * BATCH * HEADS * (D_STATE * D + 1) * wide.itemsize
    assert wire.marked == {"forward": message * (not last), "backward": message * (rank > 0)}, wire.marked


CASES: dict[str, Callable[[], None]] = {
    "equal segments": lambda: check((16, 16, 16)),
    "ragged segments": lambda: check((7, 30, 11)),
    "an empty segment in the middle": lambda: check((9, 0, 6)),
    "empty segments at the ends": lambda: check((0, 13, 0)),
    "a long sequence sends no more": lambda: check((300, 301, 299)),
    "an initial state": lambda: check((7, 30, 11), with_state=True),
    "zero decays": lambda: check((9, 8, 10), decays="zero", with_state=True),
    "no decay": lambda: check((9, 8, 10), decays="keep", with_state=True),
    "two layers": lambda: check((5, 6, 4), with_state=True, layers=2),
    "a loss without the last state": lambda: check((5, 6, 4), state_in_loss=False),
    "float32": lambda: check((70, 41, 90), torch.float32, 1e-5, with_state=True),
    "float32, zero decays": lambda: check((70, 41, 90), torch.float32, 1e-5, "zero", with_state=True),
    "bfloat16": lambda: check((20, 11, 9), torch.bfloat16, 4e-2, with_state=True),
}


def in_a_group(pair: Any) -> None:
    if dist.get_rank() > 0:
        check((8, 5), with_state=True, group=pair)


def with_fewer_keys_on_the_first(pair: Any) -> None:
    rank = dist.get_rank()
    if rank == 0:
        return
    x, log_a, B, C = draw(6, torch.float32, "mild")
    if rank == 1:
        ssd_chunkwise(x, log_a, B[..., 1:], C[..., 1:], group=pair)
        return
    with pytest.raises(ConnectionError, match=r"rank 1 got fewer than 128 numbers from rank 0.*the same batch, heads"):
        ssd_chunkwise(x, log_a, B, C, group=pair)


CASES_OF_A_PAIR: dict[str, Callable[[Any], None]] = {
    "a group of some of the processes": in_a_group,
    "sizes that differ are noticed": with_fewer_keys_on_the_first,
}


def main() -> None:
    dist.init_process_group("gloo", timeout=timedelta(seconds=20))
    pair = dist.new_group([1, 2])
    cases = CASES | {name: partial(case, pair) for name, case in CASES_OF_A_PAIR.items()}
    found: dict[str, Any] = {}
    for name, case in cases.items():
        try:
            case()
            failure = ""
        except (AssertionError, pytest.fail.Exception) as error:
            failure = f"rank {dist.get_rank()}: {error}"
        failures: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(failures, failure)
        found[name] = [f for f in failures if f]
    if dist.get_rank() == 0:
        print(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
