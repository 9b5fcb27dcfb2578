"""Types, long sequences and decays of every size: what is computed stays finite and as exact as its type."""

from functools import partial
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import Tensor

from lecture17.ops import gla, retention, ssd
from lecture17.ops.cpu import blocks, scalar
from lecture17.reference import gla as reference_gla
from lecture17.reference import mamba3 as reference_mamba3
from lecture17.reference import ssd as reference_ssd
from tests.ops.inputs import BATCHED, Form, in_type, parts, relative_error
from tests.strategies import DECAYS

every_mixer = pytest.mark.parametrize("name", BATCHED)


def in_16_bits(name: str, N: int) -> dict[str, Any]:
    """Arguments of a mixer with numbers that bfloat16 holds."""
    args = in_type(BATCHED[name].draw(np.random.default_rng(0), 2, 4, 2, N, 3, 4, "mild").args, torch.bfloat16)
    if "kappa" in args:  # of length 1 in any type
        args["kappa"] = torch.nn.functional.one_hot(args["kappa"].argmax(-1), 3).to(torch.bfloat16)
    return args


@every_mixer
def test_16_bit_inputs_are_summed_in_float32(name: str) -> None:
    mixer = BATCHED[name]
    args = in_16_bits(name, 70)
    in_float32 = in_type(args, torch.float32)
    for form_16, form_32 in zip(mixer.forms(16).values(), mixer.forms(16).values(), strict=True):
        y, state = form_16(*args.values())
        y_32, state_32 = form_32(*in_float32.values())
        assert y.dtype == torch.bfloat16
        assert [s.dtype for s in parts(state)] == [s.dtype for s in parts(state_32)]
        assert relative_error(state, state_32) < 1e-5
        assert relative_error(y, y_32) < 2**-8


@every_mixer
def test_16_bit_inputs_have_16_bit_gradients(name: str) -> None:
    mixer = BATCHED[name]
    args = in_16_bits(name, 20)
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        leaves = [a.to(dtype).requires_grad_() for a in args.values() if isinstance(a, Tensor)]
        constants = [a for a in args.values() if not isinstance(a, Tensor)]
        y, _ = list(mixer.forms(8).values())[-2](*leaves, *constants)
        found.append(torch.autograd.grad(y.sum(), leaves))
    assert all(g.dtype == torch.bfloat16 for g in found[0])
    for g_16, g_32 in zip(*found, strict=True):
        assert relative_error(g_16, g_32) < 2**-6


@pytest.mark.parametrize("name", [name for name, mixer in BATCHED.items() if mixer.chunkwise])
def test_65536_tokens_are_finite_in_value_and_gradient(name: str) -> None:
    mixer = BATCHED[name]
    rng = np.random.default_rng(0)
    heads = DECAYS if mixer.heads else ("mixed",)  # every head with decays of its own kind
    drawn = [mixer.draw(rng, 1, 1, 1, 65_536, 2, 1, decays).args for decays in heads]
    beside = {name: mixer.heads_axis(name) for name in drawn[0]}
    args = {name: torch.cat([a[name] for a in drawn], beside[name]) for name in drawn[0] if name != "normalize"}
    args = {**drawn[0], **in_type(args, torch.float32)}
    leaves = [a.requires_grad_() if isinstance(a, Tensor) else a for a in args.values()]
    y, state = mixer.module.chunkwise(*leaves)
    assert all(s.isfinite().all() for s in (y, *parts(state)))
    total = torch.stack([s.sum() for s in (y, *parts(state))]).sum()
    assert all(g.isfinite().all() for g in torch.autograd.grad(total, [a for a in leaves if isinstance(a, Tensor)]))


@pytest.mark.parametrize("strong", [-20.0, -103.0, -1e4, -torch.inf])
def test_weak_decays_between_strong_ones_keep_their_digits(strong: float) -> None:
    """The sum of 64 strong ones is so large that, rounded to float32, it is off by more than the weak ones."""
    rng = np.random.default_rng(0)
    x, B, C = rng.normal(size=(64, 3)), rng.normal(size=(64, 2)), rng.normal(size=(64, 2))
    log_a = np.where(np.arange(64) % 8 == 0, strong, -1e-3)
    want = reference_ssd.recurrent(x, log_a, B, C)
    batched = [torch.tensor(a, dtype=torch.float32)[None, :, None] for a in (x, log_a, B, C)]
    for form in (ssd.parallel, ssd.chunkwise):
        y, state = form(*batched)
        assert relative_error((y[0, :, 0], state[0, 0]), tuple(map(torch.tensor, want))) < 1e-6


