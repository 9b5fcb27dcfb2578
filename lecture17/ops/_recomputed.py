"""A function that the backward pass calls once more, so that nothing but its arguments is kept in between."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .type_validation import without_autocast


class Recomputed(torch.autograd.Function):
    """`Recomputed.apply(function, *tensors)` is function(*tensors), a tuple of tensors.

    `torch.utils.checkpoint` does the same and more, and loads PyTorch's compiler, which takes seconds.
    """

    @staticmethod
    def forward(ctx: Any, function: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.function = function
        ctx.save_for_backward(*tensors)
        return function(*tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        again = torch.is_grad_enabled()  # what is returned will be differentiated once more
        needed = ctx.needs_input_grad[1:]
        saved = zip(ctx.saved_tensors, needed, strict=True)
        # Views, because one tensor may be several arguments.
        leaves = [x.view_as(x) if again else x.detach().requires_grad_(need) for x, need in saved]
        with torch.enable_grad(), without_autocast(leaves[0].device.type):
            results = zip(ctx.function(*leaves), gradients, strict=True)
            # A single number, because `torch.autograd.grad` of several loads SymPy, which takes seconds too.
            total = sum((y * dy).sum() for y, dy in results)
        wanted = [x for x, need in zip(leaves, needed, strict=True) if need]
        found = iter(torch.autograd.grad(total, wanted, create_graph=again, materialize_grads=True))
        return None, *(next(found) if need else None for need in needed)
