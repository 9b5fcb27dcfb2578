"""The layers of published hybrids in Hugging Face's transformers: same random weights, same output, same decoding.

Gated delta net and gated attention of Qwen3-Next, Qwen3.5 and OLMo-hybrid; Mamba-2 and attention of Bamba, Falcon-H1
and Nemotron-H.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lecture17.layers import Attention, GatedDeltaNet, Mamba2

from ..layers.blocks import D_MODEL, difference, trained
from .comparison import Peer, compare, recurrent, x

transformers = pytest.importorskip(
    "transformers", reason="the comparison needs the extra `peers`: pip install -e .[peers]"
)
models = transformers.models

HEAD = 16  # of attention, of which Qwen's rotates 8
QWEN_ROPE = {"rope_type": "default", "rope_theta": 1e5, "partial_rotary_factor": 0.5}
ATTENTION = {"hidden_size": D_MODEL, "num_attention_heads": 6, "num_key_value_heads": 2, "rms_norm_eps": 1e-5}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 6,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 12,
    "layer_types": ["linear_attention", "full_attention"],
    "num_hidden_layers": 2,
}
QWEN = {**ATTENTION, **DELTA, "head_dim": HEAD, "rope_parameters": QWEN_ROPE}
MAMBA = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 2,
    "mamba_d_state": 12,
    "mamba_expand": 2,
    "mamba_chunk_size": 16,
}
FALCON = {**MAMBA, "mamba_d_ssm": 64}
Weights = dict[str, Tensor]


def attending(peer: Any, rotary: Any = None) -> Peer:
    """The peer's attention, with its rotation; it has no mask of its own, so PyTorch's attention makes it causal."""
    peer.config._attn_implementation = "sdpa"

    def run(tokens: Tensor, position: int, cache: Any) -> Tensor:
        positions = torch.arange(position, position + tokens.shape[1])[None]
        angles = {} if rotary is None else {"position_embeddings": rotary(tokens, positions)}
        return peer(tokens, attention_mask=None, past_key_values=cache, **angles)[0]

    return run


def heads(rows: Tensor, n: int) -> Tensor:
    return rows.unflatten(0, (n, -1))


def pairs(rows: Tensor, rope_dim: int, n: int) -> Tensor:
    """Rows of n heads so that pairs (0, 1), (2, 3), … are rotated, which the peer has at (i, i + rope_dim / 2)."""
    order = torch.arange(rope_dim).unflatten(0, (2, -1)).T.flatten().tolist()
    by_head = heads(rows, n)
    return by_head[:, order + list(range(rope_dim, by_head.shape[1]))].flatten(0, 1)


def put(ours: Any, weights: Weights) -> None:
    ours.load_state_dict(weights)


# --- gated delta nets ----------------------------------------------------------------------------------------------


def delta_net(beta_max: float = 1.0) -> GatedDeltaNet:
    return GatedDeltaNet(D_MODEL, head_dim=8, n_heads=2, n_v_heads=6, expand_v=1.5, beta_max=beta_max)


def delta_weights(peer: Weights, q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, a: Tensor) -> Weights:
    return {
        "in_proj.weight": torch.cat([q, k, v]),
        "conv.weight": peer["conv1d.weight"],
        "norm.weight": next(peer[name] for name in ("norm.weight", "o_norm.weight") if name in peer),
        "out_proj.weight": next(peer[name] for name in ("out_proj.weight", "o_proj.weight") if name in peer),
        "beta_proj.weight": beta,
        "a_proj.weight": a,
        "dt_bias": peer["dt_bias"],
        "A_log": peer["A_log"],
        "g_proj.weight": g,
    }


def test_gated_delta_net_is_that_of_qwen3_next() -> None:
    config = transformers.Qwen3NextConfig(**QWEN)
    peer = trained(models.qwen3_next.modeling_qwen3_next.Qwen3NextGatedDeltaNet(config, 0))
    w = peer.state_dict()
    q, k, v, g = (rows.flatten(0, 1) for rows in heads(w["in_proj_qkvz.weight"], 2).split([8, 8, 36, 36], dim=1))
    beta, a = (rows.flatten(0, 1) for rows in heads(w["in_proj_ba.weight"], 2).split([3, 3], dim=1))
    put(ours := delta_net(), delta_weights(w, q, k, v, g, beta, a))
    compare(ours, recurrent(peer), transformers.DynamicCache(config=config))


def test_gated_delta_net_is_that_of_qwen3_5() -> None:
    config = transformers.Qwen3_5TextConfig(**QWEN)
    peer = trained(models.qwen3_5.modeling_qwen3_5.Qwen3_5GatedDeltaNet(config, 0))
    w = peer.state_dict()
    q, k, v = w["in_proj_qkv.weight"].split([16, 16, 72])
    g, beta, a = (w[f"in_proj_{name}.weight"] for name in "zba")
    put(ours := delta_net(), delta_weights(w, q, k, v, g, beta, a))
    compare(ours, recurrent(peer), transformers.DynamicCache(config=config))


@pytest.mark.parametrize("negative", [False, True])
def test_gated_delta_net_is_that_of_olmo_hybrid(negative: bool) -> None:
    config = transformers.OlmoHybridConfig(**ATTENTION, **DELTA, linear_allow_neg_eigval=negative)
    peer = trained(models.olmo_hybrid.modeling_olmo_hybrid.OlmoHybridGatedDeltaNet(config, 0))
    w = peer.state_dict()
    put(ours := delta_net(2.0 if negative else 1.0), delta_weights(w, *(w[f"{name}_proj.weight"] for name in "qkvgba")))
    compare(ours, recurrent(peer), transformers.DynamicCache(config=config))


# --- attention -----------------------------------------------------------------------------------------------------


def test_attention_is_that_of_qwen3_next_and_qwen3_5() -> None:
    for config, module, name in (
        (transformers.Qwen3NextConfig(**QWEN), models.qwen3_next.modeling_qwen3_next, "Qwen3Next{}"),
        (transformers.Qwen3_5TextConfig(**QWEN), models.qwen3_5.modeling_qwen3_5, "Qwen3_5{}"),
    ):
        peer = trained(getattr(module, name.format("Attention"))(config, 1))
        rotary = "TextRotaryEmbedding" if "3_5" in name else "RotaryEmbedding"
        w = peer.state_dict()
        q, gate = heads(w["q_proj.weight"], 6).chunk(2, dim=1)
        ours = Attention(
            D_MODEL, HEAD, True, 6, n_kv_heads=2, qk_norm=True, output_gate=True, rope_theta=1e5, rope_dim=8
        )
        q, k = pairs(q.flatten(0, 1), 8, 6), pairs(w["k_proj.weight"], 8, 2)
        weights = {
            "in_proj.weight": torch.cat([q, k, w["v_proj.weight"], gate.flatten(0, 1)]),
            "out_proj.weight": w["o_proj.weight"],
            "q_norm.weight": pairs(1 + w["q_norm.weight"], 8, 1),  # the peer's weights are around 0
            "k_norm.weight": pairs(1 + w["k_norm.weight"], 8, 1),
        }
        put(ours, weights)
        embedding = getattr(module, name.format(rotary))(config)
        compare(ours, attending(peer, embedding), transformers.DynamicCache(config=config))


def plain_weights(w: Weights, kv_heads: int, rope_dim: int, key_scale: float = 1) -> Weights:
    q, k = pairs(w["q_proj.weight"], rope_dim, 6), pairs(key_scale * w["k_proj.weight"], rope_dim, kv_heads)
    return {"in_proj.weight": torch.cat([q, k, w["v_proj.weight"]]), "out_proj.weight": w["o_proj.weight"]}


@pytest.mark.parametrize("rope", [True, False])
def test_attention_is_that_of_olmo_hybrid_whose_norm_is_over_all_heads(rope: bool) -> None:
    parameters = {"rope_type": "default", "rope_theta": 5e5}
    config = transformers.OlmoHybridConfig(**ATTENTION, **DELTA, head_dim=HEAD, rope_parameters=parameters)
    module = models.olmo_hybrid.modeling_olmo_hybrid
    peer = trained(module.OlmoHybridAttention(config, 1))
    w, rope_dim = peer.state_dict(), HEAD if rope else 0
    norms = {f"{z}_norm.weight": heads(pairs(w[f"{z}_norm.weight"], rope_dim, n), n) for z, n in (("q", 6), ("k", 2))}
    ours = Attention(D_MODEL, HEAD, rope, 6, n_kv_heads=2, qk_norm="all", rope_theta=5e5)
    put(ours, plain_weights(w, 2, rope_dim) | norms)
    rotary = module.OlmoHybridRotaryEmbedding(config) if rope else lambda tokens, positions: None
    compare(ours, attending(peer, rotary), transformers.DynamicCache(config=config))


def test_attention_is_that_of_bamba_falcon_h1_and_nemotron_h() -> None:
    half = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}
    whole = {"rope_type": "default", "rope_theta": 1e11}
    bamba = transformers.BambaConfig(
        **MAMBA, **ATTENTION, head_dim=HEAD, rope_parameters=half, num_hidden_layers=2, attn_layer_indices=[1]
    )
    falcon = transformers.FalconH1Config(
        **FALCON, **ATTENTION, head_dim=HEAD, rope_parameters=whole, num_hidden_layers=2, key_multiplier=0.4
    )
    nemotron = nemotron_config(num_attention_heads=6, num_key_value_heads=2, head_dim=HEAD)
    for config, name, rope_dim, theta, key_scale in (
        (bamba, "bamba.modeling_bamba.Bamba", 8, 1e4, 1),
        (falcon, "falcon_h1.modeling_falcon_h1.FalconH1", 16, 1e11, 0.4),
        (nemotron, "nemotron_h.modeling_nemotron_h.NemotronH", 0, 1e4, 1),
    ):
        package, file, prefix = name.split(".")
        module = getattr(getattr(models, package), file)
        peer = trained(getattr(module, f"{prefix}Attention")(config, 1))
        rotary = getattr(module, f"{prefix}RotaryEmbedding")(config) if rope_dim else None
        ours = Attention(D_MODEL, HEAD, bool(rope_dim), 6, n_kv_heads=2, rope_theta=theta, rope_dim=rope_dim or None)
        put(ours, plain_weights(peer.state_dict(), 2, rope_dim, key_scale))
        compare(ours, attending(peer, rotary), transformers.DynamicCache(config=config))


# --- Mamba-2 -------------------------------------------------------------------------------------------------------


def mamba(**options: Any) -> Mamba2:
    return Mamba2(D_MODEL, d_state=12, head_dim=8, n_groups=2, chunk_size=16, **options)


def nemotron_config(**more: Any) -> Any:
    sizes = {"mamba_num_heads": 8, "mamba_head_dim": 8, "n_groups": 2, "ssm_state_size": 12, "chunk_size": 16}
    layers = ["linear_attention", "full_attention"]
    return transformers.NemotronHConfig(hidden_size=D_MODEL, layers_block_type=layers, **{**sizes, **more})


@pytest.mark.parametrize("biased", [False, True])
def test_mamba2_is_that_of_bamba(biased: bool) -> None:
    config = transformers.BambaConfig(
        **MAMBA, **ATTENTION, num_hidden_layers=1, mamba_proj_bias=biased, mamba_conv_bias=not biased
    )
    peer = trained(models.bamba.modeling_bamba.BambaMixer(config, 0))
    put(ours := mamba(bias=biased, conv_bias=not biased), peer.state_dict())
    compare(ours, recurrent(peer), transformers.DynamicCache(config=config))


@pytest.mark.parametrize("norm_before_gate", [False, True])
def test_mamba2_is_that_of_falcon_h1_with_its_multipliers_in_the_weights(norm_before_gate: bool) -> None:
    options = {"mamba_rms_norm": True, "mamba_norm_before_gate": norm_before_gate}
    multipliers = {"ssm_in_multiplier": 1.3, "ssm_multipliers": [0.5, 0.6, 0.7, 0.8, 0.9]}
    config = transformers.FalconH1Config(**FALCON, **ATTENTION, **options, **multipliers, num_hidden_layers=1)
    module = models.falcon_h1.modeling_falcon_h1
    peer = trained(module.FalconH1Mixer(config, 0))
    peer.register_buffer("mup_vector", module.compute_mup_vector(config), persistent=False)
    weights = peer.state_dict()
    weights["in_proj.weight"] = 1.3 * peer.mup_vector[0, 0, :, None] * weights["in_proj.weight"]
    put(ours := mamba(norm_before_gate=norm_before_gate), weights)
    compare(ours, recurrent(peer), transformers.DynamicCache(config=config))


def test_mamba2_is_that_of_nemotron_h() -> None:
    config = nemotron_config(time_step_min=0.0)
    peer = trained(models.nemotron_h.modeling_nemotron_h.NemotronHMamba2Mixer(config, 0))
    put(ours := mamba(), peer.state_dict())
    compare(ours, recurrent(peer), transformers.DynamicCache(config=config))


def test_a_limit_of_step_sizes_is_that_of_the_peers_where_they_have_one() -> None:
    """They limit the steps of sequences, and forget to when decoding."""
    bamba = transformers.BambaConfig(**MAMBA, **ATTENTION, num_hidden_layers=1, time_step_limit=(1.2, 1.5))
    for peer, limit in (
        (models.nemotron_h.modeling_nemotron_h.NemotronHMamba2Mixer(nemotron_config(time_step_min=1.2), 0), math.inf),
        (models.bamba.modeling_bamba.BambaMixer(bamba, 0), 1.5),
    ):
        put(limited := mamba(dt_limit=(1.2, limit)), trained(peer).state_dict())
        put(unlimited := mamba(), peer.state_dict())
        with torch.no_grad():
            assert difference(limited(x()), peer(x())) < 1e-5
            assert difference(unlimited(x()), peer(x())) > 1e-2
