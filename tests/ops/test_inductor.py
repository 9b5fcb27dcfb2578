"""`torch.compile` as it is without a backend named: Inductor makes C++ of ops, with the same numbers."""

import shutil
from functools import partial
from typing import Any

import pytest
import torch

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


@pytest.mark.parametrize(("op", "name"), [(ssd, "ssd"), (delta_rule, "delta_rule_gated")])
def test_an_op_has_the_same_numbers(op: Any, name: str) -> None:
    args = list(arguments(name).values())
    chunkwise = partial(op.chunkwise, chunk_size=4)
    torch.compiler.reset()
    compiled = torch.compile(chunkwise, backend="inductor")
    with torch.no_grad():
        assert relative_error(compiled(*args), chunkwise(*args)) < 1e-12
