"""What is special to the delta rule's family, selective scan and WKV in PyTorch: solves, ways to scores, blocks."""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lecture17.ops import delta_product, delta_rule, gla, kda, rwkv7, selective_scan, wkv4
from lecture17.ops.cpu import blocks, delta
from lecture17.ops.cpu import kda as cpu_kda
from lecture17.ops.cpu.delta_product import DeltaProduct
from lecture17.ops.cpu.delta_rule import DeltaRule
from lecture17.ops.cpu.kda import KDA
from lecture17.ops.cpu.rwkv7 import RWKV7, doublings
from lecture17.reference import delta_product as reference_delta_product
from lecture17.reference import delta_rule as reference_delta_rule
from lecture17.reference import kda as reference_kda
from lecture17.reference import rwkv7 as reference_rwkv7

Arguments = list[Any]  # tensors, in the order of the call


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype)


def fractions(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64)


def unit(*shape: int) -> Tensor:
    return torch.nn.functional.normalize(numbers(*shape), dim=-1)


def largest(x: Tensor) -> float:
    return x.abs().max().item()


def delta_arguments(b: int, N: int, h: int, d_k: int, d_v: int) -> Arguments:
    return [numbers(b, N, h, d_k), unit(b, N, h, d_k), numbers(b, N, h, d_v), 2 * fractions(b, N, h)]


def gated_arguments(b: int, N: int, h: int, d_k: int, d_v: int) -> Arguments:
    return [*delta_arguments(b, N, h, d_k, d_v), -fractions(b, N, h)]


def kda_arguments(b: int, N: int, h: int, d_k: int, d_v: int) -> Arguments:
    Q, K, V, beta = delta_arguments(b, N, h, d_k, d_v)
    return [Q, K, V, -fractions(b, N, h, d_k), beta]


def product_arguments(b: int, N: int, h: int, d_k: int, d_v: int, n_h: int = 2) -> Arguments:
    K, V, beta = unit(b, N, n_h, h, d_k), numbers(b, N, n_h, h, d_v), 2 * fractions(b, N, n_h, h)
    return [numbers(b, N, h, d_k), K, V, beta, -fractions(b, N, h)]


def rwkv7_arguments(b: int, N: int, h: int, d_k: int, d_v: int, lowest: float = -0.6) -> Arguments:
    r, k, kappa = numbers(b, N, h, d_k), numbers(b, N, h, d_k), unit(b, N, h, d_k)
    return [r, lowest * fractions(b, N, h, d_k), k, numbers(b, N, h, d_v), kappa, fractions(b, N, h, d_k)]


def scan_arguments(b: int, N: int, h: int, d_k: int, d_v: int) -> Arguments:
    return [numbers(b, N, d_v), fractions(b, N, d_v), -fractions(d_v, d_k), numbers(b, N, d_k), numbers(b, N, d_k)]


CHUNKWISE: dict[str, tuple[Callable[..., Any], Callable[..., Arguments]]] = {
    "delta_rule": (delta_rule.chunkwise, delta_arguments),
    "delta_rule_gated": (delta_rule.chunkwise, gated_arguments),
    "kda": (kda.chunkwise, kda_arguments),
    "delta_product": (delta_product.chunkwise, product_arguments),
    "rwkv7": (rwkv7.chunkwise, rwkv7_arguments),
    "selective_scan": (selective_scan.chunkwise, scan_arguments),
}
EACH = pytest.mark.parametrize(("chunkwise", "draw"), CHUNKWISE.values(), ids=CHUNKWISE)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


def with_gradients(chunkwise: Callable[..., Any], arguments: Arguments) -> list[Tensor]:
    """y, the state, and the gradients of both by all arguments."""
    leaves = [x.clone().requires_grad_() for x in arguments]
    y, state = chunkwise(*leaves, chunk_size=4)
    return [y, state, *torch.autograd.grad(y.cos().sum() + state.sin().sum(), leaves)]


