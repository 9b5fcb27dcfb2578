"""What PyTorch people expect of every causal block: autocast, torch.compile and export, second derivatives, strides, an
empty batch, the meta device, copies, half precision, packed sequences, and errors that name what does not fit.
"""

import copy
import inspect
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lecture17 import layers
from lecture17.layers import Mixer
from lecture17.ops.packing import starts

from .blocks import BLOCKS, D_MODEL, block, difference, tokens

every_block = pytest.mark.parametrize("name", BLOCKS)
every_kind = pytest.mark.parametrize("name", {type(build()).__name__: name for name, build in BLOCKS.items()}.values())


def read(layer: Mixer, x: Tensor) -> Tensor:
    """Token by token."""
    cache, steps = layer.init_cache(len(x)), []
    for x_t in x.unbind(1):
        y_t, cache = layer.step(x_t, cache)
        steps.append(y_t)
    return torch.stack(steps, 1)


def slopes(layer: nn.Module, x: Tensor, run: Any = None) -> Tensor:
    """Of a weighted sum of y, by all parameters, in one row."""
    y = (layer if run is None else run)(x)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(3)).to(y.dtype)
    of = list(layer.parameters())
    found = torch.autograd.grad((y * weight).sum(), of, allow_unused=True, materialize_grads=True)
    return torch.cat([g.flatten() for g in found])


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # of RMSNorm, once: not fused
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_block
def test_autocast_trains_and_decodes(name: str, dtype: torch.dtype) -> None:
    layer, x = block(name), tokens(20)
    with torch.autocast("cpu", dtype):
        y = layer(x)
        found = slopes(layer, x)
        with torch.no_grad():
            decoded = read(layer, x[:, :6])
    assert y.dtype == decoded.dtype == dtype
    assert difference(y.float(), layer(x)) < 0.1
    assert difference(decoded.float(), y[:, :6].float()) < 0.1
    assert found.dtype == torch.float32
    assert torch.cosine_similarity(found, slopes(layer, x), 0) > 0.98


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside PyTorch
@every_kind
def test_compiled_it_gives_the_same_numbers(name: str) -> None:
    layer, x = block(name).double(), tokens(20).double()
    torch.compiler.reset()  # of one function only a few are compiled, and then it runs as it is
    compiled = torch.compile(layer, backend="aot_eager_decomp_partition", fullgraph=True)
    assert difference(compiled(x), layer(x)) < 1e-10
    assert difference(slopes(layer, x, compiled), slopes(layer, x)) < 1e-9


@every_block
def test_exported_it_gives_the_same_numbers(name: str) -> None:
    layer, x = block(name), tokens(20)
    with torch.no_grad():
        assert difference(torch.export.export(layer, (x,)).module()(x), layer(x)) < 1e-5


@every_block
def test_second_derivatives_are_the_slopes_of_the_gradients(name: str) -> None:
    """H v by autograd, in a random direction v of x and all parameters, and by differences of gradients.

    PyTorch's quick attention has none, and says so by name; its plain one has.
    """
    layer, x = block(name).double(), tokens(5).double().requires_grad_()
    places = [x, *layer.parameters()]
    generator = torch.Generator().manual_seed(3)
    v = [torch.randn(place.shape, generator=generator, dtype=torch.float64) for place in places]

    def gradients(create_graph: bool = False) -> list[Tensor]:
        return list(torch.autograd.grad(layer(x).square().mean(), places, create_graph=create_graph))

    def at(step: float) -> list[Tensor]:
        with torch.no_grad():
            for place, direction in zip(places, v, strict=True):
                place.add_(step * direction)
        return gradients()

    def second() -> Tensor:
        along = torch.stack([(g * direction).sum() for g, direction in zip(gradients(True), v, strict=True)]).sum()
        return torch.cat([h.flatten() for h in torch.autograd.grad(along, places, materialize_grads=True)])

    if any(isinstance(part, layers.Attention | layers.LatentAttention) for part in layer.modules()):
        with pytest.raises(RuntimeError, match=r"attention.*_backward is not implemented"):
            second()
    with sdpa_kernel(SDPBackend.MATH):
        found = second()
        after, before = at(1e-5), at(-2e-5)
    want = torch.cat([(a - b).flatten() / 2e-5 for a, b in zip(after, before, strict=True)])
    assert difference(found, want) < 1e-5


