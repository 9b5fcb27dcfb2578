"""The table of hybrids against what Hugging Face's transformers ships as the defaults of each model."""

import importlib
from typing import Any

import pytest
import torch

from lecture17.hybrids import LAYOUTS, Layout

transformers = pytest.importorskip(
    "transformers", reason="the comparison needs the extra `peers`: pip install -e .[peers]"
)

MIXERS = {"linear_attention", "conv", "full_attention", "sliding_attention", "hybrid"}  # mlp and moe mix no tokens


def default_layers(config: Any) -> tuple[int, list[int], int | None]:
    """How many layers mix tokens, which are attention, and its window."""
    kinds = [kind for kind in config.layer_types if kind in MIXERS]
    windows = {config.sliding_window if kind == "sliding_attention" else None for kind in kinds if "attention" in kind}
    attention = [i for i, kind in enumerate(kinds) if kind not in ("linear_attention", "conv")]
    return len(kinds), attention, max(windows, key=bool) if windows else None


@pytest.mark.parametrize("layout", [pytest.param(x, id=x.name) for x in LAYOUTS if x.peer])
def test_a_row_says_what_it_shares_with_the_defaults_of_transformers(layout: Layout) -> None:
    config = getattr(transformers, layout.peer)()
    found = {
        "layers": default_layers(config) == (layout.layers, list(layout.attention), layout.window),
        "heads": (config.num_attention_heads, config.num_key_value_heads) == layout.heads,
    }
    assert tuple(name for name, same in found.items() if same) == layout.shared


def test_kimi_linears_latent_is_that_of_its_configuration() -> None:
    config = transformers.KimiLinearConfig()
    keys_and_values = config.num_attention_heads * (
        config.qk_nope_head_dim + config.qk_rope_head_dim + config.v_head_dim
    )
    kimi = next(layout for layout in LAYOUTS if layout.peer == "KimiLinearConfig")
    assert kimi.latent == (config.kv_lora_rank + config.qk_rope_head_dim) / keys_and_values


DELTA_RULES = {"qwen3_next": "Qwen3Next", "olmo_hybrid": "OlmoHybrid"}


@pytest.mark.parametrize("name", DELTA_RULES)
def test_only_olmos_delta_rule_lets_an_eigenvalue_be_negative(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `choosing.toml` says of tracking: the strength β of a step goes up to 2 there, and up to 1 in Qwen's."""
    module = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
    sizes = {"linear_num_value_heads": 2, "linear_num_key_heads": 2, "linear_key_head_dim": 8}
    config = getattr(transformers, f"{DELTA_RULES[name]}Config")(hidden_size=32, linear_value_head_dim=8, **sizes)
    layer, seen = getattr(module, f"{DELTA_RULES[name]}GatedDeltaNet")(config, 0), []
    chunks = module.torch_chunk_gated_delta_rule

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs["beta"])
        return chunks(*args, **kwargs)

    monkeypatch.setattr(module, "torch_chunk_gated_delta_rule", watched)
    rng = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=rng)
        layer(torch.randn(1, 64, 32, generator=rng))
    (beta,) = seen
    assert beta.max() > 1.5 if name == "olmo_hybrid" else 0.75 < beta.max() <= 1
