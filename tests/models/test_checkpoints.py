"""Published checkpoints: a small one is written to disk in the authors' format and read back."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lecture17.checkpoints import REFUSED, SMALL, load, save_mamba2
from lecture17.models import LanguageModel

CONFIG: dict[str, Any] = {
    "d_model": 16,
    "d_intermediate": 0,
    "n_layer": 2,
    "vocab_size": 21,
    "ssm_cfg": {"layer": "Mamba2", "d_state": 6, "headdim": 8, "ngroups": 2},
    "attn_layer_idx": [],
    "attn_cfg": {},
    "rms_norm": True,
    "residual_in_fp32": True,
    "fused_add_norm": True,
    "pad_vocab_size_multiple": 8,
    "tie_embeddings": True,
}


def published_names(d_model: int = 16, n_layer: int = 2, vocab_size: int = 24) -> dict[str, torch.Tensor]:
    """Random weights under the names and shapes of mamba_ssm: d_inner 32, 4 heads, 2 groups of d_state 6."""
    generator = torch.Generator().manual_seed(0)

    def weight(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(*shape, generator=generator)

    weights = {"backbone.embedding.weight": weight(vocab_size, d_model)}
    for i in range(n_layer):
        layer = f"backbone.layers.{i}"
        weights |= {
            f"{layer}.norm.weight": 1 + weight(d_model),
            f"{layer}.mixer.in_proj.weight": weight(2 * 32 + 2 * 2 * 6 + 4, d_model),
            f"{layer}.mixer.conv1d.weight": weight(32 + 2 * 2 * 6, 1, 4),
            f"{layer}.mixer.conv1d.bias": weight(32 + 2 * 2 * 6),
            f"{layer}.mixer.dt_bias": weight(4),
            f"{layer}.mixer.A_log": weight(4),
            f"{layer}.mixer.D": weight(4),
            f"{layer}.mixer.norm.weight": 1 + weight(32),
            f"{layer}.mixer.out_proj.weight": weight(d_model, 32),
        }
    weights["backbone.norm_f.weight"] = 1 + weight(d_model)
    weights["lm_head.weight"] = weights["backbone.embedding.weight"]
    return weights


def write(folder: Path, weights: dict[str, torch.Tensor], config: dict[str, Any] = CONFIG) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(weights, folder / "pytorch_model.bin")
    return folder


def test_a_folder_in_the_published_format_loads_every_weight(tmp_path: Path) -> None:
    weights = published_names()
    model = load(write(tmp_path, weights))
    assert isinstance(model, LanguageModel)
    assert model.vocab_size == 24  # 21 padded to a multiple of 8
    loaded = model.state_dict()
    assert len(loaded) == len(weights)
    for name, value in weights.items():
        assert torch.equal(loaded[name.removeprefix("backbone.")], value), name
    assert model.lm_head.weight is model.embedding.weight
    mixer = model.layers[0].mixer
    assert (mixer.d_state, mixer.head_dim, mixer.n_groups) == (6, 8, 2)


def test_half_precision_weights_load_in_float32(tmp_path: Path) -> None:
    model = load(write(tmp_path, {name: value.half() for name, value in published_names().items()}))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model(torch.zeros(1, 3, dtype=torch.int64)).isfinite().all()


def test_safetensors_load_too_with_tied_weights_stored_once(tmp_path: Path) -> None:
    torch_format = pytest.importorskip("safetensors.torch", reason="safetensors comes with the extra `peers`")
    weights = published_names()
    del weights["lm_head.weight"]
    torch_format.save_file(weights, write(tmp_path, {}) / "model.safetensors")
    (tmp_path / "pytorch_model.bin").unlink()
    model = load(str(tmp_path))
    assert torch.equal(model.lm_head.weight, weights["backbone.embedding.weight"])


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    weights = published_names()
    del weights["backbone.layers.1.mixer.A_log"]
    with pytest.raises(
        ValueError, match=r"the weights lack backbone\.layers\.1\.mixer\.A_log, \(4,\): half a download"
    ):
        load(write(tmp_path, weights))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ssm_cfg": {"layer": "Mamba3"}}, "ssm_cfg.layer = 'Mamba3': expected"),
        ({"ssm_cfg": {"layer": "Mamba2", "rmsnorm": False}}, "ssm_cfg.rmsnorm"),
        ({"attn_layer_idx": [1]}, r"attn_layer_idx = \[1\]"),
        ({"d_intermediate": 64}, "d_intermediate = 64"),
        ({"rms_norm": False}, "rms_norm = False"),
    ],
)
def test_models_that_are_no_plain_stack_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, published_names(), {**CONFIG, **change}))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no config\.json in"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(FileNotFoundError, match=r"no weights in .*: expected model\.safetensors or pytorch_model\.bin"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("gpt2", "model_type = 'gpt2': expected one of mamba, mamba2"),
        (None, "model_type = None: expected one of"),
        *((kind, f"model_type = '{kind}': {reason}") for kind, reason in REFUSED.items()),
    ],
)
def test_a_type_that_cannot_be_loaded_is_refused_with_its_reason(kind: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load(write(tmp_path, published_names(), {"model_type": kind}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"backbone.layers.2.norm.weight": torch.ones(16)},
            r"also have backbone\.layers\.2\.norm\.weight: expected only",
        ),
        (
            {"backbone.layers.0.mixer.D": torch.ones(5)},
            r"backbone\.layers\.0\.mixer\.D has shape \(5,\): expected \(4,\)",
        ),
    ],
)
def test_weights_that_are_left_or_of_another_shape_are_named(
    change: dict[str, torch.Tensor], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, published_names() | change))


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors", "config.json"])
def test_half_a_file_is_named(file: str, tmp_path: Path) -> None:
    write(tmp_path, published_names())
    if file == "model.safetensors":
        torch_format = pytest.importorskip("safetensors.torch", reason="safetensors comes with the extra `peers`")
        weights = {name: weight.clone() for name, weight in published_names().items()}
        torch_format.save_file(weights, tmp_path / file)
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"{re.escape(file)} .*: is half of it missing\?") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("[1, 2]", "expected a JSON object"), ("{", "is no JSON")])
def test_a_configuration_that_is_none_is_named(text: str, message: str, tmp_path: Path) -> None:
    (write(tmp_path, published_names()) / "config.json").write_text(text)
    with pytest.raises(ValueError, match=rf"config\.json .*{message}"):
        load(tmp_path)


def test_another_file_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.json is a file: expected a folder with config\.json and weights"):
        load(write(tmp_path, published_names()) / "config.json")


def test_shards_are_read_together_and_a_missing_one_is_named(tmp_path: Path) -> None:
    weights = published_names()
    write(tmp_path, {})
    (tmp_path / "pytorch_model.bin").unlink()
    names = {name: f"pytorch_model-0000{1 + i % 2}-of-00002.bin" for i, name in enumerate(weights)}
    for shard in set(names.values()):
        torch.save({name: weights[name] for name, place in names.items() if place == shard}, tmp_path / shard)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": names}))
    model = load(tmp_path)
    assert torch.equal(model.layers[1].mixer.A_log, weights["backbone.layers.1.mixer.A_log"])
    (tmp_path / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks pytorch_model-00002-of-00002\.bin, one of the 2 files"):
        load(tmp_path)


def test_what_was_loaded_does_not_change_with_its_file(tmp_path: Path) -> None:
    model = load(write(tmp_path, published_names()))
    before = model.layers[0].mixer.D.clone()
    (tmp_path / "pytorch_model.bin").write_bytes(bytes((tmp_path / "pytorch_model.bin").stat().st_size))
    assert torch.equal(model.layers[0].mixer.D, before)


def test_without_the_hub_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r'"state-spaces/mamba2-130m" is not a folder.*pip install huggingface_hub'):
        load("state-spaces/mamba2-130m")


def test_without_a_network_the_error_says_what_was_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub comes with the extra `peers`")

    def offline(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(
        FileNotFoundError, match=r"could not be fetched from the hub \(ConnectionError: no route to host\)"
    ):
        load("state-spaces/mamba2-130m")


def test_a_name_is_fetched_from_the_hub_with_no_more_than_its_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub comes with the extra `peers`")
    asked: list[tuple[str, list[str]]] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(write(tmp_path, published_names()))

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert load("state-spaces/mamba2-130m").vocab_size == 24
    assert [name for name, _ in asked] == 2 * ["state-spaces/mamba2-130m"]
    assert "model*.safetensors" in asked[0][1]  # only where there are none:
    assert "pytorch_model*.bin" in asked[1][1]


@pytest.mark.parametrize("tie", [True, False])
def test_what_is_saved_is_read_back_and_is_in_the_published_names(tie: bool, tmp_path: Path) -> None:
    options = {"M": {"d_state": 6, "head_dim": 8, "n_groups": 2, "expand": 3, "d_conv": 3, "chunk_size": 5}}
    model = LanguageModel(vocab_size=21, d_model=16, pattern="MM", tie=tie, options=options)
    save_mamba2(model, tmp_path)
    tokens = torch.arange(21)[None]
    torch.testing.assert_close(load(tmp_path)(tokens), model(tokens))
    names = torch.load(tmp_path / "pytorch_model.bin", weights_only=True).keys()
    published = {name.replace("embedding.", "embeddings.") for name in published_names()}
    assert names == (published - {"lm_head.weight"} if tie else published)


def test_options_that_no_weight_shows_are_saved_too(tmp_path: Path) -> None:
    options = {"dt_limit": (0.02, 0.05), "bias": True, "conv_bias": False}
    model = LanguageModel(21, 16, "MM", options={"M": {"d_state": 6, "head_dim": 8, **options}})
    save_mamba2(model, tmp_path)
    tokens = torch.arange(21)[None]
    torch.testing.assert_close(load(tmp_path)(tokens), model(tokens))


def test_a_norm_before_the_gate_has_no_place_in_the_format(tmp_path: Path) -> None:
    model = LanguageModel(21, 16, "M", options={"M": {"head_dim": 8, "norm_before_gate": True}})
    with pytest.raises(ValueError, match="model has norm_before_gate: expected the norm after the gate"):
        save_mamba2(model, tmp_path)


def test_the_small_model_of_the_course_writes_python() -> None:
    model = load(SMALL)
    text = bytes(model.generate(torch.tensor([list(b"class Reader:\n    def ")]), 20, temperature=0)[0].tolist())
    assert text.startswith(b"class Reader:\n    def __init__(self")
    assert sum(file.stat().st_size for file in SMALL.iterdir()) < 1e6


@pytest.mark.parametrize(("pattern", "mlp_ratio"), [("MA", 0), ("M", 2)])
def test_another_stack_is_not_saved(pattern: str, mlp_ratio: int, tmp_path: Path) -> None:
    options = {"M": {"head_dim": 8}, "A": {"head_dim": 8}}
    model = LanguageModel(21, 16, pattern, mlp_ratio, options={n: o for n, o in options.items() if n in pattern})
    with pytest.raises(ValueError, match="expected a plain stack of Mamba-2 blocks"):
        save_mamba2(model, tmp_path)
