"""The blocks for images: what their routes see, and that they are the routes of the reference."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lecture17.layers import SS2D, Vim
from lecture17.reference import scan2d

from .blocks import difference, trained


def image(height: int, width: int, d: int = 8) -> torch.Tensor:
    return torch.randn(2, height, width, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("build", [Vim, SS2D])
def test_every_output_depends_on_every_input(build: Callable[[int], nn.Module]) -> None:
    torch.manual_seed(0)
    layer = trained(build(8)).double()
    x = image(3, 4).requires_grad_()
    y = layer(x)
    assert y.shape == x.shape
    for i in range(3):
        for j in range(4):
            (grad,) = torch.autograd.grad(y[:, i, j].sum(), x, retain_graph=True)
            assert (grad.abs().sum(-1) > 0).all()


def test_vim_with_one_set_of_parameters_does_not_know_the_direction() -> None:
    layer = trained(Vim(8)).double()
    layer.back.load_state_dict(layer.ahead.state_dict())
    x = image(1, 9)[:, 0]
    assert difference(layer(x.flip(1)), layer(x).flip(1)) < 1e-12


def test_vim_reads_an_image_row_by_row() -> None:
    layer = trained(Vim(8)).double()
    x = image(3, 4)
    assert torch.equal(layer(x).flatten(1, 2), layer(x.flatten(1, 2)))


def test_vim_averages_what_its_two_directions_read_and_gates_the_average() -> None:
    layer = trained(Vim(8)).double()
    x = image(1, 6)[:, 0]
    u, z = layer.in_proj(x).chunk(2, dim=-1)
    directions = torch.stack([layer.ahead(u), layer.back(u.flip(1)).flip(1)])
    assert difference(layer(x), layer.out_proj(directions.mean(0) * F.silu(z))) < 1e-12


def test_ss2d_scans_and_merges_along_the_routes_of_the_reference() -> None:
    layer = trained(SS2D(8)).double()
    x = image(3, 5)
    with torch.no_grad():
        u, z = layer.in_proj(x).chunk(2, dim=-1)
        u = F.silu(layer.conv2d(u.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        merged = []
        for picture in u.numpy():
            routes = torch.from_numpy(scan2d.cross_scan(picture))  # (4, H W, d)
            read = torch.cat([ssm(route[None]) for ssm, route in zip(layer.ssms, routes, strict=True)])
            merged.append(torch.from_numpy(scan2d.cross_merge(read.numpy(), 3, 5)))
        y = F.layer_norm(torch.stack(merged), (16,), layer.norm.weight, layer.norm.bias) * F.silu(z)
        assert difference(layer(x), layer.out_proj(y)) < 1e-12
