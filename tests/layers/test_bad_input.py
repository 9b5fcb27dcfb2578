"""Wrong sizes, shapes and caches are refused with a message that names them."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from lecture17 import layers

from .blocks import BLOCKS, D_MODEL, block, tokens


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: layers.Attention(30, head_dim=8), r"d_model is 30 and head_dim is 8: .* multiple"),
        (lambda: layers.Retention(30, head_dim=8), r"d_model is 30 and head_dim is 8"),
        (lambda: layers.GLA(30, head_dim=8), r"d_model is 30 and head_dim is 8"),
        (lambda: layers.DeltaNet(30, head_dim=8), r"d_model is 30 and head_dim is 8"),
        (lambda: layers.RWKV7(30, head_dim=8), r"d_model is 30 and head_dim is 8"),
        (lambda: layers.KDA(30, head_dim=8), r"d_model is 30 and head_dim is 8"),
        (lambda: layers.DeltaProduct(32, head_dim=8, n_h=0), r"n_h is 0: expected at least 1 step a token"),
        (lambda: layers.Mamba2(30, head_dim=8), r"expand · d_model is 60 and head_dim is 8"),
        (lambda: layers.Mamba3(30, head_dim=8), r"expand · d_model is 60 and head_dim is 8"),
        (lambda: layers.Mamba2(32, head_dim=8, n_groups=3), r"n_groups is 3 for 8 heads"),
        (lambda: layers.Mamba2(32, head_dim=8, n_groups=0), r"n_groups is 0 for 8 heads"),
        (lambda: layers.Attention(30, head_dim=5, rope=True), r"head_dim is 5: expected an even number"),
        (lambda: layers.Retention(30, head_dim=5), r"head_dim is 5: expected an even number"),
        (lambda: layers.GLA(30, head_dim=5), r"head_dim is 5: expected an even number"),
        (lambda: layers.Mamba3(32, d_state=5, head_dim=8), r"d_state is 5: expected an even number"),
        (lambda: layers.DeltaNet(32, head_dim=8, beta_max=3), r"beta_max is 3: expected a number in \(0, 2\]"),
        (lambda: layers.RWKV7(32, head_dim=8, layer=2, n_layers=2), r"layer is 2 with n_layers 2"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("name", BLOCKS)
def test_wrong_shapes_are_refused(name: str) -> None:
    layer = block(name)
    with pytest.raises(TypeError, match=rf"x has shape \(2, 5, 31\): expected {D_MODEL}"):
        layer(torch.zeros(2, 5, 31))
    with pytest.raises(TypeError, match=r"x has shape \(2, 0, 32\): expected .* at least one token"):
        layer(torch.zeros(2, 0, D_MODEL))
    with pytest.raises(TypeError, match="parameter 'x'"):
        layer(torch.zeros(5, D_MODEL))
    with pytest.raises(TypeError, match=rf"x_t has shape \(2, 31\): expected {D_MODEL}"):
        layer.step(torch.zeros(2, 31), layer.init_cache(2))
    with pytest.raises(TypeError, match="parameter 'x_t'"):
        layer.step(torch.zeros(2, 1, D_MODEL), layer.init_cache(2))


@pytest.mark.parametrize("name", BLOCKS)
def test_a_cache_of_another_batch_is_refused(name: str) -> None:
    layer = block(name)
    with pytest.raises(ValueError, match=r"cache is for a batch of 3 while x_t has 2: .*init_cache\(2\)"):
        layer.step(tokens(1)[:, 0], layer.init_cache(3))


def test_a_value_residual_is_asked_for_exactly_where_a_layer_has_one() -> None:
    x = tokens(4)
    first, second = (layers.RWKV7(D_MODEL, head_dim=8, layer=i, n_layers=2) for i in range(2))
    with pytest.raises(ValueError, match="v_first is not given to layer 1"):
        second(x)
    with pytest.raises(ValueError, match="v_first is given to layer 0"):
        first(x, x)


@pytest.mark.parametrize("build", [layers.Vim, layers.SS2D])
def test_image_blocks_refuse_wrong_shapes(build: Callable[[int], nn.Module]) -> None:
    layer = build(8)
    with pytest.raises(TypeError, match=r"x has shape \(2, 3, 4, 7\): expected 8"):
        layer(torch.zeros(2, 3, 4, 7))
    with pytest.raises(TypeError, match="parameter 'x'"):
        layer(torch.zeros(8))
