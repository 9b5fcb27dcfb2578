"""How the exercises of 04a call answers that take PyTorch tensors, and the mistakes they recognize.

Separate from `ex_04a_torch`, so that the list of exercises can be read without loading PyTorch.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lecture17.ops import ssd

from ..exercise import Function, Inputs, WrongForm

# --- calling ------------------------------------------------------------------------------------------------------


def run_batched(answer: Function, inputs: Inputs) -> tuple[np.ndarray, ...]:
    """y of the answer, and the gradients of a weighted sum of y with respect to each argument."""
    tensors = {name: torch.from_numpy(a).requires_grad_() for name, a in inputs.items()}
    y = answer(*tensors.values())
    _check_tensor("y", y)
    if not y.requires_grad:
        raise WrongForm("y carries no gradient: stay within torch, with no .detach(), .numpy() or torch.no_grad()")
    gradients = torch.autograd.grad(_weighted(y), list(tensors.values()), allow_unused=True, materialize_grads=True)
    plain = [t.detach() for t in tensors.values()]
    once = _operations(answer, plain)
    for axis, name in ((0, "sequences"), (2, "heads")):
        if _operations(answer, [torch.cat([a, a], axis) for a in plain]) > once:
            raise WrongForm(f"twice the {name} take more PyTorch operations: use no Python loop over them")
    return tuple(t.detach().numpy() for t in (y, *gradients))


def gradients_of_recurrence(inputs: Inputs) -> list[np.ndarray]:
    """The same gradients computed another way: token by token."""
    tensors = [torch.from_numpy(a).requires_grad_() for a in inputs.values()]
    y, _ = ssd.recurrent(*tensors)
    return [g.numpy() for g in torch.autograd.grad(_weighted(y), tensors)]


def run_decoding(answer: Function, inputs: Inputs) -> tuple[np.ndarray, ...]:
    """Decode a sequence token by token, and the last token twice, from the same cache."""
    tensors = {name: torch.from_numpy(a) for name, a in inputs.items()}
    weight, cache = tensors.pop("weight"), (tensors.pop("window").clone(), tensors.pop("state").clone())
    y = []
    for t in range(tensors["u"].shape[1]):
        before = cache
        y_t, cache = _step(answer, *(a[:, t] for a in tensors.values()), weight, before)
        y.append(y_t)
    window, state = (part.clone() for part in cache)
    y_again, _ = _step(answer, *(a[:, -1] for a in tensors.values()), weight, before)
    return tuple(part.numpy() for part in (torch.stack(y, 1), window, state, y_again))


def _step(answer: Function, *args: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    result = answer(*args)
    pairs = (tuple, list)
    if not (isinstance(result, pairs) and len(result) == 2 and isinstance(result[1], pairs) and len(result[1]) == 2):
        raise WrongForm("expected a tuple (y_t, (window, state))")
    y_t, (window, state) = result
    for name, part in {"y_t": y_t, "window": window, "state": state}.items():
        _check_tensor(name, part)
    return y_t.clone(), (window, state)


def _check_tensor(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise WrongForm(f"{name} is a {type(value).__name__}: expected a torch tensor")


def _weighted(y: Tensor) -> Tensor:
    return (y * torch.arange(y.numel(), dtype=y.dtype).cos().view(y.shape)).sum()


class _Count(TorchDispatchMode):
    """Counts the operations that PyTorch is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return func(*args, **(kwargs or {}))


def _operations(answer: Function, tensors: list[Tensor]) -> int:
    with _Count() as counted:
        answer(*tensors)
    return counted.operations


# --- mistakes -----------------------------------------------------------------------------------------------------


def batched(x: Tensor, log_a: Tensor, B: Tensor, C: Tensor, slip: str = "") -> Tensor:
    """y = (L ∘ C Bᵀ) x of every head, with one slip."""
    per_group = x.shape[2] // B.shape[2]
    if slip == "in turn":
        B, C = (M.repeat(1, 1, per_group, 1) for M in (B, C))
    elif slip == "first group":
        B, C = (M[:, :, :1].expand(-1, -1, x.shape[2], -1) for M in (B, C))
    else:
        B, C = (M.repeat_interleave(per_group, 2) for M in (B, C))
    if slip == "swapped":
        B, C = C, B
    if slip == "scaled":
        C = C * C.shape[-1] ** -0.5
    if slip == "loop":
        return torch.stack([_attend(x[:, :, h], log_a[..., h], B[:, :, h], C[:, :, h]) for h in range(x.shape[2])], 2)
    if slip == "last two axes":
        return _attend(x, log_a, B, C)
    by_head = (a.transpose(1, 2) for a in (x, log_a, B, C))
    y = partial(_attend, slip=slip)(*by_head).transpose(1, 2)
    return y.detach() if slip == "detached" else y


def _attend(x: Tensor, log_a: Tensor, B: Tensor, C: Tensor, slip: str = "") -> Tensor:
    """Masked attention along the second-to-last axis of x."""
    low = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).tril()
    if slip in ("differences", "masked after exp"):
        sums = log_a.cumsum(-1)
        sums = sums[..., :, None] - sums[..., None, :]
    else:
        sums = torch.where(low.tril(-1), log_a[..., :, None], 0).cumsum(-2)
    if slip == "off by one":
        sums = sums + log_a[..., None, :]
    if slip == "no decay":
        sums = torch.zeros_like(sums)
    L = sums.exp().tril() if slip == "masked after exp" else torch.where(low, sums, -torch.inf).exp()
    if slip == "no mask":
        L = torch.ones_like(L)
    if slip == "decay detached":
        L = L.detach()
    return (L * (C @ B.mT)) @ x


def decoded(
    u_t: Tensor, log_a_t: Tensor, B_t: Tensor, C_t: Tensor, weight: Tensor, cache: tuple[Tensor, Tensor], slip: str = ""
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One token, with one slip."""
    window, S = cache
    tokens = torch.cat([window, u_t[:, None]], 1)
    if slip == "newest first":
        tokens = tokens.roll(1, 1)
    taps = weight.flip(0) if slip == "flipped" else weight
    x_t = (tokens[:, :-1] * taps[:-1]).sum(1) if slip == "without the token" else (tokens * taps).sum(1)
    if slip == "not convolved":
        x_t = u_t
    kept = (log_a_t if slip == "no exp" else log_a_t.exp())[..., None, None]
    if slip == "no decay":
        kept = torch.ones_like(kept)
    written = B_t[..., :, None] * x_t[..., None, :]
    after = kept * (S + written) if slip == "decay after" else kept * S + written
    if slip == "in place":
        after = S.copy_(after)
    read = {"read first": kept * S, "read old": S}.get(slip, after)
    y_t = (C_t[..., None, :] @ read)[..., 0, :]
    if slip == "old state":
        after = S
    if slip == "window does not move on":
        return y_t, (tokens[:, :-1], after)
    if slip == "convolved":
        return y_t, (torch.cat([window[:, 1:], x_t[:, None]], 1), after)
    if slip == "grows":
        return y_t, (tokens, after)
    if slip == "newest first":
        return y_t, (tokens[:, :-1], after)
    if slip == "window in place":
        return y_t, (window.copy_(tokens[:, 1:]), after)
    return y_t, (tokens[:, 1:], after)
