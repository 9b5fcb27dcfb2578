"""Long results lie where former ones lay, and freed memory is kept."""

import platform
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lecture17.ops.cpu import memory
from lecture17.ops.cpu.memory import HUGE, empty_result


@pytest.mark.parametrize("size", [0, 5, HUGE // 4 - 1, HUGE // 4, HUGE // 4 + 3])  # below, at and above the limit
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_result_has_shape_and_type_and_holds_what_is_written(size: int, dtype: torch.dtype) -> None:
    like = torch.empty(size, 2, dtype=dtype)
    result = empty_result(like)
    assert (result.shape, result.dtype, result.device) == (like.shape, dtype, like.device)
    assert result.is_contiguous()
    assert result.data_ptr() % 64 == 0
    result.fill_(3)
    assert result.sum(dtype=torch.float64) == 6 * size
    assert result.view(-1).clone().shape == (2 * size,)


def test_a_long_result_is_in_the_order_of_its_axes_whatever_the_strides_of_its_model() -> None:
    like = torch.empty(3, HUGE // 4).T
    assert empty_result(like).stride() == (3, 1)


def test_a_long_result_outlives_everything_it_was_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def empty(size: int, dtype: type) -> np.ndarray:
        asked.append(size)
        return np.zeros(size, dtype)

    monkeypatch.setattr(memory, "_unused", {})
    monkeypatch.setattr(memory.np, "empty", empty)
    results = [empty_result(torch.empty(HUGE // 4)).fill_(i) for i in range(3)]
    assert asked == [HUGE + 64] * 3  # a short one is PyTorch's: see the next line
    empty_result(torch.empty(HUGE // 4 - 1))
    assert len(asked) == 3
    assert [r.amin().item() for r in results] == [r.amax().item() for r in results] == [0, 1, 2]


def test_a_result_lies_where_one_of_its_size_lay_that_is_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_unused", {})
    like = torch.empty(2, HUGE // 8)
    first, other = empty_result(like), empty_result(torch.empty(HUGE // 2))
    places = first.data_ptr(), other.data_ptr()
    del first, other
    again = [empty_result(like.T) for _ in range(2)]
    assert again[0].data_ptr() == places[0]
    assert again[0].shape == like.T.shape
    assert again[1].data_ptr() not in places
    assert empty_result(torch.empty(HUGE // 4, dtype=torch.float64)).data_ptr() == places[1]  # bytes count, not numbers


@pytest.mark.parametrize(
    "hold", [lambda y: y[0, :1], lambda y: y.numpy(), lambda y: torch.ones(2, requires_grad=True) @ y]
)
def test_no_result_lies_where_something_still_refers_to(
    hold: Callable[[Tensor], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view, an array on the same memory, and what the backward pass has kept."""
    monkeypatch.setattr(memory, "_unused", {})
    like = torch.empty(2, HUGE // 8)
    y = empty_result(like).fill_(1)
    place, held = y.data_ptr(), hold(y)
    del y
    another = empty_result(like)
    assert another.data_ptr() != place
    del held
    assert empty_result(like).data_ptr() == place


def test_only_so_much_is_kept_for_later_and_the_latest_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_unused", {})
    monkeypatch.setattr(memory, "UNUSED", 2 * (HUGE + 64))
    results = [empty_result(torch.empty(HUGE // 4)) for _ in range(3)]
    places = [r.data_ptr() for r in results]
    while results:
        del results[0]
    again = [empty_result(torch.empty(HUGE // 4)) for _ in range(3)]
    assert [r.data_ptr() for r in again[:2]] == places[1:]
    assert again[2].data_ptr() not in places[1:]


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="what is freed is given back by the C library, here not glibc"
)
def test_freed_memory_comes_back_without_a_stop_at_the_system() -> None:
    """Three calls write some 150,000 pages of intermediates, which are asked for in the first call and then kept."""
    program = """
import resource
import torch
from lecture17.experiments import measure
call, arguments = measure.function("rwkv7", "chunkwise"), measure.inputs("rwkv7", 16384)
with torch.no_grad():
    call(*arguments)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        call(*arguments)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 20_000
