"""One layer of a stack: a mixer and an MLP, each with its norm, added to what passes through."""

from typing import Any

from torch import Tensor, nn


class Block(nn.Module):
    """x + mixer(norm(x)), and with an mlp then x + mlp(x), whose norm is part of it.

    The norms are on the branches (pre-norm), so the sum itself runs unchanged from the first layer to the last. With
    norm_after it is norm(mixer(x)), as around the attention of OLMo.
    """

    def __init__(self, mixer: nn.Module, norm: nn.Module, mlp: nn.Module | None = None, norm_after: bool = False):
        super().__init__()
        self.norm, self.norm_after = norm, norm_after
        self.mixer: Any = mixer
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        return self._add(x, self.mixer(self._before(x)))

    def mix(self, x: Tensor, cache: Any, *v_first: Tensor | None) -> tuple[Tensor, Any]:
        """The block on the tokens that follow those the cache has seen; `v_first` is only for RWKV-7."""
        y, cache = self.mixer.mix(self._before(x), cache, *v_first)
        return self._add(x, y), cache

    def _before(self, x: Tensor) -> Tensor:
        return x if self.norm_after else self.norm(x)

    def _add(self, x: Tensor, y: Tensor) -> Tensor:
        x = x + (self.norm(y) if self.norm_after else y)
        return x if self.mlp is None else x + self.mlp(x)


def block_of(mixer: nn.Module, d_model: int, mlp_ratio: float) -> Block:
    """A mixer behind an RMSNorm, and an MLP behind another one if mlp_ratio is not 0."""
    norm = nn.RMSNorm(d_model, eps=1e-5)
    if not mlp_ratio:
        return Block(mixer, norm)
    widen, narrow = nn.Linear(d_model, hidden := round(mlp_ratio * d_model)), nn.Linear(hidden, d_model)
    return Block(mixer, norm, nn.Sequential(nn.RMSNorm(d_model, eps=1e-5), widen, nn.GELU(), narrow))
