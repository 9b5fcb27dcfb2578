"""The cache of attention is written in place, seldom copied, and never changed for those who kept it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lecture17.layers import Attention
from lecture17.layers.attention import PIECE
from lecture17.layers.kv_cache import Cache

from .blocks import D_MODEL, block, difference, tokens


def read(layer: Attention, x: Tensor, cache: Cache) -> Cache:
    for x_t in x.unbind(1):
        _, cache = layer.step(x_t, cache)
    return cache


def attention(name: str) -> Attention:
    layer = block(name)
    assert isinstance(layer, Attention)
    return layer


@torch.no_grad()
def test_decoding_writes_behind_the_old_tokens_and_moves_them_seldom() -> None:
    layer = attention("Attention grouped")
    cache, moved = layer.init_cache(2), 0
    for x_t in tokens(200).unbind(1):
        before = cache
        _, cache = layer.step(x_t, cache)
        room = cache.room
        assert room is not None
        if room is not before.room:
            moved += before.k.shape[2]
        for z in (cache.k, cache.v):
            assert z.untyped_storage().data_ptr() == room.kv.untyped_storage().data_ptr()
            assert z.stride()[2:] == (layer.head_dim, 1)  # the tokens of a head one after the other
    assert cache.position == cache.k.shape[2] == 200
    assert moved < 2 * 200


@torch.no_grad()
def test_a_window_keeps_its_tokens_in_a_room_of_fixed_size() -> None:
    layer = attention("Attention window")  # of five tokens
    _, cache = layer.mix(tokens(3 * PIECE), layer.init_cache(2))
    assert cache.room is not None
    assert cache.room.kv.shape[3] <= 2 * 4 + PIECE  # a long prompt leaves none of its memory behind
    for x_t in tokens(40).unbind(1):
        _, cache = layer.step(x_t, cache)
        assert cache.k.shape[2] == cache.v.shape[2] == 4
    assert cache.room is not None
    assert cache.room.kv.shape[3] == 2 * 4 + 1
    assert cache.position == 3 * PIECE + 40


@pytest.mark.parametrize("name", ["Attention", "Attention grouped", "Attention window"])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_continuations_of_one_cache_in_any_order_do_not_disturb_each_other(name: str, data: st.DataObject) -> None:
    layer, x = attention(name), tokens(24)
    branches = [(layer.init_cache(2), x[:, :0])]  # caches, and the tokens that each has read
    with torch.no_grad():
        for turn in range(data.draw(st.integers(2, 12))):
            cache, seen = branches[data.draw(st.integers(0, len(branches) - 1))]
            more = tokens(data.draw(st.integers(1, 4)), seed=turn)
            y, cache = layer.mix(more, cache)
            branches.append((cache, torch.cat([seen, more], 1)))
            assert difference(y, layer(branches[-1][1])[:, seen.shape[1] :]) < 1e-5


def test_with_gradients_a_cache_read_without_them_can_be_continued_and_the_other_way() -> None:
    layer, x = attention("Attention window"), tokens(12)
    with torch.no_grad():
        prompt = read(layer, x[:, :6], layer.init_cache(2))
    y, trained_on = layer.mix(x[:, 6:9], prompt)
    y.sum().backward()
    with torch.no_grad():
        z, _ = layer.mix(x[:, 9:], trained_on)
        again, _ = layer.mix(x[:, 6:], prompt)
        assert difference(torch.cat([y, z], 1), layer(x)[:, 6:]) < 1e-5
        assert difference(again, layer(x)[:, 6:]) < 1e-5


@pytest.mark.parametrize("window", [1, 5, PIECE + 3])
def test_a_window_longer_than_a_piece_or_the_text_and_a_text_of_many_pieces(window: int) -> None:
    torch.manual_seed(0)
    layer = Attention(D_MODEL, head_dim=8, rope=True, window=window)
    x = tokens(2 * PIECE + 70)
    with torch.no_grad():
        y = layer(x)
        for t in (0, 3, PIECE - 1, PIECE, PIECE + 40, 2 * PIECE + 69):
            seen = x[:, max(0, t - window + 1) : t + 1]
            layer.window = None
            assert difference(layer(seen)[:, -1], y[:, t]) < 1e-5  # RoPE: positions from 0 on do as well
            layer.window = window
