"""Every mixer as a block of a network: projections, short convolutions, gates and norms as in its paper.

A causal block is a `Mixer`: `forward(x)`, `init_cache(batch)`, `step(x_t, cache)`, with x: (batch, time, d_model). For
images, `Vim`, `SS2D`, `ImageAttention` and `GatedConv` do not know before and after, and have `forward` alone.
A `Block` puts one into a stack, with a norm and an MLP.
"""

from .attention import Attention
from .block import Block, block_of
from .delta_net import DeltaNet, GatedDeltaNet
from .delta_product import DeltaProduct
from .feed_forward import ChannelMix, SwiGLU
from .gla import GLA
from .kda import KDA
from .latent_attention import LatentAttention
from .log_linear import LogLinearMamba2
from .mamba import Mamba
from .mamba2 import Mamba2
from .mamba3 import Mamba3
from .mixer import Mixer
from .mlstm import MLSTM
from .retention import Retention
from .rwkv7 import RWKV7
from .side_by_side import SideBySide
from .vision import SS2D, GatedConv, ImageAttention, Vim

__all__ = [
    "GLA",
    "KDA",
    "MLSTM",
    "RWKV7",
    "SS2D",
    "Attention",
    "Block",
    "ChannelMix",
    "DeltaNet",
    "DeltaProduct",
    "GatedConv",
    "GatedDeltaNet",
    "ImageAttention",
    "LatentAttention",
    "LogLinearMamba2",
    "Mamba",
    "Mamba2",
    "Mamba3",
    "Mixer",
    "Retention",
    "SideBySide",
    "SwiGLU",
    "Vim",
    "block_of",
]
