"""Published Mamba-2 language models as a `LanguageModel`.

    model = load_mamba2("state-spaces/mamba2-130m")     from the Hugging Face hub, through its local cache
    model = load_mamba2("path/to/folder")               with config.json and model.safetensors or pytorch_model.bin

The format is that of the authors' mamba_ssm package: weights under `backbone.embedding.weight`,
`backbone.layers.N.norm.weight`, `backbone.layers.N.mixer.*`, `backbone.norm_f.weight` and `lm_head.weight`.
Source: github.com/state-spaces/mamba, `mamba_ssm/models/mixer_seq_simple.py` and `config_mamba.py`.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .layers import Mamba2
from .models import LanguageModel

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# mamba_ssm's names for the arguments of its Mamba-2 block, and ours.
SSM_CFG = {
    "d_state": "d_state",
    "headdim": "head_dim",
    "ngroups": "n_groups",
    "expand": "expand",
    "d_conv": "d_conv",
    "chunk_size": "chunk_size",
    "dt_limit": "dt_limit",
    "norm_before_gate": "norm_before_gate",
    "bias": "bias",
    "conv_bias": "conv_bias",
}


def load_mamba2(name_or_folder: str | Path) -> LanguageModel:
    """The model of that name on the hub, or in that folder, with its weights, in float32.

    Raises ImportError if the package for the hub or for safetensors is needed and missing, FileNotFoundError if the
    model cannot be fetched or a file is missing, ValueError if the model is not a plain stack of Mamba-2 blocks.
    """
    folder = Path(name_or_folder)
    if not folder.is_dir():
        folder = _fetch(str(name_or_folder))
    config = folder / "config.json"
    if not config.is_file():
        raise FileNotFoundError(
            f"no config.json in {folder}: expected a folder with config.json and {WEIGHTS[0]} or {WEIGHTS[1]}"
        )
    model = _build(json.loads(config.read_text(encoding="utf-8")))
    weights = {name.removeprefix("backbone."): value for name, value in _read_weights(folder).items()}
    if model.lm_head.weight is model.embedding.weight:  # files may store tied weights once
        weights.setdefault("lm_head.weight", weights["embedding.weight"])
    model.load_state_dict(weights)
    return model


def save_mamba2(model: LanguageModel, folder: str | Path) -> None:
    """Write a stack of Mamba-2 blocks into a folder, as `load_mamba2` reads it: config.json and pytorch_model.bin.

    Raises ValueError if a block is not a Mamba-2 block or has an MLP.
    """
    mixers = [block.mixer for block in model.layers]
    if not all(isinstance(mixer, Mamba2) for mixer in mixers) or any(block.mlp is not None for block in model.layers):
        raise ValueError('model has other blocks: expected a plain stack of Mamba-2 blocks, a pattern of only "M"')
    sizes = {theirs: getattr(mixers[0], ours) for theirs, ours in SSM_CFG.items() if ours not in ("expand", "d_conv")}
    sizes["expand"] = mixers[0].d_inner // mixers[0].d_model
    sizes["d_conv"] = mixers[0].conv1d.kernel_size[0]
    config = {
        "d_model": mixers[0].d_model,
        "n_layer": len(mixers),
        "vocab_size": model.vocab_size,
        "pad_vocab_size_multiple": 1,
        "tie_embeddings": model.lm_head.weight is model.embedding.weight,
        "ssm_cfg": {"layer": "Mamba2", **sizes},
    }
    weights = {n if n.startswith("lm_head") else f"backbone.{n}": w for n, w in model.state_dict().items()}
    (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.save(weights, Path(folder) / "pytorch_model.bin")


def _fetch(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ImportError(
            f'"{name}" is not a folder here, and fetching it from the hub needs a package that is not installed: '
            "pip install huggingface_hub, or pass a folder with the model's files"
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", *WEIGHTS]))
    except (OSError, ValueError) as error:  # no network, no such model, not a model's name
        raise FileNotFoundError(
            f'"{name}" is not a folder here and could not be fetched from the hub ({type(error).__name__}: {error}): '
            'expected a folder with the files of a model, or a name such as "state-spaces/mamba2-130m" and a network'
        ) from error


def _build(config: dict[str, Any]) -> LanguageModel:
    """The model that a mamba_ssm config describes, with initial weights."""
    ssm_cfg = {"layer": "Mamba1", **config.get("ssm_cfg", {})}
    plain = {
        "ssm_cfg.layer": (ssm_cfg.pop("layer"), "Mamba2"),
        "rms_norm": (config.get("rms_norm", True), True),
        "d_intermediate": (config.get("d_intermediate", 0), 0),
        "attn_layer_idx": (config.get("attn_layer_idx") or [], []),
    }
    for key, (value, expected) in plain.items():
        if value != expected:
            raise ValueError(
                f"config.json has {key} = {value!r}: expected {expected!r}, a plain stack of Mamba-2 blocks"
            )
    unknown = ssm_cfg.keys() - SSM_CFG.keys()
    if unknown:
        raise ValueError(f"config.json has ssm_cfg.{min(unknown)}: expected only {', '.join(SSM_CFG)}")
    multiple = config.get("pad_vocab_size_multiple", 8)
    return LanguageModel(
        vocab_size=-(-config["vocab_size"] // multiple) * multiple,
        d_model=config["d_model"],
        pattern="M" * config["n_layer"],
        tie=config.get("tie_embeddings", True),
        options={"M": {SSM_CFG[key]: value for key, value in ssm_cfg.items()}},
    )


def _read_weights(folder: Path) -> dict[str, Tensor]:
    for path in (folder / name for name in WEIGHTS):
        if not path.is_file():
            continue
        if path.suffix == ".bin":
            return torch.load(path, map_location="cpu", weights_only=True)
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise ImportError(f"{path} needs a package that is not installed: pip install safetensors") from error
        return load_file(path)
    raise FileNotFoundError(f"no weights in {folder}: expected {' or '.join(WEIGHTS)}")
