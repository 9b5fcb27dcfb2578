"""Every mixer as a block of a network: projections, short convolutions, gates and norms as in its paper.

A causal block is a `Mixer`: `forward(x)`, `init_cache(batch)`, `step(x_t, cache)`, with x: (batch, time, d_model). For
images, `Vim`, `SS2D`, `ImageAttention` and `GatedConv` do not know before and after, and have `forward` alone.
"""

from .attention import Attention
from .delta_net import DeltaNet, GatedDeltaNet
from .delta_product import DeltaProduct
from .gla import GLA
from .kda import KDA
from .log_linear import LogLinearMamba2
from .mamba import Mamba
from .mamba2 import Mamba2
from .mamba3 import Mamba3
from .mixer import Mixer
from .mlstm import MLSTM
from .retention import Retention
from .rwkv7 import RWKV7
from .vision import SS2D, GatedConv, ImageAttention, Vim

__all__ = [
    "GLA",
    "KDA",
    "MLSTM",
    "RWKV7",
    "SS2D",
    "Attention",
    "DeltaNet",
    "DeltaProduct",
    "GatedConv",
    "GatedDeltaNet",
    "ImageAttention",
    "LogLinearMamba2",
    "Mamba",
    "Mamba2",
    "Mamba3",
    "Mixer",
    "Retention",
    "Vim",
]