@EACH
def test_blocks_of_any_size_give_the_same(
    chunkwise: Callable[..., Any], draw: Callable[..., Arguments], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = draw(3, 22, 2, 3, 4)
    whole = with_gradients(chunkwise, arguments)
    for numel in (1, 100, 250):  # one chunk of one sequence at a time, several chunks, several sequences
        monkeypatch.setattr(blocks, "BLOCK_NUMEL", numel)
        for got, want in zip(with_gradients(chunkwise, arguments), whole, strict=True):
            assert largest(got - want) <= 1e-12 * largest(want)


@pytest.mark.parametrize(
    ("mixer", "block"), [(delta_rule, DeltaRule), (kda, KDA), (delta_product, DeltaProduct), (rwkv7, RWKV7)]
)
def test_the_memory_of_blocks_is_gone_when_a_call_returns(
    mixer: Any, block: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Spy(block):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(weakref.ref(self))

    monkeypatch.setattr(mixer, block.__name__, Spy)
    monkeypatch.setattr(blocks, "BLOCK_NUMEL", 1)
    y, _ = mixer.chunkwise(*(x.requires_grad_() for x in CHUNKWISE[mixer.__name__.split(".")[-1]][1](1, 50, 2, 3, 4)))
    assert y.requires_grad  # what the graph keeps is not that memory
    assert len(made) == 2  # for blocks of one chunk, and for the rest: 50 is no multiple of 16
    assert made[0]() is made[1]() is None


@EACH
def test_backward_keeps_the_arguments_and_states_only(
    chunkwise: Callable[..., Any], draw: Callable[..., Arguments], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [x.requires_grad_() for x in draw(1, 256, 1, 4, 4)]
    monkeypatch.setattr(blocks, "BLOCK_NUMEL", 1)  # a state for each of the 16 chunks is kept
    kept: list[int] = []

    def count(x: Tensor) -> Tensor:
        kept.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
        chunkwise(*arguments, chunk_size=16)
    assert sum(kept) == sum(x.numel() for x in arguments) + 16 * (4 * 4)


@pytest.mark.parametrize("L", [1, 2, 15, 16, 17, 40, 64, 100])
def test_inverse_is_accurate_for_equal_keys_and_ignores_the_upper_part(L: int) -> None:
    """Equal keys with β = 2 are the hardest: powers of N grow like 2^L, the inverse has no entry above 2."""
    exact = torch.linalg.inv(torch.eye(L, dtype=torch.float64) + 2 * torch.ones(L, L, dtype=torch.float64).tril(-1))
    N = 2 * torch.ones(3, L, L) + 7 * torch.randn(3, L, L).triu()
    assert largest(delta.NegativeInverse(N)() + exact) <= 1e-5


@pytest.mark.parametrize("L", [1, 2, 3, 5, 8, 12, 27, 32, 33])
def test_products_from_the_start_by_doubling(L: int) -> None:
    x = fractions(2, L, 3)
    want = x.cumprod(1)
    for second, end_of_first in doublings(x):
        second.mul_(end_of_first)
    assert largest(x - want) <= 1e-15


def test_beta_one_recalls_the_value_just_written() -> None:
    _, K, V, beta = delta_arguments(2, 50, 2, 6, 3)
    for form in (delta_rule.parallel, delta_rule.recurrent, delta_rule.chunkwise):
        y, _ = form(K, K, V, torch.ones_like(beta))
        assert largest(y - V) <= 1e-10 * largest(V)


def test_reflections_keep_the_size_of_the_state_over_many_tokens() -> None:
    Q, K, V, beta = delta_arguments(1, 3000, 2, 8, 4)
    start = numbers(1, 2, 8, 4)
    _, state = delta_rule.chunkwise(Q, K, torch.zeros_like(V), torch.full_like(beta, 2), state=start)
    assert state.norm().item() == pytest.approx(start.norm().item(), rel=1e-10)
    assert largest(state - start) > 0.1


@pytest.mark.parametrize("name", ["delta_rule_gated", "kda", "delta_product", "rwkv7"])
def test_scores_are_the_same_by_product_and_the_slow_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chunkwise, draw = CHUNKWISE[name]
    arguments = draw(2, 45, 2, 5, 3)
    by_product = with_gradients(chunkwise, arguments)
    monkeypatch.setattr(delta, "LOWEST_SUM", 1.0)  # no sum is that high, so none goes by the product
    monkeypatch.setattr(cpu_kda, "SMALLEST", 2.0)
    the_slow_way = with_gradients(chunkwise, arguments)
    for got, want in zip(by_product, the_slow_way, strict=True):
        assert 0 < largest(got - want) <= 1e-12 * largest(want)


def test_rwkv7_takes_the_slow_way_only_where_decays_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def spy(*arguments: Tensor) -> tuple[Tensor, ...]:
        calls.append(arguments)
        return decayed_scores(*arguments)

    decayed_scores = rwkv7.decayed_scores
    monkeypatch.setattr(rwkv7, "decayed_scores", spy)
    monkeypatch.setattr(blocks, "BLOCK_NUMEL", 1)
    arguments = rwkv7_arguments(1, 80, 1, 4, 4)  # three blocks of a chunk each, the last one shorter
    rwkv7.chunkwise(*arguments)
    assert not calls
    arguments[1][0, 40, 0, 2] = -torch.inf
    rwkv7.chunkwise(*arguments)
    assert len(calls) == 1


@pytest.mark.parametrize("times", [1, 3, 7])  # the sum over a chunk at the limit, beyond, and far beyond
@pytest.mark.parametrize("name", ["delta_rule_gated", "kda", "delta_product", "rwkv7"])
def test_it_is_exact_on_both_sides_of_the_limit(name: str, times: float) -> None:
    chunkwise, draw = CHUNKWISE[name]
    arguments = draw(1, 70, 1, 16, 8)
    decays = arguments[{"rwkv7": 1, "kda": 3}.get(name, 4)]
    length = DeltaProduct.LONGEST_CHUNK if name == "delta_product" else delta.Delta.LONGEST_CHUNK
    decays.fill_(times * (np.log(cpu_kda.SMALLEST) if name == "kda" else delta.LOWEST_SUM) / length)
    y, state = chunkwise(*(x.float() for x in arguments))
    reference = {
        "rwkv7": reference_rwkv7,
        "kda": reference_kda,
        "delta_product": reference_delta_product,
        "delta_rule_gated": reference_delta_rule,
    }[name]
    want_y, want_state = reference.recurrent(*(x.squeeze().numpy() for x in arguments))
    assert np.abs(y[0, :, 0].numpy() - want_y).max() <= 1e-6 * np.abs(want_y).max()
    assert np.abs(state[0, 0].numpy() - want_state).max() <= 1e-6 * np.abs(want_state).max()


@pytest.mark.parametrize(("lowest", "listed"), [(-1.0, 0), (-6.0, 0), (-60.0, 3)])
def test_kda_folds_strong_decays_in_within_sub_chunks_and_lists_the_strongest(
    lowest: float, listed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sum of log decays over 32 tokens is about -16, -96 and -960; that over 8 tokens a quarter of it."""
    arguments = kda_arguments(2, 96, 2, 4, 3)
    arguments[3] *= -lowest
    want = with_gradients(lambda *args, chunk_size: kda.recurrent(*args), arguments)
    calls = []

    def spy(*args: Any) -> Any:
        calls.append(args)
        return listing(*args)

    listing = kda.listing
    monkeypatch.setattr(kda, "listing", spy)
    monkeypatch.setattr(blocks, "BLOCK_NUMEL", 2 * 2 * 32 * 32)  # three blocks of a chunk of both sequences
    kda.chunkwise(*arguments)
    assert len(calls) == listed
    leaves = [x.clone().requires_grad_() for x in arguments]
    y, state = kda.chunkwise(*leaves)
    got = [y, state, *torch.autograd.grad(y.cos().sum() + state.sin().sum(), leaves)]
    for g, w in zip(got, want, strict=True):
        assert largest(g - w) <= 1e-12 * largest(w)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_product_of_any_number_of_steps_is_the_delta_rule_on_a_longer_sequence(data: st.DataObject) -> None:
    n_h, N, chunk_size = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 40)), data.draw(st.integers(1, 50))
    Q, K, V, beta, log_a = product_arguments(2, N, 2, 3, 4, n_h)
    log_a = data.draw(st.sampled_from([1.0, 40.0])) * log_a  # divided out, and not
    queries, decays = numbers(2, N, n_h, 2, 3), torch.zeros(2, N, n_h, 2, dtype=torch.float64)
    queries[:, :, -1], decays[:, :, 0] = Q, log_a  # what the other steps read does not matter
    y, state = delta_rule.recurrent(*(x.flatten(1, 2) for x in (queries, K, V, beta, decays)))
    for form in (
        delta_product.parallel,
        delta_product.recurrent,
        partial(delta_product.chunkwise, chunk_size=chunk_size),
    ):
        got_y, got_state = form(Q, K, V, beta, log_a)
        assert largest(got_y - y[:, n_h - 1 :: n_h]) <= 1e-12 * largest(y)
        assert largest(got_state - state) <= 1e-12 * largest(state)


def close(got: tuple[Tensor, Tensor], want: tuple[Tensor, Tensor]) -> bool:
    """Outputs and states, up to rounding."""
    return all(largest(g - w) <= 1e-12 * largest(w) for g, w in zip(got, want, strict=True))


@pytest.mark.parametrize("form", [kda.parallel, kda.recurrent, kda.chunkwise])
def test_kda_is_the_gated_delta_rule_with_one_decay_for_all_keys_and_decay_alone_with_beta_0(
    form: Callable[..., Any],
) -> None:
    Q, K, V, beta, log_a = gated_arguments(2, 50, 2, 5, 3)
    start, alike, log_alpha = numbers(2, 2, 5, 3), log_a[..., None].expand_as(K), -fractions(2, 50, 2, 5)
    assert close(form(Q, K, V, alike, beta, start), delta_rule.recurrent(Q, K, V, beta, log_a, start))
    assert close(form(Q, K, V, log_alpha, 0 * beta, start), gla.recurrent(Q, K, 0 * V, log_alpha, start))


def test_a_product_without_steps_is_refused() -> None:
    Q, K, V, beta, log_a = product_arguments(1, 5, 2, 3, 4, n_h=0)
    for form in (delta_product.parallel, delta_product.recurrent, delta_product.chunkwise):
        with pytest.raises(ValueError, match=r"^n_h is 0: expected at least 1"):
            form(Q, K, V, beta, log_a)


def test_rwkv7_names_the_direction_that_is_not_of_length_one() -> None:
    arguments = rwkv7_arguments(2, 9, 2, 4, 3)
    arguments[4][1, 5, 0] *= 1.5
    with pytest.raises(ValueError, match=r"kappa\[1, 5, 0\] has length 1.5: expected length 1"):
        rwkv7.chunkwise(*arguments)
    arguments[4][1, 5, 0] = 0  # removes nothing, which is fine
    rwkv7.chunkwise(*arguments)


@pytest.mark.parametrize(
    ("which", "value", "message"), [(2, 0.5, r"A\[2, 1\] is 0.5"), (1, -1, r"delta\[0, 3, 2\] is -1")]
)
def test_selective_scan_names_a_growing_rate_and_a_negative_step(which: int, value: float, message: str) -> None:
    arguments = scan_arguments(1, 6, 1, 3, 4)
    arguments[which][(2, 1) if which == 2 else (0, 3, 2)] = value
    with pytest.raises(ValueError, match=message + ": expected"):
        selective_scan.chunkwise(*arguments)


@pytest.mark.parametrize("form", [wkv4.parallel, wkv4.recurrent])
def test_wkv_is_a_mean_whatever_the_size_of_its_exponents(form: Callable[..., Any]) -> None:
    k = 1e4 * numbers(2, 30, 5, dtype=torch.float32)
    w, u, v = -torch.rand(5), torch.randn(5), torch.full_like(k, 3.0)
    leaves = [x.requires_grad_() for x in (w, u, k, v)]
    y, _ = form(*leaves)
    assert largest(y - 3) <= 1e-5
    assert all(g.isfinite().all() for g in torch.autograd.grad(y.sum(), leaves))
