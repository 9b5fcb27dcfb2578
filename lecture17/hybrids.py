"""Layouts of published hybrids: which layers are attention, and what their caches keep. Introduced in 03e_family_since.

`LAYOUTS` has a row for each model. Its layers are those that mix tokens, counted from 0; MLPs and experts do not count.
What Hugging Face's transformers ships as a model's defaults is compared with its row in `tests/peers/test_layouts.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Layout:
    """The layout of one model.

    name        of the model, with its size where sizes differ
    source      an arXiv identifier, or what was published instead
    mixer       what the layers without attention are
    layers      how many layers mix tokens
    attention   which of them are attention
    heads       of queries, and of keys and values
    window      tokens that attention sees; None: all of them
    beside      whether attention has the mixer beside it, instead of taking its place
    latent      numbers that attention caches for a token, as a share of keys and values of every query's head, where
                it caches neither of them
    peer        the model's configuration in transformers, "" if it has none there
    shared      what the default values of that configuration have in common with this row: "layers" (with their
                window), "heads", both or neither
    """

    name: str
    source: str
    mixer: str
    layers: int
    attention: Sequence[int]
    heads: tuple[int, int]
    window: int | None = None
    beside: bool = False
    latent: float | None = None
    peer: str = ""
    shared: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The attention layers in words."""
        gaps = {after - before for before, after in pairwise(self.attention)}
        if gaps == {1}:
            return "every layer"
        if len(gaps) == 1:
            return f"one in {gaps.pop()}, from layer {self.attention[0]}"
        return ", ".join(map(str, self.attention))

    @property
    def growth(self) -> float:
        """What its caches grow by with every token, as a share of attention in all layers without groups of queries."""
        queries, pairs = self.heads
        kept = pairs / queries if self.latent is None else self.latent
        return 0.0 if self.window else len(self.attention) / self.layers * kept


BOTH = ("layers", "heads")

LAYOUTS = (
    Layout("Jamba", "2403.19887", "Mamba-1", 32, range(4, 32, 8), (32, 8), peer="JambaConfig", shared=BOTH),
    # One head of keys and values: `LocalAttentionBlock` in the release's code, google-deepmind/recurrentgemma on GitHub
    Layout(
        "RecurrentGemma 2B",
        "2404.07839",
        "RG-LRU",
        26,
        range(2, 26, 3),
        (10, 1),
        window=2048,
        peer="RecurrentGemmaConfig",
        shared=("layers",),
    ),
    # Layers, heads and window: `Samba_421M` in the release's code, microsoft/Samba on GitHub, lit_gpt/config.py
    Layout("Samba 421M", "2406.07522", "Mamba-1", 12, range(1, 12, 2), (12, 12), window=2048),
    Layout(
        "Zamba2 2.7B",
        "2411.15242",
        "Mamba-2",
        54,
        (6, 12, 18, 24, 30, 36, 42, 47, 51),
        (32, 32),
        beside=True,
        peer="Zamba2Config",
        shared=BOTH,
    ),
    Layout(
        "Bamba 9B",
        "Hugging Face's blog, December 2024",
        "Mamba-2",
        32,
        range(9, 32, 9),
        (32, 8),
        peer="BambaConfig",
        shared=("heads",),
    ),
    Layout("MiniMax-01", "2501.08313", "lightning attention", 80, range(7, 80, 8), (64, 8), peer="MiniMaxConfig"),
    Layout(
        "Nemotron-H 8B",
        "2504.03624",
        "Mamba-2",
        28,
        range(4, 28, 6),
        (32, 8),
        peer="NemotronHConfig",
        shared=("heads",),
    ),
    Layout("Falcon-H1 7B", "2507.22448", "Mamba-2", 44, range(44), (12, 2), beside=True, peer="FalconH1Config"),
    Layout(
        "Qwen3-Next 80B",
        "model card, September 2025",
        "gated DeltaNet",
        48,
        range(3, 48, 4),
        (16, 2),
        peer="Qwen3NextConfig",
        shared=BOTH,
    ),
    Layout(
        "Granite 4.0 H-Micro",
        "release, October 2025",
        "Mamba-2",
        40,
        range(5, 40, 10),
        (32, 8),
        peer="GraniteMoeHybridConfig",
    ),
    Layout(
        "Kimi Linear 48B",
        "2510.26692",
        "KDA",
        27,
        (3, 7, 11, 15, 19, 23, 26),
        (32, 32),
        latent=576 / (32 * (192 + 128)),
        peer="KimiLinearConfig",
        shared=("heads",),
    ),
    Layout(
        "LFM2 1.2B",
        "2511.23404",
        "short convolution",
        16,
        (2, 5, 8, 10, 12, 14),
        (32, 8),
        peer="Lfm2Config",
        shared=("heads",),
    ),
    Layout("Nemotron 3 Nano", "2512.20848", "Mamba-2", 29, (3, 7, 11, 15, 19, 24), (32, 2)),
    Layout(
        "Qwen3.5 9B",
        "model card, 2026",
        "gated DeltaNet",
        32,
        range(3, 32, 4),
        (16, 4),
        peer="Qwen3_5TextConfig",
        shared=BOTH,
    ),
    Layout(
        "Olmo Hybrid 7B",
        "2604.03444",
        "gated DeltaNet",
        32,
        range(3, 32, 4),
        (30, 30),
        peer="OlmoHybridConfig",
        shared=BOTH,
    ),
)
