"""Several mixers on the same input, as attention and Mamba-2 in each layer of Falcon-H1."""

from typing import Any

from torch import Tensor, nn

from .mixer import Mixer


class SideBySide(Mixer):
    """y = mixer_1(x) + mixer_2(x) + …: (batch, time, d_model); the cache is the tuple of theirs.

    Source: Zuo et al., arXiv 2507.22448, Section 2.
    """

    def __init__(self, *mixers: Mixer):
        super().__init__(mixers[0].d_model)
        self.mixers: Any = nn.ModuleList(mixers)

    def init_cache(self, batch: int) -> tuple[Any, ...]:
        return tuple(mixer.init_cache(batch) for mixer in self.mixers)

    def mix(self, x: Tensor, cache: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
        read = [mixer.mix(x, part) for mixer, part in zip(self.mixers, cache, strict=True)]
        return sum((y for y, _ in read[1:]), start=read[0][0]), tuple(part for _, part in read)
