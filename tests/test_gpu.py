"""On a GPU every mixer and every block computes what it does on the CPU, gradients and states with it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lecture17 import layers
from lecture17.models import LanguageModel
from tests.layers.blocks import BLOCKS, block, difference, tokens
from tests.ops.inputs import MIXERS, relative_error

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: mixers and blocks ran on the CPU")


def on_gpu(value: Any) -> Any:
    """Tensors, and those in nested tuples, there; all else as it is."""
    if isinstance(value, tuple):
        return tuple(map(on_gpu, value))
    return value.cuda() if isinstance(value, Tensor) else value


@pytest.mark.parametrize("decays", ["mild", "mixed", "forget"])
@pytest.mark.parametrize("name", MIXERS)
def test_every_form_on_a_gpu_is_the_one_on_the_cpu(name: str, decays: str) -> None:
    mixer = MIXERS[name]
    args = list(mixer.draw(np.random.default_rng(0), 2, 4, 2, 150, 16, 24, decays).args.values())
    for form, call in mixer.forms(chunk_size=32).items():
        assert relative_error(on_cpu(call(*map(on_gpu, args))), call(*args)) < 1e-10, form
        of_gpu, of_cpu = (gradients(call, move, args) for move in (on_gpu, lambda value: value))
        assert relative_error((of_gpu,), (of_cpu,)) < 1e-9, form  # beside the largest: some are 0 but for rounding


def on_cpu(value: Any) -> Any:
    return tuple(map(on_cpu, value)) if isinstance(value, tuple) else value.cpu()


def gradients(call: Any, move: Any, args: list[Any]) -> list[Tensor]:
    """Of the sum of y's squares, by all tensors among the arguments."""
    leaves = [a.clone().requires_grad_() if isinstance(a, Tensor) else a for a in args]
    y, _ = call(*map(move, leaves))
    wanted = [a for a in leaves if isinstance(a, Tensor)]
    return list(torch.autograd.grad((y**2).sum(), wanted, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_on_a_gpu_is_the_one_on_the_cpu(name: str) -> None:
    layer, x = block(name), tokens(70)
    want = layer(x)
    want.sum().backward()
    of_cpu = [p.grad.clone() for p in layer.parameters() if p.grad is not None]
    layer.zero_grad()
    there = layer.cuda()
    y = there(x.cuda())
    assert difference(y.detach().cpu(), want.detach()) < 1e-4
    y.sum().backward()
    of_gpu = [p.grad.cpu() for p in there.parameters() if p.grad is not None]
    assert len(of_gpu) == len(of_cpu)
    for got, expected in zip(of_gpu, of_cpu, strict=True):
        assert (got - expected).abs().max() <= 1e-3 * expected.abs().max() + 1e-6
    with torch.no_grad():
        cache, steps = there.init_cache(2), []
        for t in range(20):
            y_t, cache = there.step(x[:, t].cuda(), cache)
            steps.append(y_t)
    assert difference(torch.stack(steps, 1).cpu(), want[:, :20].detach()) < 1e-4


def test_images_are_classified_on_a_gpu() -> None:
    torch.manual_seed(0)
    for mixer in (layers.Vim(32), layers.SS2D(32)):
        x = torch.randn(2, 6, 7, 32)
        want = mixer(x)
        assert difference(mixer.cuda()(x.cuda()).detach().cpu(), want.detach()) < 1e-4


def test_a_model_writes_the_same_text_on_a_gpu() -> None:
    torch.manual_seed(0)
    model = LanguageModel(50, 64, pattern="MGRA")
    prompt = torch.randint(50, (2, 9))
    want = model.generate(prompt, 12, temperature=0)
    assert torch.equal(model.cuda().generate(prompt.cuda(), 12, temperature=0).cpu(), want)
