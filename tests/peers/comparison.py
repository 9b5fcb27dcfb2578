"""A block and its peer read the same tokens: at once, and as a prompt and then token by token."""

from collections.abc import Callable
from typing import Any

import torch

from lecture17.layers import Mixer

from ..layers.blocks import D_MODEL, difference, tokens

TIME, PROMPT = 37, 21  # no multiples of the chunk size, 16
Peer = Callable[[torch.Tensor, int, Any], torch.Tensor]  # tokens, position of the first, cache -> y


def x() -> torch.Tensor:
    return tokens(TIME, seed=0)


def recurrent(peer: Any) -> Peer:
    return lambda tokens, position, cache: peer(tokens, cache_params=cache)


def compare(ours: Mixer, peer: Peer, cache: Any, tolerance: float = 1e-5) -> None:
    """Each side has its own cache, ours from `init_cache`."""
    assert ours.d_model == D_MODEL
    with torch.no_grad():
        assert difference(ours(x()), peer(x(), 0, None)) < tolerance
        y, kept = ours.mix(x()[:, :PROMPT], ours.init_cache(2))
        assert difference(y, peer(x()[:, :PROMPT], 0, cache)) < tolerance
        for t in range(PROMPT, TIME):
            y_t, kept = ours.step(x()[:, t], kept)
            assert difference(y_t, peer(x()[:, t : t + 1], t, cache)[:, 0]) < tolerance
