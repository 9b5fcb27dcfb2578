"""The network around a mixer: tokens in, one guess for each token out."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..models import Block
from .tasks import Task

MLP_RATIO = 2
Recipe = Callable[[], nn.Module]


class Network(nn.Module):
    """An embedding, blocks of mixer and MLP, a norm and a linear map to the classes.

    positions: how many places have a learned vector of their own, which is added to the token's; 0 for none.
    """

    def __init__(
        self,
        n_tokens: int,
        n_classes: int,
        d_model: int,
        mixer: Callable[[int], nn.Module],
        layers: int,
        positions: int,
        mlp_ratio: int = MLP_RATIO,
    ):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, d_model)
        self.position = nn.Parameter(torch.randn(positions, d_model)) if positions else None
        self.blocks = nn.Sequential(*(Block(mixer(d_model), d_model, mlp_ratio) for _ in range(layers)))
        self.norm = nn.RMSNorm(d_model)
        self.head = nn.Linear(d_model, n_classes)

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time n_classes"]:
        x = self.embedding(tokens)
        if self.position is not None:
            x = x + self.position[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def network(
    task: Task,
    mixer: Callable[..., nn.Module],
    *,
    d_model: int = 16,
    layers: int = 1,
    positions: int = 0,
    mlp_ratio: int = MLP_RATIO,
    **options: Any,
) -> Recipe:
    """A recipe for a `Network` for `task`: call it to make one. `options` are the mixer's.

    A recipe and not a network, so that each training makes its own from its own seed, in its own process.
    """
    made = partial(mixer, **options)
    sizes = {"layers": layers, "positions": positions, "mlp_ratio": mlp_ratio}
    return partial(Network, task.n_tokens, task.n_classes, d_model, made, **sizes)
