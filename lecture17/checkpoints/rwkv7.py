"""RWKV-7 in the format of its authors: one .pth with time mixing, channel mixing and LayerNorms, and no configuration.

Weights are `emb.weight`, `blocks.0.ln0`, `blocks.N.ln1`, `blocks.N.att.*`, `blocks.N.ln2`, `blocks.N.ffn.*`, `ln_out`
and `head.weight`; they tell every size. Source: github.com/BlinkDL/RWKV-LM, `RWKV-v7/train_temp/src/model.py` and
`rwkv_v7_numpy.py`, which reads the released World models.
"""

import re

import torch
import torch.nn.functional as F
from torch import nn

from ..layers import RWKV7, Block, ChannelMix
from ..layers.rwkv7 import FACTORS
from ..models import LanguageModel
from ._published import State, Weights, under

UNUSED = tuple(f"blocks.0.att.v{i}" for i in range(3))  # the first layer has no value residual


def rwkv7(weights: Weights) -> tuple[LanguageModel, State]:
    """Each published layer becomes two blocks here, time mixing and channel mixing, each behind its LayerNorm."""
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.tensors.items()}
    n_layers = len({name for name in shapes if re.fullmatch(r"blocks\.\d+\.ln1\.weight", name)})
    try:
        vocab_size, d_model = shapes["emb.weight"]
        head_dim, hidden = shapes["blocks.0.att.r_k"][1], shapes["blocks.0.ffn.key.weight"][0]
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"the weights have no {error}: expected those of RWKV-7, with the names of its World releases"
        ) from error
    with torch.device("meta"):
        layers = []
        for i in range(n_layers):
            of_layer = {name: shapes.get(f"blocks.{i}.att.{name}1", ()) for name in FACTORS}
            ranks = {name: shape[1] for name, shape in of_layer.items() if len(shape) == 2}
            time_mix = RWKV7(d_model, head_dim, i, n_layers, ranks)
            layers += [Block(mixer, nn.LayerNorm(d_model)) for mixer in (time_mix, ChannelMix(d_model, hidden))]
        model = LanguageModel.of_blocks(vocab_size, d_model, layers, nn.LayerNorm(d_model))

    def norm(name: str) -> State:
        return {part: weights.take(f"{name}.{part}", d_model) for part in ("weight", "bias")}

    first = norm("blocks.0.ln0")  # it depends on the token alone, so it becomes part of the embedding
    emb = weights.take("emb.weight", vocab_size, d_model)
    state = {
        "embedding.weight": F.layer_norm(emb, (d_model,), first["weight"], first["bias"]),
        "lm_head.weight": weights.take("head.weight", vocab_size, d_model),
    } | under("norm_f.", norm("ln_out"))
    for i, block in enumerate(layers):
        layer, part = f"blocks.{i // 2}.", ("att", "ffn")[i % 2]
        sizes = {name: tuple(parameter.shape) for name, parameter in block.mixer.named_parameters()}
        mixer = under("mixer.", weights.below(f"{layer}{part}.").take_all(sizes))
        state |= under(f"layers.{i}.", under("norm.", norm(f"{layer}ln{i % 2 + 1}")) | mixer)
    return model, state
