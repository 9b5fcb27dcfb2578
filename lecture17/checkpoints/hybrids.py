"""Hybrids as Hugging Face's transformers 5 writes them: Qwen3.5, Qwen3-Next, OLMo-hybrid, Kimi Linear,
Bamba and Falcon-H1.

Their layers are blocks of this course with the weights in another order. What is constant in them becomes part of the
weights: norms that multiply by 1 + w, and Falcon's multipliers. Sources: transformers 5, `models/qwen3_5`,
`models/qwen3_next`, `models/olmo_hybrid`, `models/kimi_linear`, `models/bamba` and `models/falcon_h1`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ..layers import Block, Mixer, SideBySide, SwiGLU
from ..models import LanguageModel
from ._parts import apart, attention, by_key_head, delta_net, kda, latent_attention, mamba2
from ._published import Config, State, Weights, under

MakeMixer = Callable[[int, Weights], tuple[Mixer, State]]


@dataclass(frozen=True)
class Layout:
    """Where a family keeps the parts of a layer, and how its numbers are written."""

    mlp: str = "mlp"
    norms: tuple[str, str] = ("input_layernorm", "post_attention_layernorm")  # of the mixer and of the MLP
    last: str = "norm"
    norm_from: float = 0.0  # a norm multiplies by this plus its weight
    norms_after: Sequence[int] = ()  # layers whose norms are behind the mixer and the MLP
    scales: tuple[float, float, float, float] = (1, 1, 1, 1)  # of embedding, SwiGLU's gate and output, logits


AFTER = ("post_attention_layernorm", "post_feedforward_layernorm")
OLMO = Layout(norms=("attention_layer_norm", "feedforward_layer_norm"))
FEED_FORWARD = Layout("feed_forward", ("input_layernorm", "pre_ff_layernorm"), "final_layernorm")


def qwen3_5(config: Config, weights: Weights) -> tuple[LanguageModel, State]:
    """The text model, alone or of the model that also reads images."""
    text = Config({**config.entries, **config.get("text_config", {})})
    body = "model.language_model." if "text_config" in config.entries else "model."

    def mixer(i: int, layer: Weights) -> tuple[Mixer, State]:
        if _layer_types(text)[i] == "linear_attention":
            net = layer.below("linear_attn.")
            return delta_net(text, net, apart(text, net, *(f"in_proj_{z}" for z in ("qkv", "z", "b", "a"))))
        return _qwen_attention(text, layer)

    return _model(text, weights, body, mixer, Layout(norm_from=1.0))


def qwen3_next(config: Config, weights: Weights) -> tuple[LanguageModel, State]:
    """A dense one; the published ones have experts."""
    if config.get("num_experts", 512) and len(config.get("mlp_only_layers", [])) < config["num_hidden_layers"]:
        raise ValueError("config.json has num_experts: expected a dense model; no block here has experts")

    def mixer(i: int, layer: Weights) -> tuple[Mixer, State]:
        if _layer_types(config)[i] == "linear_attention":
            net = layer.below("linear_attn.")
            return delta_net(config, net, by_key_head(config, net))
        return _qwen_attention(config, layer)

    return _model(config, weights, "model.", mixer, Layout(norm_from=1.0))


def _qwen_attention(config: Config, layer: Weights) -> tuple[Mixer, State]:
    return attention(config, layer.below("self_attn."), qk_norm=True, norm_from=1.0, output_gate=True, rotary=0.25)


def olmo_hybrid(config: Config, weights: Weights) -> tuple[LanguageModel, State]:
    """Attention layers have their norms after attention and after the MLP, the others before."""

    def mixer(i: int, layer: Weights) -> tuple[Mixer, State]:
        if _layer_types(config)[i] == "linear_attention":
            beta_max = 2.0 if config.get("linear_allow_neg_eigval", True) else 1.0
            net = layer.below("linear_attn.")
            projections = apart(config, net, *(f"{z}_proj" for z in "qkvgba"))
            convolutions = tuple(f"{z}_conv1d" for z in "qkv")
            return delta_net(config, net, projections, convolutions, "o_norm", "o_proj", beta_max, norm_eps=1e-5)
        return attention(config, layer.below("self_attn."), qk_norm="all", may_have_no_rope=True)

    after = [i for i, kind in enumerate(_layer_types(config)) if kind == "full_attention"]
    return _model(config, weights, "model.", mixer, replace(OLMO, norms_after=after))


def kimi_linear(config: Config, weights: Weights) -> tuple[LanguageModel, State]:
    """A dense one; the published one has experts. Its configuration is transformers', or the authors' own."""
    authors: dict[str, Any] = config.get("linear_attn_config", {})
    names = {"head_dim": "linear_head_dim", "num_heads": "linear_num_heads"}
    names["short_conv_kernel_size"] = "linear_conv_kernel_dim"
    renamed = {theirs: authors[name] for name, theirs in names.items() if name in authors}
    config = Config({**config.entries, **renamed})
    n = config["num_hidden_layers"]
    dense = n if not config.get("num_experts", 0) else config.get("first_k_dense_replace", 1)
    if set(config.get("mlp_layer_types", ["dense" if i < dense else "sparse" for i in range(n)])) != {"dense"}:
        raise ValueError("config.json has num_experts: expected a dense model; no block here has experts")
    if "full_attn_layers" in authors:  # counted from 1
        kinds = ["full_attention" if i + 1 in authors["full_attn_layers"] else "linear_attention" for i in range(n)]
        config = Config({**config.entries, "layer_types": kinds})
    config["layer_types"]  # must be there: `_layer_types` has another default

    def mixer(i: int, layer: Weights) -> tuple[Mixer, State]:
        make = kda if _layer_types(config)[i] == "linear_attention" else latent_attention
        return make(config, layer.below("self_attn."))

    # transformers 5 gives every MLP the name of one with experts when it writes them
    mlp = "block_sparse_moe" if "model.layers.0.block_sparse_moe.gate_proj.weight" in weights else "mlp"
    return _model(config, weights, "model.", mixer, Layout(mlp))


def bamba(config: Config, weights: Weights) -> tuple[LanguageModel, State]:
    """Mamba-2 layers, and attention in those of attn_layer_indices."""
    indices = config.get("attn_layer_indices", [])

    def mixer(i: int, layer: Weights) -> tuple[Mixer, State]:
        if i in indices:
            return attention(config, layer.below("self_attn."), rotary=0.5)
        return mamba2(config, layer.below("mamba."))

    return _model(config, weights, "model.", mixer, FEED_FORWARD)


def falcon_h1(config: Config, weights: Weights) -> tuple[LanguageModel, State]:
    """Attention and Mamba-2 side by side in every layer, with multipliers."""
    config.need("as in the published models", mamba_proj_bias=False, projectors_bias=False)
    get = config.get
    in_, key, out = (
        get("attention_in_multiplier", 1.0),
        get("key_multiplier", 1.0),
        get("attention_out_multiplier", 1.0),
    )
    gate, down = get("mlp_multipliers", [1.0, 1.0])

    def mixer(i: int, layer: Weights) -> tuple[Mixer, State]:
        attended, weights_of_it = attention(config, layer.below("self_attn."), scales=(in_, in_ * key, in_, out))
        scanned, weights_of_scan = mamba2(
            config,
            layer.below("mamba."),
            inputs=[get("ssm_in_multiplier", 1.0) * m for m in get("ssm_multipliers", 5 * [1.0])],
            output=get("ssm_out_multiplier", 1.0),
            norm=get("mamba_rms_norm", False),
            norm_before_gate=get("mamba_norm_before_gate", True),
        )
        both = under("mixers.0.", weights_of_it) | under("mixers.1.", weights_of_scan)
        return SideBySide(attended, scanned), both

    scales = get("embedding_multiplier", 1.0), gate, down, get("lm_head_multiplier", 1.0)
    return _model(config, weights, "model.", mixer, replace(FEED_FORWARD, scales=scales))


def _layer_types(config: Config) -> list[str]:
    n = config["num_hidden_layers"]
    every = config.get("full_attention_interval", 4)
    types = config.get("layer_types", ["linear_attention" if (i + 1) % every else "full_attention" for i in range(n)])
    if len(types) != n or not {*types} <= {"linear_attention", "full_attention"}:
        raise ValueError(f"config.json has layer_types {types}: expected {n} of linear_attention and full_attention")
    return types


def _model(config: Config, weights: Weights, body: str, make: MakeMixer, layout: Layout) -> tuple[LanguageModel, State]:
    """Embedding, layers of mixer and SwiGLU, norm and output map."""
    config.need("as in the published models", hidden_act="silu", attention_bias=False, mlp_bias=False)
    d, hidden, eps = config["hidden_size"], config["intermediate_size"], config["rms_norm_eps"]
    embed, gate, down, logits = layout.scales
    rest = weights.below(body)

    def norm(from_: Weights, name: str) -> State:
        return {"weight": layout.norm_from + from_.take(f"{name}.weight", d)}

    embedding = rest.take("embed_tokens.weight", config["vocab_size"], d)
    tied = config.get("tie_word_embeddings", False)
    once = tied and "lm_head.weight" not in weights
    head = embedding if once else weights.take("lm_head.weight", config["vocab_size"], d)
    state = {"embedding.weight": embed * embedding}
    state["lm_head.weight"] = state["embedding.weight"] if tied and embed == logits else logits * head
    state |= under("norm_f.", norm(rest, layout.last))
    blocks = []
    for i in range(config["num_hidden_layers"]):
        layer = rest.below(f"layers.{i}.")
        mlp = layer.below(f"{layout.mlp}.")
        mixer, of_mixer = make(i, layer)
        after = i in layout.norms_after
        mixer_norm, mlp_norm = AFTER if after else layout.norms
        if f"{mixer_norm}.weight" not in layer:  # transformers 5 gives OLMo's this name when it writes them
            mixer_norm = mixer_norm.replace("post_attention_layernorm", "feedforward_layer_norm")
        with torch.device("meta"):
            parts = [SwiGLU(d, hidden), nn.RMSNorm(d, eps)] if after else [nn.RMSNorm(d, eps), SwiGLU(d, hidden)]
            blocks.append(Block(mixer, nn.RMSNorm(d, eps), nn.Sequential(*parts), norm_after=after))
        of_layer = (
            under("mixer.", of_mixer)
            | under("norm.", norm(layer, mixer_norm))
            | under(f"mlp.{int(after)}.", norm(layer, mlp_norm))
            | {
                f"mlp.{int(not after)}.gate_proj.weight": gate * mlp.take("gate_proj.weight", hidden, d),
                f"mlp.{int(not after)}.up_proj.weight": mlp.take("up_proj.weight", hidden, d),
                f"mlp.{int(not after)}.down_proj.weight": down * mlp.take("down_proj.weight", d, hidden),
            }
        )
        state |= under(f"layers.{i}.", of_layer)
    with torch.device("meta"):
        model = LanguageModel.of_blocks(config["vocab_size"], d, blocks, nn.RMSNorm(d, eps))
    return model, state
