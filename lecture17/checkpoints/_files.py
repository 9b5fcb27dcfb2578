"""From a name or a folder to a configuration and tensors: the hub, shards, safetensors and PyTorch's own files."""

import json
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SINGLE = ("model.safetensors", "pytorch_model.bin")
EXPECTED = f"{SINGLE[0]} or {SINGLE[1]}, or their shards with an index"
HUB_FILES = (
    ["config.json", "model*.safetensors", "*.safetensors.index.json"],
    ["config.json", "pytorch_model*.bin", "*.bin.index.json"],
)


def locate(name_or_folder: str | Path) -> Path:
    """The folder, or the .pth file, with the model of that name: here, or else fetched from the hub."""
    path = Path(name_or_folder)
    if path.is_file() and path.suffix != ".pth":
        raise ValueError(f"{path} is a file: expected a folder with config.json and weights, or RWKV-7's .pth")
    if path.is_dir() and not (path / "config.json").is_file():
        files = sorted(path.glob("*.pth"))
        if len(files) != 1:
            raise FileNotFoundError(f"no config.json in {path}: expected it and {EXPECTED}, or one .pth of RWKV-7")
        return files[0]
    return path if path.exists() else _fetch(str(name_or_folder))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ValueError, in one line, if it cannot be read."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"), object_hook=_infinity)
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): is half of it missing?") from error
    if not isinstance(entries, dict):
        raise ValueError(f"{path} is {str(entries)[:40]}: expected a JSON object")
    return entries


def _infinity(entries: dict[str, Any]) -> Any:
    """JSON has no infinity: transformers 5 writes {"__float__": "Infinity"} instead."""
    return float(entries["__float__"]) if entries.keys() == {"__float__"} else entries


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a .pth file, or of a folder: of its one file, or of the shards that its index names."""
    if path.is_file():
        return _read(path)
    for name in SINGLE:
        if (path / name).is_file():
            return _read(path / name)
        index = path / f"{name}.index.json"
        if index.is_file():
            shards = sorted(set(read_json(index).get("weight_map", {}).values()))
            missing = [shard for shard in shards if not (path / shard).is_file()]
            if missing:
                raise FileNotFoundError(
                    f"{path} lacks {missing[0]}, one of the {len(shards)} files that {index.name} names: fetch it again"
                )
            return {name: tensor for shard in shards for name, tensor in _read(path / shard).items()}
    raise FileNotFoundError(f"no weights in {path}: expected {EXPECTED}")


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors that stay in the file until they are used."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except ImportError as error:
        raise ImportError(f"{path} needs a package that is not installed: pip install safetensors") from error
    except Exception as error:  # each format, and each version of its package, has exceptions of its own
        reason = str(error).split("\n")[0]
        raise ValueError(f"{path} cannot be read ({type(error).__name__}: {reason}): is half of it missing?") from error


def _fetch(name: str) -> Path:
    """Fetched files of "owner/model", or of "owner/model/file.pth"."""
    try:
        from huggingface_hub import hf_hub_download, snapshot_download
    except ImportError as error:
        raise ImportError(
            f'"{name}" is not a folder here, and fetching it from the hub needs a package that is not installed: '
            "pip install huggingface_hub, or pass a folder with the model's files"
        ) from error
    try:
        if name.endswith(".pth"):
            repository, _, file = name.rpartition("/")
            return Path(hf_hub_download(repository, file))
        folder = Path(snapshot_download(name, allow_patterns=HUB_FILES[0]))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=HUB_FILES[1]))
    except Exception as error:  # no network, no such model, not a model's name: the package has an exception for each
        reason = str(error).split("\n")[0]
        raise FileNotFoundError(
            f'"{name}" is not a folder here and could not be fetched from the hub ({type(error).__name__}: {reason}): '
            'expected a folder with the files of a model, or a name such as "state-spaces/mamba2-130m" and a network'
        ) from error
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f'"{name}" has no config.json on the hub: for RWKV-7 add the name of a .pth file')
    return folder
