"""A causal block gives the same numbers however the sequence is cut: at once, in pieces, token by token."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lecture17.layers import Attention, LatentAttention
from lecture17.ops import (
    delta_product,
    delta_rule,
    gla,
    kda,
    log_linear,
    mamba3,
    mlstm,
    retention,
    rwkv7,
    selective_scan,
    ssd,
)

from .blocks import BLOCKS, D_MODEL, block, difference, tokens


def numbers_in(cache: Any) -> int:
    if isinstance(cache, torch.Tensor):
        return cache.numel()
    return sum(map(numbers_in, cache)) if isinstance(cache, tuple) else 0


@pytest.mark.parametrize("time", [1, 3, 70])
@pytest.mark.parametrize("name", BLOCKS)
def test_forward_equals_a_loop_of_step(name: str, time: int) -> None:
    layer, x = block(name), tokens(time)
    with torch.no_grad():
        y, cache, steps = layer(x), layer.init_cache(2), []
        for t in range(time):
            y_t, cache = layer.step(x[:, t], cache)
            steps.append(y_t)
    assert y.shape == x.shape
    assert difference(torch.stack(steps, 1), y) < 1e-5


@pytest.mark.parametrize("name", BLOCKS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_sequence_cut_anywhere_and_continued_gives_the_same(name: str, data: st.DataObject) -> None:
    time = data.draw(st.integers(2, 40))
    first = data.draw(st.integers(1, time - 1))
    layer, x = block(name), tokens(time)
    with torch.no_grad():
        y_first, cache = layer.mix(x[:, :first], layer.init_cache(2))
        y_second, _ = layer.mix(x[:, first:], cache)
        assert difference(torch.cat([y_first, y_second], 1), layer(x)) < 1e-5


@pytest.mark.parametrize("name", BLOCKS)
def test_no_output_depends_on_a_later_token(name: str) -> None:
    layer, x = block(name), tokens(20)
    changed = x.clone()
    changed[:, 11] += 1
    with torch.no_grad():
        before, after = layer(x), layer(changed)
    assert torch.allclose(before[:, :11], after[:, :11], atol=1e-5 * before.abs().max().item())
    assert difference(after[:, 11:], before[:, 11:]) > 1e-3


@pytest.mark.parametrize("name", BLOCKS)
def test_a_kept_cache_is_not_written_to_by_later_steps(name: str) -> None:
    layer, x = block(name), tokens(8)
    buffer = torch.empty(2, D_MODEL)  # one piece of memory for all tokens, as in a decoding loop
    with torch.no_grad():
        _, kept = layer.mix(x[:, :4], layer.init_cache(2))
        once, cache = [], kept
        for t in range(4, 8):
            y_t, cache = layer.step(buffer.copy_(x[:, t]), cache)
            once.append(y_t)
        again, cache = [], kept
        for t in range(4, 8):
            y_t, cache = layer.step(x[:, t].clone(), cache)
            again.append(y_t)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("name", BLOCKS)
def test_only_the_cache_of_attention_without_a_window_grows_with_every_token(name: str) -> None:
    layer, sizes = block(name), []
    with torch.no_grad():
        _, cache = layer.mix(tokens(5), layer.init_cache(2))
        for x_t in tokens(3).unbind(1):
            _, cache = layer.step(x_t, cache)
            sizes.append(numbers_in(cache))
    if name == "LogLinearMamba2":  # a state for each bit that is 1, of 6, 7 and 8 tokens
        one = 2 * 64 * 6
        assert [size - sizes[0] for size in sizes] == [0, one, -one]
        return
    numbers = 0
    if isinstance(layer, Attention) and layer.window is None:
        numbers = 2 * 2 * layer.n_kv_heads * layer.head_dim
    elif isinstance(layer, LatentAttention):
        numbers = 2 * (layer.latent_dim + layer.shared_dim)
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] == numbers


@pytest.mark.parametrize("name", BLOCKS)
def test_decoding_a_token_does_not_run_the_form_for_sequences(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = block(name)
    cache = layer.init_cache(2)
    for op in (delta_product, delta_rule, gla, kda, log_linear, mamba3, mlstm, retention, rwkv7, selective_scan, ssd):
        monkeypatch.delattr(op, "chunkwise")
    y_t, _ = layer.step(tokens(1)[:, 0], cache)
    assert y_t.shape == (2, D_MODEL)


@pytest.mark.parametrize("name", BLOCKS)
def test_gradients_of_the_loop_of_step_are_those_of_forward(name: str) -> None:
    layer, x = block(name).double(), tokens(9).double()
    weight = torch.randn(2, 9, D_MODEL, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    at_once = torch.autograd.grad((layer(x) * weight).sum(), list(layer.parameters()))
    cache, loss = layer.init_cache(2), torch.zeros((), dtype=torch.float64)
    for t in range(9):
        y_t, cache = layer.step(x[:, t], cache)
        loss = loss + (y_t * weight[:, t]).sum()
    by_steps = torch.autograd.grad(loss, list(layer.parameters()))
    for (parameter, _), got, want in zip(layer.named_parameters(), at_once, by_steps, strict=True):
        assert want.abs().max() > 0, f"{parameter} changes nothing"
        assert difference(got, want) < 1e-9, parameter


@pytest.mark.parametrize("name", BLOCKS)
def test_bfloat16_is_near_float32_and_decodes(name: str) -> None:
    layer, x = block(name), tokens(20).bfloat16()
    with torch.no_grad():
        want = layer(x.float())
        layer.bfloat16()
        y = layer(x)
        y_t, _ = layer.step(x[:, 0], layer.init_cache(2))
    assert y.dtype == y_t.dtype == torch.bfloat16
    assert difference(y.float(), want) < 0.1
    assert difference(y_t.float(), want[:, 0]) < 0.1
