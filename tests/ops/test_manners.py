"""What PyTorch people expect of every op: autocast, torch.compile, second derivatives, strides, empty and meta tensors,
and sequences packed in one row.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from lecture17.ops import distributed, packing, ssd
from lecture17.ops.value_validation import values_unchecked
from tests.ops.inputs import BATCHED, Form, gradients, in_type, parts, relative_error, with_parts

every_mixer = pytest.mark.parametrize("name", BATCHED)
DECAYED = {  # by its name here, the argument whose -inf forgets
    name: str(BATCHED[name].one_head.decay)
    for name in ("ssd", "gla", "mamba3", "delta_rule_gated", "kda", "delta_product_gated", "mlstm", "mesa", "rwkv7")
}


def arguments(name: str, batch: int = 2, time: int = 7) -> dict[str, Any]:
    return BATCHED[name].draw(np.random.default_rng(1), batch, 2, 1, time, 4, 2, "mild").args


def ones(result: Any) -> list[Tensor]:
    return [torch.ones_like(part) for part in parts(result)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_mixer
def test_autocast_computes_in_its_type_and_sums_in_float32(name: str, dtype: torch.dtype) -> None:
    mixer = BATCHED[name]
    args = list(in_type(arguments(name), torch.float32).values())
    for form in mixer.forms(chunk_size=4).values():
        want = form(*args)
        exact = gradients(form, args, want[1], ones(want))
        with torch.autocast("cpu", dtype):
            y, state = form(*args)
            slopes = gradients(form, args, state, ones(want))
        assert y.dtype == dtype
        assert [part.dtype for part in parts(state)] == [part.dtype for part in parts(want[1])]
        assert relative_error((y, state), want) < 0.05
        assert [slope.dtype for slope in slopes] == [slope.dtype for slope in exact]
        assert relative_error(slopes, tuple(exact)) < 0.1


@pytest.mark.parametrize("name", ["linear_attention", "linear_attention_normalized"])  # the others: in their blocks
def test_compiled_as_one_graph_it_gives_the_same_numbers_and_gradients(name: str) -> None:
    mixer = BATCHED[name]
    args = list(arguments(name).values())
    chunkwise = partial(mixer.module.chunkwise, chunk_size=4)
    torch.compiler.reset()  # of one function only a few are compiled, and then it runs as it is
    compiled = torch.compile(chunkwise, backend="aot_eager", fullgraph=True)
    want = chunkwise(*args)
    assert relative_error(compiled(*args), want) < 1e-12
    found = gradients(compiled, args, want[1], ones(want))
    assert relative_error(found, gradients(chunkwise, args, want[1], ones(want))) < 1e-10


@every_mixer
def test_a_compiled_step_gives_the_same_numbers(name: str) -> None:
    mixer, args = BATCHED[name], arguments(name)
    _, state = mixer.module.recurrent(*args.values())
    token = mixer.cut(args, 3)
    torch.compiler.reset()
    step = torch.compile(mixer.module.step, backend="aot_eager", fullgraph=True)
    assert relative_error(step(*token, state=state), mixer.module.step(*token, state=state)) < 1e-12


def test_what_is_compiled_still_refuses_numbers_that_are_ruled_out() -> None:
    compiled = torch.compile(ssd.chunkwise, backend="aot_eager")
    args = arguments("ssd")
    with pytest.raises(RuntimeError, match="log_a: expected log decays, at most 0"):
        compiled(**args | {"log_a": -args["log_a"]})


@every_mixer
def test_second_derivatives_are_right(name: str) -> None:
    """`torch.autograd.grad` in the test: what is silently left out there is caught by the comparison."""
    mixer = BATCHED[name]
    args = mixer.draw(np.random.default_rng(1), 1, 1, 1, 3, 2, 1, "mild").args
    tensors = {key: a.requires_grad_() for key, a in args.items() if isinstance(a, Tensor)}
    _, state = mixer.module.recurrent(*args.values())
    first = [s.detach().requires_grad_() for s in parts(state)]
    for form in mixer.forms(chunk_size=2).values():

        def function(*leaves: Tensor, form: Form = form) -> tuple[Tensor, ...]:
            named = args | dict(zip(tensors, leaves, strict=False))
            return tuple(parts(form(*named.values(), state=with_parts(state, leaves[len(tensors) :]))))

        assert torch.autograd.gradgradcheck(function, [*tensors.values(), *first], fast_mode=True)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.skipif(os.name == "nt", reason="the process group is made for Linux and macOS")
@pytest.mark.usefixtures("alone")
def test_a_second_derivative_across_processes_is_refused_by_name() -> None:
    args = {name: a.requires_grad_() for name, a in arguments("ssd").items()}
    y, _ = distributed.ssd_chunkwise(**args)
    with pytest.raises(RuntimeError, match=r"ops.distributed.ssd_chunkwise has no second derivative"):
        torch.autograd.grad(y.sum(), list(args.values()), create_graph=True)


def every_other(x: Tensor) -> Tensor:
    """The same numbers, with others between them."""
    return torch.stack([x, torch.full_like(x, torch.nan)], -1)[..., 0]


def last_axis_first(x: Tensor) -> Tensor:
    """The same numbers, the last axis outermost in memory."""
    return x.movedim(-1, 0).contiguous().movedim(0, -1) if x.ndim else x


@pytest.mark.parametrize("laid_out", [every_other, last_axis_first])
@every_mixer
def test_strides_change_nothing(name: str, laid_out: Callable[[Tensor], Tensor]) -> None:
    args = list(arguments(name).values())
    strided = [laid_out(a) if isinstance(a, Tensor) else a for a in args]
    assert not all(a.is_contiguous() for a in strided if isinstance(a, Tensor))
    for form in BATCHED[name].forms(chunk_size=4).values():
        want = form(*args)
        start = with_parts(want[1], map(laid_out, parts(want[1])))
        assert relative_error(form(*strided), want) < 1e-12
        assert relative_error(form(*strided, state=start), form(*args, state=want[1])) < 1e-12
        # `gradients` clones its leaves, which keeps their strides.
        slopes = gradients(form, strided, start, ones(want))
        assert relative_error(slopes, gradients(form, args, want[1], ones(want))) < 1e-10


@every_mixer
def test_one_sequence_expanded_to_a_batch_is_that_sequence_each_time(name: str) -> None:
    mixer = BATCHED[name]
    args = arguments(name, batch=1)
    expanded = [
        a.expand(3, *a.shape[1:]) if isinstance(a, Tensor) and key not in mixer.one_head.fixed else a
        for key, a in args.items()
    ]
    for form in mixer.forms(chunk_size=4).values():
        y, _ = form(*expanded)
        assert relative_error(y, form(*args.values())[0].expand_as(y)) < 1e-12


@every_mixer
def test_no_sequences_give_no_results_and_have_gradients(name: str) -> None:
    args = list(arguments(name, batch=0).values())
    like = arguments(name)
    for form in BATCHED[name].forms(chunk_size=4).values():
        result = form(*args)
        assert [(0, *part.shape[1:]) for part in parts(form(*like.values()))] == [part.shape for part in parts(result)]
        assert all(g.numel() == 0 or not g.any() for g in gradients(form, args, result[1], ones(result)))


@every_mixer
def test_after_no_tokens_the_state_is_a_copy(name: str) -> None:
    mixer, args = BATCHED[name], arguments(name)
    _, state = mixer.module.recurrent(*args.values())
    before = [part.clone() for part in parts(state)]
    for form in mixer.forms(chunk_size=4).values():
        y, after = form(*mixer.cut(args, slice(0)), state=state)
        assert y.shape[1] == 0
        if form.__name__ == "_step_by_step":
            continue
        assert relative_error(after, state) == 0
        for part in parts(after):
            part.fill_(7)
        assert all(map(torch.equal, parts(state), before))


@every_mixer
def test_meta_tensors_have_the_shapes_and_types_of_the_results(name: str) -> None:
    args = in_type(arguments(name), torch.bfloat16)
    on_meta = [a.to("meta") if isinstance(a, Tensor) else a for a in args.values()]
    for form in BATCHED[name].forms(chunk_size=4).values():
        found, want = parts(form(*on_meta)), parts(form(*args.values()))
        assert [(part.device.type, part.dtype, part.shape) for part in found] == [
            ("meta", part.dtype, part.shape) for part in want
        ]


@every_mixer
def test_values_are_not_looked_at_where_that_is_asked_for(name: str) -> None:
    mixer, args = BATCHED[name], arguments(name)
    args[mixer.one_head.values][0, 2] = torch.nan
    for form in mixer.forms(chunk_size=4).values():
        with values_unchecked():
            y, _ = form(*args.values())
        assert y[0].isnan().any()
        assert y[1].isfinite().all()
        with pytest.raises(ValueError, match="expected finite numbers"):
            form(*args.values())


def test_sequences_begin_where_cu_seqlens_says() -> None:
    assert packing.starts(torch.tensor([0, 4, 6, 6, 9])).int().tolist() == [[1, 0, 0, 0, 1, 0, 1, 0, 0]]
    for wrong in ([1, 4], [0, 4, 3]):
        with pytest.raises(ValueError, match=r"cu_seqlens is \[.*\]: expected numbers that begin with 0"):
            packing.starts(torch.tensor(wrong))


def packed(name: str) -> tuple[dict[str, Any], Tensor, list[Tensor]]:
    """Arguments of 20 tokens in each of 2 rows, where sequences begin, and y of each row's sequences by themselves."""
    mixer, args = BATCHED[name], arguments(name, time=20)
    cuts = [[0, 6, 7, 20], [0, 13, 20]]
    seq_start = torch.cat([packing.starts(torch.tensor(row)) for row in cuts])
    rows = []
    for row, borders in enumerate(cuts):
        pieces = []
        for begin, end in pairwise(borders):
            piece = mixer.cut(args, slice(begin, end))
            one = [a if key in mixer.one_head.fixed else a[row : row + 1] for key, a in zip(args, piece, strict=True)]
            pieces.append(mixer.module.recurrent(*one)[0])
        rows.append(torch.cat(pieces, 1))
    return args, seq_start, rows


