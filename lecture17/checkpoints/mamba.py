"""Mamba and Mamba-2, in the format of mamba_ssm (its authors) and in that of Hugging Face's transformers.

Both have weights under `backbone.layers.N.norm.weight`, `backbone.layers.N.mixer.*`, `backbone.norm_f.weight` and
`lm_head.weight`; the embedding is `backbone.embedding.weight` with the authors, `backbone.embeddings.weight` there.
Sources: github.com/state-spaces/mamba, `mamba_ssm/models/mixer_seq_simple.py` and `config_mamba.py`; transformers 5,
`models/mamba` and `models/mamba2`.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..layers import Block, Mamba, Mamba2, Mixer
from ..models import LanguageModel
from ._published import Config, State, Weights, under

# Names for the arguments of the blocks: mamba_ssm's, transformers', ours.
MAMBA = {"d_state": ("state_size", "d_state"), "expand": ("expand", "expand"), "d_conv": ("conv_kernel", "d_conv")}
MAMBA2 = MAMBA | {
    "headdim": ("head_dim", "head_dim"),
    "ngroups": ("n_groups", "n_groups"),
    "chunk_size": ("chunk_size", "chunk_size"),
    "dt_limit": ("time_step_limit", "dt_limit"),
    "norm_before_gate": ("", "norm_before_gate"),
    "bias": ("use_bias", "bias"),
    "conv_bias": ("use_conv_bias", "conv_bias"),
}
PLAIN = "a plain stack of blocks"


def authors(config: Config, weights: Weights) -> tuple[LanguageModel, State]:
    """A model of mamba_ssm, Mamba or Mamba-2 by ssm_cfg.layer."""
    ssm_cfg = dict(config.get("ssm_cfg", {}))
    layer = ssm_cfg.pop("layer", "Mamba1")
    if layer not in ("Mamba1", "Mamba2"):
        raise ValueError(f'config.json has ssm_cfg.layer = {layer!r}: expected "Mamba1" or "Mamba2"')
    config.need(PLAIN, rms_norm=True, d_intermediate=0, attn_layer_idx=[])
    names = MAMBA if layer == "Mamba1" else MAMBA2
    unknown = ssm_cfg.keys() - names
    if unknown:
        raise ValueError(f"config.json has ssm_cfg.{min(unknown)}: expected only {', '.join(names)}")
    options = {names[name][1]: value for name, value in ssm_cfg.items()}
    multiple = config.get("pad_vocab_size_multiple", 8)
    vocab_size = -(-config["vocab_size"] // multiple) * multiple
    kind = Mamba if layer == "Mamba1" else Mamba2
    return _stack(
        weights, kind, options, vocab_size, config["d_model"], config["n_layer"], config.get("tie_embeddings", True)
    )


def mamba(config: Config, weights: Weights) -> tuple[LanguageModel, State]:
    """A Mamba of transformers, whose default is a tied output map."""
    config.need("as in published Mamba models", use_bias=False, use_conv_bias=True, hidden_act="silu")
    rank = math.ceil(config["hidden_size"] / 16)
    config.need("hidden_size / 16", time_step_rank="auto" if config.get("time_step_rank", "auto") == "auto" else rank)
    return _hugging_face(config, weights, Mamba, MAMBA, tie=True)


def mamba2(config: Config, weights: Weights) -> tuple[LanguageModel, State]:
    """A Mamba-2 of transformers, such as Codestral with its 8 groups."""
    config.need("as in published Mamba-2 models", hidden_act="silu")
    config.need(
        "hidden_size · expand / head_dim", num_heads=config["hidden_size"] * config["expand"] // config["head_dim"]
    )
    return _hugging_face(config, weights, Mamba2, MAMBA2, tie=False)


def _hugging_face(
    config: Config, weights: Weights, kind: Callable[..., Mixer], names: dict[str, tuple[str, str]], tie: bool
) -> tuple[LanguageModel, State]:
    options = {ours: config[theirs] for theirs, ours in names.values() if config.get(theirs, None) is not None}
    tied = config.get("tie_word_embeddings", tie)
    eps = config.get("layer_norm_epsilon", 1e-5)
    sizes = config["vocab_size"], config["hidden_size"], config["num_hidden_layers"]
    return _stack(weights, kind, options, *sizes, tied, "embeddings", eps)


def _stack(
    weights: Weights,
    kind: Callable[..., Mixer],
    options: dict[str, Any],
    vocab_size: int,
    d_model: int,
    n_layers: int,
    tie: bool,
    embedding: str = "embedding",
    eps: float = 1e-5,
) -> tuple[LanguageModel, State]:
    if "dt_limit" in options:
        options["dt_limit"] = tuple(map(float, options["dt_limit"]))  # files have a list, in which infinity is a word
    with torch.device("meta"):
        layers = [Block(kind(d_model, **options), nn.RMSNorm(d_model, eps)) for _ in range(n_layers)]
        model = LanguageModel.of_blocks(vocab_size, d_model, layers, nn.RMSNorm(d_model, eps))
    for layer in layers if kind is Mamba2 else ():
        layer.mixer.norm.eps = eps
    backbone = weights.below("backbone.")
    state = {
        "embedding.weight": backbone.take(f"{embedding}.weight", vocab_size, d_model),
        "norm_f.weight": backbone.take("norm_f.weight", d_model),
    }
    for i, layer in enumerate(layers):
        shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
        state |= under(f"layers.{i}.", backbone.below(f"layers.{i}.").take_all(shapes))
    tied_and_stored_once = tie and "lm_head.weight" not in weights
    head = state["embedding.weight"] if tied_and_stored_once else weights.take("lm_head.weight", vocab_size, d_model)
    return model, state | {"lm_head.weight": state["embedding.weight"] if tie else head}


def save_mamba2(model: LanguageModel, folder: str | Path) -> None:
    """Write a stack of Mamba-2 blocks into a folder as transformers does: config.json and pytorch_model.bin.

    Raises ValueError if a block is not a Mamba-2 block, has an MLP, or norms before its gate.
    """
    mixers = [block.mixer for block in model.layers]
    if not all(isinstance(mixer, Mamba2) for mixer in mixers) or any(block.mlp is not None for block in model.layers):
        raise ValueError('model has other blocks: expected a plain stack of Mamba-2 blocks, a pattern of only "M"')
    first = mixers[0]
    if first.norm_before_gate:
        raise ValueError("model has norm_before_gate: expected the norm after the gate, the only one of this format")
    tied = model.lm_head.weight is model.embedding.weight
    options = {theirs: getattr(first, ours) for theirs, ours in MAMBA2.values() if theirs and hasattr(first, ours)}
    if options["time_step_limit"] == (0.0, math.inf):  # the default, and JSON has no infinity
        del options["time_step_limit"]
    config = {
        "model_type": "mamba2",
        "architectures": ["Mamba2ForCausalLM"],
        "vocab_size": model.vocab_size,
        "hidden_size": first.d_model,
        "num_hidden_layers": len(mixers),
        "num_heads": first.n_heads,
        "expand": first.d_inner // first.d_model,
        "conv_kernel": first.conv1d.kernel_size[0],
        "layer_norm_epsilon": first.norm.eps,
        "tie_word_embeddings": tied,
        **options,
    }
    published = {n if n.startswith("lm_head") else f"backbone.{n}": w for n, w in model.state_dict().items()}
    weights = {n.replace("embedding.", "embeddings."): w for n, w in published.items()}
    if tied:
        del weights["lm_head.weight"]
    (Path(folder) / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    torch.save(weights, Path(folder) / "pytorch_model.bin")
