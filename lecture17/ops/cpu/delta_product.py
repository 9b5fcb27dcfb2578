"""DeltaProduct as the delta rule with more steps than tokens."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .blocks import Listing
from .delta_rule import DeltaRule


class DeltaProduct(DeltaRule):
    """The pieces of K, V and β have the axes (chunks, b, n_h, L, h, …): all chunks of a sequence with a step axis."""

    LONGEST_CHUNK = 16  # two steps a token make as many as the delta rule has in its longest

    def __init__(self, listing: Listing, S: Tensor, *pieces: Any) -> None:
        super().__init__(listing, S, *_in_a_row(pieces))

    def write(self, *pieces: Any) -> bool:
        return super().write(*_in_a_row(pieces))

    def write_gradients(self, grads: Sequence[Any], pieces: Sequence[Any], *of_operands: Any) -> None:
        super().write_gradients(_in_a_row(grads), _in_a_row(pieces), *of_operands)


def _in_a_row(pieces: Sequence[Any]) -> tuple[Any, ...]:
    """The steps of a token after one another, (chunks, b, h, L · n_h, …): views where time and steps are contiguous."""
    Q, K, V, beta, log_a = pieces
    K, V, beta = (x.movedim(4, 2).transpose(3, 4).flatten(3, 4) for x in (K, V, beta))
    return Q, K, V, beta, log_a
