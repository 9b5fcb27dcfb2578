"""Whole models that Hugging Face's transformers writes to disk, loaded: same logits, same text, at once and cached."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lecture17.checkpoints import load

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
        getattr(transformers, f"{prefix}{text}Config")(**config, **more, pad_token_id=0, eos_token_id=None)
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