@every_block
def test_strides_change_nothing(name: str) -> None:
    layer, x = block(name), tokens(9)
    time_first = x.transpose(0, 1).contiguous().transpose(0, 1)
    features_first = x.transpose(1, 2).contiguous().transpose(1, 2)
    with torch.no_grad():
        want = layer(x)
        for strided in (time_first, features_first):
            assert difference(layer(strided), want) < 1e-5
            assert difference(read(layer, strided), want) < 1e-5
        assert difference(layer(x[:1].expand(3, -1, -1)), want[:1].expand(3, -1, -1)) < 1e-5


@every_block
def test_no_sequences_give_no_results(name: str) -> None:
    layer, x = block(name), tokens(4, batch=0)
    assert layer(x).shape == read(layer, x).shape == (0, 4, D_MODEL)
    assert not slopes(layer, x).any()


@every_block
def test_on_the_meta_device_it_has_shapes_only(name: str) -> None:
    with torch.device("meta"):
        layer = BLOCKS[name]()
    x = tokens(5).to("meta")
    assert all(parameter.is_meta for parameter in layer.parameters())
    for y in (layer(x), read(layer, x)):
        assert y.is_meta
        assert y.shape == x.shape


@every_block
def test_a_copy_and_a_block_with_its_state_dict_are_the_same_block(name: str) -> None:
    layer, x = block(name), tokens(9)
    torch.manual_seed(5)
    other = BLOCKS[name]()
    other.load_state_dict(layer.state_dict())
    copied = copy.deepcopy(layer)
    with torch.no_grad():
        want = layer(x)
        for parameter in layer.parameters():
            parameter.zero_()
        assert torch.equal(copied(x), want)
        assert torch.equal(other(x), want)


@every_block
def test_half_is_near_float32_and_decodes(name: str) -> None:
    layer, x = block(name), tokens(20).half()
    with torch.no_grad():
        want = layer(x.float())
        layer.half()
        y, decoded = layer(x), read(layer, x[:, :4])
    assert y.dtype == decoded.dtype == torch.float16
    assert difference(y.float(), want) < 0.02
    assert difference(decoded.float(), want[:, :4]) < 0.02


@every_block
def test_packed_sequences_are_each_by_itself(name: str) -> None:
    layer, x = block(name).double(), tokens(20).double()
    cuts = [[0, 6, 7, 20], [0, 13, 20]]
    seq_start = torch.cat([starts(torch.tensor(row)) for row in cuts])
    pieces = [
        torch.cat([layer(x[row : row + 1, begin:end]) for begin, end in pairwise(borders)], 1)
        for row, borders in enumerate(cuts)
    ]
    assert difference(layer(x, seq_start=seq_start), torch.cat(pieces)) < 1e-12
    together = slopes(layer, x, lambda x: layer(x, seq_start=seq_start))
    assert difference(together, slopes(layer, x, lambda _: torch.cat(pieces))) < 1e-10
    with torch.no_grad():
        layer.float()
        assert difference(layer(x.float(), seq_start=seq_start), torch.cat(pieces).float()) < 1e-5


@every_block
def test_a_missing_or_foreign_cache_is_refused_by_name(name: str) -> None:
    layer, x_t = block(name), tokens(1)[:, 0]
    kind = type(layer).__name__
    own = layer.init_cache(2)
    for foreign in (None, torch.zeros(2, 3), (own, own), block(name).double().init_cache(2)):
        with pytest.raises(ValueError, match=f"cache is .*expected what init_cache of this {kind} makes"):
            layer.step(x_t, foreign)
    for other in ("Attention", "Mamba", "Mamba3", "RWKV7"):
        if type(block(other)) is not type(layer):
            with pytest.raises(ValueError, match=f"expected what init_cache of this {kind} makes"):
                layer.step(x_t, block(other).init_cache(2))


def options() -> list[tuple[type[nn.Module], str, Any]]:
    """Every option of every block, with values of the wrong kind."""
    found = []
    for kind in {type(build()) for build in BLOCKS.values()} | {layers.Vim, layers.SS2D}:
        for option in list(inspect.signature(kind).parameters.values())[1:]:
            wrong = {int: ("8", -1, 2.5, True), float: ("1", -1.0, torch.inf), bool: (1, "yes")}
            found += [(kind, option.name, value) for value in wrong.get(option.annotation, ())]
    return sorted(found, key=lambda of: (of[0].__name__, of[1]))


@pytest.mark.parametrize(("kind", "option", "value"), options())
def test_an_option_of_the_wrong_kind_is_refused_by_name(kind: type[nn.Module], option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"\b{option}\b.* (is|are) {value!r}"):
        kind(D_MODEL, **{option: value})
