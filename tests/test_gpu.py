"""On a GPU every mixer and every block computes what it does on the CPU, gradients and states with it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lecture17 import layers
from lecture17.models import LanguageModel
from tests.layers.blocks import BLOCKS, block, difference, tokens
from tests.ops.inputs import BATCHED, gradients, parts, relative_error

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: mixers and blocks ran on the CPU")


def moved(value: Any, device: str) -> Any:
    """Tensors, and those in nested lists and tuples, there; all else as it is."""
    if isinstance(value, list | tuple):
        return type(value)(moved(v, device) for v in value)
    return value.to(device) if isinstance(value, Tensor) else value


@pytest.mark.parametrize("decays", ["mild", "mixed", "forget"])
@pytest.mark.parametrize("name", BATCHED)
def test_every_form_on_a_gpu_is_the_one_on_the_cpu(name: str, decays: str) -> None:
    mixer = BATCHED[name]
    args = list(mixer.draw(np.random.default_rng(0), 2, 4, 2, 150, 16, 24, decays).args.values())
    for form, call in mixer.forms(chunk_size=32).items():
        y, state = call(*args)
        assert relative_error(moved(call(*moved(args, "cuda")), "cpu"), (y, state)) < 1e-10, form
        given = args, state, [torch.randn_like(result) for result in parts((y, state))]
        of_gpu, of_cpu = moved(gradients(call, *moved(given, "cuda")), "cpu"), gradients(call, *given)
        assert relative_error((of_gpu,), (of_cpu,)) < 1e-9, form  # beside the largest: some are 0 but for rounding


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
