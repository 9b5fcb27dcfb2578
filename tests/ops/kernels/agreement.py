"""Kernels against `lecture17.ops` in float64: value, state and gradients. `test_kernels` runs this in its own process.

The interpreter takes a tenth of a millisecond for the least of operations: the cases are small and few.
"""

from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from triton.runtime import interpreter

from lecture17.mixers import with_kernels
from lecture17.ops.kernels import ssd
from lecture17.ops.kernels.tools import INTERPRETED
from tests.ops.inputs import BATCHED, in_type, relative_error

DEVICE = "cpu" if INTERPRETED else "cuda"
every_mixer = pytest.mark.parametrize("mixer", with_kernels())

# batch, heads, groups, tokens, d_k, d_v, chunk_size, decays
SIZES = {
    "least": (1, 1, 1, 1, 16, 16, 16, "mild"),
    "heads": (2, 4, 2, 17, 16, 16, 16, "mixed"),
    "odd": (1, 1, 1, 37, 24, 40, 32, "mixed"),
    "wide": (1, 1, 1, 17, 128, 128, 16, "mild"),
    "long": (1, 1, 1, 129, 16, 16, 128, "mixed"),
    "many": (1, 1, 1, 98, 16, 16, 16, "mixed"),  # more chunks than a loop over them loads ahead
    "keep": (1, 1, 1, 25, 64, 32, 64, "keep"),
    "forget": (1, 1, 1, 34, 32, 16, 16, "forget"),
}


@pytest.fixture(autouse=True)
def quick_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of a function in a kernel replaces parts of Triton for good, and takes most of the time. Once will do."""
    replace = cache(interpreter._patch_lang)

    def call(self: interpreter.InterpretedFunction, *args: Any, **kwargs: Any) -> Any:
        replace(self.fn)
        return self.rewrite()(*args, **kwargs)

    monkeypatch.setattr(interpreter.InterpretedFunction, "__call__", call)


def arguments(mixer: str, size: str, dtype: torch.dtype = torch.float32) -> tuple[list[Tensor], int]:
    """Those of `ops`, a state with them, and the chunk size. Keys have length about 1 as in a trained model."""
    batch, heads, groups, N, d_k, d_v, chunk_size, decays = SIZES[size]
    if mixer != "ssd":  # whose heads alone share keys in groups
        heads, groups = heads // groups, 1
    if mixer == "rwkv7" and size == "long":  # which has no tile of tokens: they come one after another
        N, chunk_size = N // 2 + 1, chunk_size // 2
    rng = np.random.default_rng(0)
    args = in_type(BATCHED[mixer].draw(rng, batch, heads, groups, N, d_k, d_v, decays).args, dtype)
    for key in {"B", "K", "k"} & set(args):
        args[key] = args[key] / d_k**0.5
    state = torch.tensor(rng.normal(size=(batch, heads, d_k, d_v)), dtype=torch.float32)
    return [a.to(DEVICE) for a in (*args.values(), state)], chunk_size


def results(mixer: str, backend: str, args: list[Tensor], chunk_size: int, with_state: bool = True) -> list[Tensor]:
    """y, the state after, and the gradients of both, weighted, by all arguments; PyTorch's are in float64."""
    torch.manual_seed(0)
    if backend == "torch":
        args = [a.double() for a in args]
    *inputs, state = (a.detach().clone().requires_grad_() for a in args)
    chunkwise = import_module(f"lecture17.ops.{mixer}").chunkwise
    start = state if with_state else None
    y, after = chunkwise(*inputs, state=start, chunk_size=chunk_size, backend=backend)
    total = (y.float() * torch.randn(y.shape).to(y.device)).sum() + (
        after * torch.randn(after.shape).to(y.device)
    ).sum()
    return [y, after, *torch.autograd.grad(total, [*inputs, state] if with_state else inputs)]


def worst(got: list[Tensor], want: list[Tensor]) -> float:
    """The largest error of all, each relative to the largest number in its tensor; infinite for a NaN."""
    return max(relative_error(g, w) for g, w in zip(got, want, strict=True))


@pytest.mark.parametrize("size", SIZES)
@every_mixer
def test_a_kernel_is_the_op_in_value_state_and_gradients(mixer: str, size: str) -> None:
    args, chunk_size = arguments(mixer, size)
    assert worst(results(mixer, "triton", args, chunk_size), results(mixer, "torch", args, chunk_size)) < 2e-5