def test_nothing_before_a_decay_of_zero_is_left_however_large_it_was() -> None:
    args = in_type(BATCHED["ssd"].draw(np.random.default_rng(0), 1, 2, 1, 40, 3, 4, "mild").args, torch.float32)
    args["log_a"][:, 20] = -torch.inf
    for form in BATCHED["ssd"].forms(chunk_size=16).values():
        want = form(*args.values())
        large = {**args, "x": torch.cat([1e30 * args["x"][:, :20], args["x"][:, 20:]], 1)}
        y, state = form(*large.values())
        assert torch.equal(y[:, 20:], want[0][:, 20:])
        assert torch.equal(state, want[1])


def test_large_angles_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    args = in_type(BATCHED["mamba3"].draw(rng, 1, 1, 1, 300, 2, 4, "mild").args, torch.float32)
    args["theta"] *= 1000
    want = reference_mamba3.recurrent(*(a[0, :, 0].double().numpy() for a in args.values()))[0]
    for form in BATCHED["mamba3"].forms(chunk_size=64).values():
        y, _ = form(*args.values())
        assert relative_error(y[0, :, 0], torch.tensor(want)) < 1e-5


def test_a_small_decay_has_an_exact_small_gradient() -> None:
    """The gradient by log_a is as small as the decay; as a difference of larger sums it would be all rounding."""
    mixer = BATCHED["ssd"]
    args = mixer.draw(np.random.default_rng(0), 1, 2, 1, 30, 3, 4, "mild").args
    args["log_a"][:, ::5] = np.log(1e-30)
    log_a = args["log_a"].requires_grad_()
    found = []
    for form in (ssd.chunkwise, ssd.recurrent):
        y, state = form(*args.values())
        found.append(torch.autograd.grad(y.cos().sum() + state.sum(), log_a)[0])
    assert found[1][:, ::5].abs().max() < 1e-28
    assert ((found[0] - found[1]).abs() <= 1e-10 * found[1].abs()).all()


@pytest.mark.parametrize("gamma", [0, 1e-20, 0.9, 1])
def test_one_number_is_the_gamma_of_all_heads(gamma: float) -> None:
    args = BATCHED["retention"].draw(np.random.default_rng(0), 2, 3, 1, 20, 2, 3, "mild").args
    Q, K, V = (args[name] for name in "QKV")
    for form in (retention.parallel, retention.recurrent, retention.chunkwise):
        want = form(Q, K, V, torch.full((3,), float(gamma), dtype=torch.float64))
        assert relative_error(form(Q, K, V, gamma), want) == 0


@pytest.mark.parametrize("lowest", [-0.6, -1.0, -5.0, -200.0])  # the product of decayed queries and keys, and beyond
def test_gla_is_exact_however_strong_its_gates(lowest: float) -> None:
    args = BATCHED["gla"].draw(np.random.default_rng(0), 1, 1, 1, 200, 8, 4, "keep").args
    args["log_alpha"].uniform_(2 * lowest, 0)
    want = reference_gla.recurrent(*(a[0, :, 0].numpy() for a in args.values()))
    y, state = gla.chunkwise(*(a.float() for a in args.values()))
    assert relative_error((y[0, :, 0], state[0, 0]), tuple(map(torch.tensor, want))) < 3e-6


def by_form(form: Form, args: dict[str, Tensor], dtype: torch.dtype) -> list[Tensor]:
    """y, the last state, and the gradients of a function of both."""
    leaves = [a.to(dtype).requires_grad_() for a in args.values()]
    y, state = form(*leaves)
    return [y, state, *torch.autograd.grad((y * y).sum() + state.sum(), leaves)]


