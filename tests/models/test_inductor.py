"""`torch.compile` as it is without a backend named: Inductor makes C++ of ops and of a model, with the same numbers."""

import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lecture17.models import LanguageModel
from lecture17.ops import delta_rule, ssd
from tests.ops.inputs import relative_error
from tests.ops.test_manners import arguments

pytestmark = [
    pytest.mark.skipif(
        not any(map(shutil.which, ("c++", "g++", "clang++"))),
        reason="Inductor needs a C++ compiler, and there is no c++, g++ or clang++ on the PATH",
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside PyTorch
]


def compiled(function: Callable[..., Any]) -> Any:
    torch.compiler.reset()
    return torch.compile(function, backend="inductor")


@pytest.mark.parametrize(("op", "name"), [(ssd, "ssd"), (delta_rule, "delta_rule_gated")])
def test_an_op_has_the_same_numbers(op: Any, name: str) -> None:
    args = list(arguments(name).values())
    chunkwise = partial(op.chunkwise, chunk_size=4)
    with torch.no_grad():
        assert relative_error(compiled(chunkwise)(*args), chunkwise(*args)) < 1e-12


def test_a_model_has_the_same_logits_and_gradients() -> None:
    torch.manual_seed(0)
    options = {"M": {"d_state": 6, "head_dim": 8, "chunk_size": 8}, "A": {"head_dim": 8}}
    model = LanguageModel(24, 16, "MA", options=options).double()
    text = torch.randint(24, (2, 20))

    def logits_and_gradients(run: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        logits = run(text)
        return logits, *torch.autograd.grad(logits.square().sum(), list(model.parameters()))

    assert relative_error(logits_and_gradients(compiled(model)), logits_and_gradients(model)) < 1e-10
