"""Whole models that Hugging Face's transformers writes to disk, loaded: same logits, same text, at once and cached."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lecture17.checkpoints import load, save_mamba2
from lecture17.models import LanguageModel

from ..layers.blocks import difference, trained

transformers = pytest.importorskip(
    "transformers", reason="the comparison needs the extra `peers`: pip install -e .[peers]"
)

TIME, NEW = 37, 12
SIZES: dict[str, Any] = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 3}
HYBRID = {**SIZES, "num_hidden_layers": 4, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
ROPE = {"rope_type": "default", "rope_theta": 1e4}
QUARTER = {"rope_type": "default", "rope_theta": 1e5, "partial_rotary_factor": 0.25}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 12,
}
MAMBA = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 2,
    "mamba_d_state": 12,
    "mamba_chunk_size": 16,
}
KIMI = {
    "linear_num_heads": 3,
    "linear_head_dim": 8,
    "kv_lora_rank": 12,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "mlp_layer_types": 4 * ["dense"],
    "bos_token_id": None,
}
MULTIPLIERS = {
    "embedding_multiplier": 3.0,
    "lm_head_multiplier": 0.3,
    "mlp_multipliers": [0.7, 1.4],
    "key_multiplier": 0.4,
    "attention_in_multiplier": 1.2,
    "attention_out_multiplier": 0.8,
    "ssm_multipliers": [0.5, 0.6, 0.7, 0.8, 0.9],
    "ssm_in_multiplier": 1.3,
    "ssm_out_multiplier": 0.6,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("Mamba", {**SIZES, "state_size": 5, "layer_norm_epsilon": 1e-2}),
    "mamba2": ("Mamba2", {**SIZES, "num_heads": 8, "head_dim": 8, "state_size": 12, "n_groups": 1, "chunk_size": 16}),
    "mamba2 as Codestral, in groups": (
        "Mamba2",
        {**SIZES, "num_heads": 8, "head_dim": 8, "state_size": 12, "n_groups": 8, "layer_norm_epsilon": 1e-2},
    ),
    "mamba2 with biases, tied": (
        "Mamba2",
        {**SIZES, "num_heads": 8, "head_dim": 8, "n_groups": 2, "use_bias": True, "tie_word_embeddings": True},
    ),
    "qwen3_5_text": ("Qwen3_5", {**HYBRID, **DELTA, "head_dim": 16, "rope_parameters": QUARTER, "rms_norm_eps": 1e-2}),
    "qwen3_5_text, tied": ("Qwen3_5", {**HYBRID, **DELTA, "head_dim": 16, "tie_word_embeddings": True}),
    "qwen3_next": ("Qwen3Next", {**HYBRID, **DELTA, "head_dim": 16, "num_experts": 0, "rope_parameters": QUARTER}),
    "olmo_hybrid": ("OlmoHybrid", {**HYBRID, **DELTA, "rms_norm_eps": 1e-2, "rope_parameters": ROPE}),
    "olmo_hybrid without positions": ("OlmoHybrid", {**HYBRID, **DELTA, "linear_allow_neg_eigval": False}),
    "kimi_linear": (
        "KimiLinear",
        {**HYBRID, **KIMI, "num_key_value_heads": 4, "layer_types": 3 * ["linear_attention"] + ["full_attention"]},
    ),
    "bamba": ("Bamba", {**HYBRID, **MAMBA, "attn_layer_indices": [1, 3], "rms_norm_eps": 1e-2}),
    "bamba with biases": ("Bamba", {**HYBRID, **MAMBA, "attn_layer_indices": [2], "mamba_proj_bias": True}),
    "falcon_h1": ("FalconH1", {**HYBRID, **MAMBA, **MULTIPLIERS, "mamba_d_ssm": 64, "rope_parameters": ROPE}),
    "falcon_h1 with a norm, tied": (
        "FalconH1",
        {**HYBRID, **MAMBA, **MULTIPLIERS, "mamba_d_ssm": 64, "mamba_rms_norm": True, "tie_word_embeddings": True},
    ),
}


def peer_of(name: str, **more: Any) -> Any:
    """A random model, far enough from its first values that every part matters."""
    prefix, config = MODELS[name]
    text = "Text" if prefix == "Qwen3_5" else ""
    torch.manual_seed(0)
    model = getattr(transformers, f"{prefix}ForCausalLM")(
        getattr(transformers, f"{prefix}{text}Config")(**{**config, **more}, pad_token_id=0, eos_token_id=None)
    )
    return trained(model.eval())


def tokens(batch: int = 2) -> torch.Tensor:
    return torch.randint(1, SIZES["vocab_size"], (batch, TIME), generator=torch.Generator().manual_seed(1))


def compare(ours: Any, peer: Any) -> None:
    with torch.no_grad():
        expected = peer(tokens()).logits
        assert difference(ours(tokens()), expected) < 1e-4
        caches, logits = ours.init_cache(2), []
        for token in tokens().T:
            logits_t, caches = ours.step(token, caches)
            logits.append(logits_t)
        assert difference(torch.stack(logits, 1), expected) < 1e-4
        text = peer.generate(tokens(), max_new_tokens=NEW, do_sample=False, use_cache=True)
    assert torch.equal(ours.generate(tokens(), NEW, temperature=0), text)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_on_disk_gives_the_logits_and_the_text_of_the_peer(name: str, tmp_path: Path) -> None:
    peer = peer_of(name)
    peer.save_pretrained(tmp_path)
    ours = load(tmp_path)
    compare(ours, peer)
    tied = MODELS[name][1].get("tie_word_embeddings", name == "mamba") and "falcon" not in name
    assert (ours.lm_head.weight is ours.embedding.weight) == tied


def test_the_format_of_the_authors_gives_the_logits_of_the_peer_too(tmp_path: Path) -> None:
    layer_and_sizes = {
        "mamba": {"layer": "Mamba1", "d_state": 5},
        "mamba2": {"layer": "Mamba2", "d_state": 12, "headdim": 8, "ngroups": 1, "chunk_size": 16},
    }
    for name, ssm_cfg in layer_and_sizes.items():
        peer = peer_of(name, **({"layer_norm_epsilon": 1e-5} if name == "mamba" else {}))
        weights = {n.replace("embeddings.", "embedding."): w for n, w in peer.state_dict().items()}
        torch.save(weights, tmp_path / "pytorch_model.bin")
        sizes = {"d_model": 32, "n_layer": 3, "vocab_size": 40, "tie_embeddings": name == "mamba"}
        (tmp_path / "config.json").write_text(json.dumps({**sizes, "ssm_cfg": ssm_cfg}))
        compare(load(tmp_path), peer)


@pytest.mark.parametrize("tie", [True, False])
def test_what_is_saved_here_is_read_by_the_peer(tie: bool, tmp_path: Path) -> None:
    options = {"M": {"d_state": 6, "head_dim": 8, "n_groups": 2, "bias": True}}
    ours = trained(LanguageModel(SIZES["vocab_size"], 32, "MM", tie=tie, options=options))
    save_mamba2(ours, tmp_path)
    compare(ours, transformers.Mamba2ForCausalLM.from_pretrained(tmp_path, eos_token_id=None).eval())


def test_the_text_model_of_one_that_reads_images_is_loaded_without_the_rest(tmp_path: Path) -> None:
    peer = peer_of("qwen3_5_text")
    peer.save_pretrained(tmp_path)
    text = json.loads((tmp_path / "config.json").read_text())
    config = {"model_type": "qwen3_5", "text_config": text, "vision_config": {"depth": 2}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = {n.replace("model.", "model.language_model."): w for n, w in peer.state_dict().items()}
    torch.save(
        {**weights, "model.visual.merger.weight": torch.ones(3), "mtp.norm.weight": torch.ones(3)},
        tmp_path / "pytorch_model.bin",
    )
    (tmp_path / "model.safetensors").unlink()
    compare(load(tmp_path), peer)


def test_kimi_linear_in_the_format_of_its_authors_is_read_too(tmp_path: Path) -> None:
    peer = peer_of("kimi_linear")
    peer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    sizes = {"head_dim": config.pop("linear_head_dim"), "num_heads": config.pop("linear_num_heads")}
    sizes |= {"short_conv_kernel_size": config.pop("linear_conv_kernel_dim")}
    del config["layer_types"], config["mlp_layer_types"]
    config |= {"linear_attn_config": {**sizes, "kda_layers": [1, 2, 3], "full_attn_layers": [4]}, "num_experts": None}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = pytest.importorskip("safetensors.torch").load_file(tmp_path / "model.safetensors")
    torch.save({n.replace("block_sparse_moe", "mlp"): w for n, w in weights.items()}, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    compare(load(tmp_path), peer)


def test_shards_that_the_peer_writes_are_read(tmp_path: Path) -> None:
    peer = peer_of("bamba")
    peer.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    compare(load(tmp_path), peer)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("qwen3_next", {"num_experts": 8}, "num_experts: expected a dense model"),
        ("qwen3_5_text", {"attention_bias": True}, "attention_bias = True: expected False"),
        (
            "qwen3_5_text",
            {"layer_types": ["sliding_attention"] * 4},
            "expected 4 of linear_attention and",
        ),
        ("kimi_linear", {"mlp_layer_types": ["dense", *3 * ["sparse"]]}, "num_experts: expected a dense model"),
        ("kimi_linear", {"mlp_layer_types": None, "num_experts": 256}, "num_experts: expected a dense model"),
        ("kimi_linear", {"q_lora_rank": 6}, "q_lora_rank = 6: expected None, no latent of queries"),
        ("kimi_linear", {"mla_use_nope": False}, "mla_use_nope = False: expected True, no rotation"),
        ("bamba", {"rope_parameters": {"rope_type": "yarn"}}, "rope_type = 'yarn': expected 'default'"),
        ("bamba", {"hidden_act": "gelu"}, "hidden_act = 'gelu': expected 'silu'"),
        ("falcon_h1", {"projectors_bias": True}, "projectors_bias = True: expected False"),
        ("mamba", {"time_step_rank": 7}, "time_step_rank = 7: expected 2, hidden_size / 16"),
        ("mamba2", {"num_heads": 4}, "num_heads = 4: expected 8"),
        ("mamba2", {"hidden_size": None}, "no hidden_size: expected it"),
    ],
)
def test_what_no_block_here_computes_is_refused(
    name: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    peer_of(name).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ValueError, match=message):
        load(tmp_path)
