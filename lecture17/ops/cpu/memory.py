"""Reused memory: fresh pages from the system cost more than the arithmetic that fills them."""

import weakref
from functools import cache

import numpy as np
import torch
from torch import Tensor

HUGE = 2**22  # bytes from which NumPy asks for huge pages
UNUSED = 2**28  # bytes of freed results that are kept for the next ones


@cache
def keep_what_is_freed() -> None:
    """Let glibc keep freed memory for reuse instead of giving it back to the system; once is enough.

    It gives back blocks larger than a threshold, which rises to the largest block freed so far, up to 32 MiB. So a
    block of nearly that size is freed here. Nothing is written to it, so it never gets pages and costs nothing.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


_unused: dict[int, np.ndarray] = {}  # memory of freed results by its id, the latest last


def empty_result(like: Tensor) -> Tensor:
    """Memory for a result of the shape and type of `like`, contiguous and uninitialized.

    A large result reuses the memory of a freed one of its size, to which no tensor or array refers any more. Otherwise
    NumPy allocates it, in pages of 2 MiB (PyTorch does not): at the first write to each page the system fills it with
    zeros, and there are 512 times fewer such stops.
    """
    size = like.numel() * like.element_size()
    if like.device.type != "cpu" or size < HUGE or torch.compiler.is_compiling():
        return torch.empty_like(like, memory_format=torch.contiguous_format)
    size += 64
    for key, memory in list(_unused.items()):
        if len(memory) == size and _unused.pop(key, None) is not None:  # no other thread was faster
            break
    else:
        memory = np.empty(size, np.uint8)
    lent = memory[:]
    weakref.finalize(lent, _give_back, memory).atexit = False
    numbers = torch.from_numpy(lent)
    start = -numbers.data_ptr() % 64  # bytes of a cache line
    flat = like.new_empty(0).set_(numbers.untyped_storage(), start // like.element_size(), (like.numel(),), (1,))
    return flat.resize_(like.shape)


def _give_back(memory: np.ndarray) -> None:
    _unused[id(memory)] = memory
    for key in list(_unused):
        if sum(map(len, list(_unused.values()))) > UNUSED:
            _unused.pop(key, None)