@every_mixer
def test_by_pieces_is_every_packed_sequence_by_itself(name: str) -> None:
    mixer = BATCHED[name]
    args, seq_start, rows = packed(name)
    sequences = [key for key in args if key not in mixer.one_head.fixed]
    for form in mixer.forms(chunk_size=4).values():

        def run(*pieces: Tensor, form: Form = form) -> Tensor:
            return form(*(args | dict(zip(sequences, pieces, strict=True))).values())[0]

        y = packing.by_pieces(run, seq_start, *(args[key] for key in sequences))
        assert relative_error(y, torch.cat(rows)) < 1e-12


@pytest.mark.parametrize("name", DECAYED)
def test_a_decay_that_forgets_parts_packed_sequences(name: str) -> None:
    mixer = BATCHED[name]
    args, seq_start, rows = packed(name)
    args[DECAYED[name]] = packing.reset(args[DECAYED[name]], seq_start)
    if name == "rwkv7":
        args["kappa"] = args["kappa"].masked_fill(seq_start[..., None, None], 0)
    for form in mixer.forms(chunk_size=4).values():
        assert relative_error(form(*args.values())[0], torch.cat(rows)) < 1e-12


@pytest.mark.parametrize("name", ["ssd", "delta_rule_gated", "kda", "gla"])
def test_looking_at_values_costs_at_most_a_fiftieth_of_4096_tokens(name: str) -> None:
    """CPU time with and without, in turn: the least of each, of as many as a busy machine needs to show them."""
    mixer = BATCHED[name]
    args = mixer.draw(np.random.default_rng(1), 1, 4, 4, 4096, 64, 64, "mild").args
    given = list(in_type(args, torch.float32).values())

    def seconds() -> float:
        start = time.process_time()
        mixer.module.chunkwise(*given)
        return time.process_time() - start

    looking, not_looking = math.inf, math.inf
    for turn in range(200):
        looking = min(looking, seconds())
        with values_unchecked():
            not_looking = min(not_looking, seconds())
        if turn >= 20 and looking < 1.02 * not_looking:
            return
    pytest.fail(f"{looking:.4f} s with a look at the values, {not_looking:.4f} s without")