@pytest.mark.parametrize("total", [0.5, 0.999, 1.001, 3.0, "either"])  # in LOWEST_SUM, of each block
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_decays_are_divided_out_down_to_a_limit_and_nothing_shows_it(
    total: float | str, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_NUMEL", 2 * 2 * 4 * 8 * 8)  # two chunks of 8 tokens of both sequences in a block
    args = BATCHED["ssd"].draw(np.random.default_rng(0), 2, 4, 2, 16 * 4, 3, 4, "mild").args
    in_a_block = torch.tensor([0.5, 2.0, 0.999, 1.001] if total == "either" else [total] * 4, dtype=torch.float64)
    log_a = args["log_a"].unflatten(1, (4, 16))
    log_a *= (in_a_block * scalar.LOWEST_SUM * np.log(2))[:, None, None] / log_a.sum(2, keepdim=True)
    exact = Mock(wraps=scalar._exact)
    monkeypatch.setattr(scalar, "_exact", exact)
    got = by_form(partial(ssd.chunkwise, chunk_size=8), args, dtype)
    assert exact.call_count == 2 * sum(in_a_block > 1)  # in the forward and in the backward pass
    for g, want in zip(got, by_form(ssd.recurrent, args, torch.float64), strict=True):
        assert relative_error(g, want) < tolerance


@pytest.mark.parametrize("large", ["B", "x"])
def test_numbers_too_large_to_be_divided_by_decays_are_exact_all_the_same(large: str) -> None:
    args = BATCHED["ssd"].draw(np.random.default_rng(0), 1, 2, 1, 64, 3, 4, "mild").args
    args["log_a"] *= 0.9 * scalar.LOWEST_SUM * np.log(2) / args["log_a"].sum(1, keepdim=True)
    args[large] *= 1e33
    args["C"] *= 1e-33
    got = by_form(ssd.chunkwise, args, torch.float32)
    for g, want in zip(got[:2], by_form(ssd.recurrent, args, torch.float64), strict=False):
        assert relative_error(g, want) < 1e-5
    assert all(g.isfinite().all() for g in got)


def test_the_state_before_numbers_too_large_is_kept_where_the_block_before_was_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_NUMEL", 1)  # a block for each chunk
    args = BATCHED["ssd"].draw(np.random.default_rng(0), 1, 2, 2, 128, 3, 4, "mild").args
    args["log_a"][:, :64] = -5.0
    args["log_a"][:, 64:] *= 0.9 * scalar.LOWEST_SUM * np.log(2) / args["log_a"][:, 64:].sum(1, keepdim=True)
    args["x"] *= 1e33
    args["C"] *= 1e-33
    exact = Mock(wraps=scalar._exact)
    monkeypatch.setattr(scalar, "_exact", exact)
    y, _ = ssd.chunkwise(*(a.float() for a in args.values()))
    assert exact.call_count == 2
    assert relative_error(y, ssd.recurrent(*args.values())[0]) < 1e-5


def test_small_gradients_keep_their_digits_where_decays_are_divided_out() -> None:
    args = BATCHED["ssd"].draw(np.random.default_rng(0), 1, 2, 1, 64, 3, 4, "mild").args
    args["log_a"] *= 0.99 * scalar.LOWEST_SUM * np.log(2) / args["log_a"].sum(1, keepdim=True)
    found = []
    for scale in (1.0, 2.0**-60):
        leaves = [a.float().requires_grad_() for a in args.values()]
        y, _ = ssd.chunkwise(*leaves)
        found.append([g / scale for g in torch.autograd.grad(scale * y.sum(), leaves)])
    for small, g in zip(*found, strict=True):
        assert relative_error(small, g) < 1e-6


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    mixer = BATCHED["ssd"]
    args = mixer.draw(np.random.default_rng(0), 3, 4, 2, 45, 3, 5, "mixed").args
    found = []
    for numel in (1, 200, 1000, 2**18):  # a chunk of one sequence at a time, several chunks, several sequences, all
        monkeypatch.setattr(blocks, "BLOCK_NUMEL", numel)
        leaves = [a.clone().requires_grad_() for a in args.values()]
        y, state = mixer.forms(4)["chunkwise"](*leaves)
        found.append((y, state, *torch.autograd.grad(y.cos().sum() + state.sin().sum(), leaves)))
    for other in found[:-1]:
        assert relative_error(other, found[-1]) < 1e-12


@pytest.mark.parametrize("chunk_size", [1, 4])
@every_mixer
def test_arguments_and_state_are_left_as_they_were(name: str, chunk_size: int) -> None:
    mixer = BATCHED[name]
    args = mixer.draw(np.random.default_rng(0), 1, 1, 1, 9, 3, 2, "mixed").args
    for form in mixer.forms(chunk_size).values():
        leaves = [a.clone().requires_grad_() if isinstance(a, Tensor) else a for a in args.values()]
        y, state = form(*leaves)
        before = [s.detach().clone() for s in parts(state)]
        y_next, state_next = form(*leaves, state=state)
        total = torch.stack([s.sum() for s in (y, y_next, *parts(state_next))]).sum()
        torch.autograd.grad(total, [a for a in leaves if isinstance(a, Tensor)])
        assert all(torch.equal(s, b) for s, b in zip(parts(state), before, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(leaves, args.values(), strict=True) if isinstance(a, Tensor))


@pytest.mark.parametrize("name", [name for name, mixer in BATCHED.items() if mixer.chunkwise])
def test_numbers_of_numpy_are_numbers(name: str) -> None:
    """As in a sweep over chunk sizes in an array."""
    mixer = BATCHED[name]
    args = mixer.draw(np.random.default_rng(0), 1, 2, 1, 20, 3, 2, "mild").args
    plain, _ = mixer.module.chunkwise(*args.values(), chunk_size=8)
    y, _ = mixer.module.chunkwise(*args.values(), chunk_size=np.int64(8))
    assert torch.equal(y, plain)