@every_mixer
def test_no_state_is_a_state_of_zeros(mixer: str) -> None:
    args, chunk_size = arguments(mixer, "forget")
    got, want = (results(mixer, backend, args, chunk_size, with_state=False) for backend in ("triton", "torch"))
    assert worst(got, want) < 2e-5


@every_mixer
def test_bfloat16_factors_are_summed_in_float32(mixer: str) -> None:
    args, chunk_size = arguments(mixer, "forget", torch.bfloat16)
    if mixer == "rwkv7":  # of length 1 in any type
        args[4] = torch.nn.functional.one_hot(args[4].argmax(-1), args[4].shape[-1]).to(torch.bfloat16)
    got = results(mixer, "triton", args, chunk_size)
    assert got[0].dtype == torch.bfloat16
    assert got[1].dtype == torch.float32
    assert worst(got, results(mixer, "torch", args, chunk_size)) < 0.02


@pytest.mark.parametrize("strong", [-20.0, -1e4, -torch.inf])
@every_mixer
def test_weak_decays_between_strong_ones_keep_their_digits(mixer: str, strong: float) -> None:
    args, chunk_size = arguments(mixer, "keep")
    decay = list(BATCHED[mixer].one_head.draw(np.random.default_rng(), 1, 1, 1, "keep")).index(
        str(BATCHED[mixer].one_head.decay)
    )
    args[decay].fill_(-1e-3)[:, ::8] = strong
    assert worst(results(mixer, "triton", args, chunk_size), results(mixer, "torch", args, chunk_size)) < 5e-6


@every_mixer
def test_what_is_not_contiguous_is_read_rightly(mixer: str) -> None:
    args, chunk_size = arguments(mixer, "least")
    spread = [torch.stack([a, -a], -1)[..., 0] for a in args]
    got = results(mixer, "triton", spread, chunk_size)
    assert worst(got, results(mixer, "triton", args, chunk_size)) == 0


def test_a_small_decay_of_ssd_has_an_exact_small_gradient() -> None:
    args, chunk_size = arguments("ssd", "odd")
    args[1][:, ::5] = np.log(1e-30)
    got, want = (results("ssd", backend, args, chunk_size)[3][:, ::5] for backend in ("triton", "torch"))
    assert want.abs().max() < 1e-27
    assert ((got - want).abs() <= 1e-4 * want.abs().max()).all()


@every_mixer
def test_torch_compile_sees_one_operator_that_is_registered_rightly(mixer: str) -> None:
    args, _ = arguments(mixer, "least")
    operator = getattr(torch.ops.lecture17, mixer).default
    torch.library.opcheck(operator, (*(a.requires_grad_() for a in args), 16))


def test_a_dot_below_16_is_refused() -> None:
    assert ssd.tile(3) == 16
    scan = {"HEADS": 1, "SHARE": 1, "DK": 8, "DV": 16, "L": 16, "BK": 8, "BV": 16, "READS": False}
    K, V, n, states = torch.zeros(16, 8), torch.zeros(16, 16), torch.zeros(16), torch.zeros(2, 8, 16)
    tensors = (x.to(DEVICE) for x in (K, V, n, n, states))
    with pytest.raises(Exception) as refused:  # noqa: PT011 the interpreter's assertion, or the compiler's error that it causes
        ssd._chunk_states[(1,)](*tensors, 16, 1, **scan)
    assert "a GPU refuses dots below 16" in f"{refused.value} {refused.value.__cause__}"


@every_mixer
def test_a_second_derivative_is_refused_by_name(mixer: str) -> None:
    args, chunk_size = arguments(mixer, "least")
    leaves = [a.requires_grad_() for a in args]
    *inputs, state = leaves
    y, _ = import_module(f"lecture17.ops.{mixer}").chunkwise(
        *inputs, state=state, chunk_size=chunk_size, backend="triton"
    )
    with pytest.raises(RuntimeError, match=rf'ops.{mixer}.chunkwise with backend="triton" has no second derivative'):
        torch.autograd.grad(y.sum(), leaves, create_graph=True)


@every_mixer
def test_compiled_kernels_compute_the_same(mixer: str) -> None:
    args, chunk_size = arguments(mixer, "least")
    chunkwise = partial(import_module(f"lecture17.ops.{mixer}").chunkwise, chunk_size=chunk_size, backend="triton")
    compiled = torch.compile(chunkwise, backend="aot_eager", fullgraph=True)
    for got, want in zip(compiled(*args[:-1], state=args[-1]), chunkwise(*args[:-1], state=args[-1]), strict=True):
        assert torch.equal(got, want)
