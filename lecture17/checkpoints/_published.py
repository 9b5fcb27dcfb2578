"""What a published model says and holds, asked for by name: its configuration and its weights."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]


class Config:
    """The entries of config.json; what is missing, or asks for what no block computes, is named in a ValueError."""

    def __init__(self, entries: Mapping[str, Any]):
        self.entries = entries

    def __getitem__(self, name: str) -> Any:
        if self.entries.get(name) is None:
            raise ValueError(f"config.json has no {name}: expected it in a model of this type")
        return self.entries[name]

    def get(self, name: str, default: Any) -> Any:
        """The entry, or the default if it is absent or null."""
        value = self.entries.get(name)
        return default if value is None else value

    def need(self, why: str, **expected: Any) -> None:
        """Raise ValueError for an entry that is there and has another value."""
        for name, value in expected.items():
            found = self.get(name, value)
            if found != value:
                raise ValueError(f"config.json has {name} = {found!r}: expected {value!r}, {why}")


class Weights:
    """Published tensors. Each is taken once, by its published name and with its published shape, in float32."""

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str = ""):
        self.tensors, self.prefix = dict(tensors), prefix

    def below(self, prefix: str) -> "Weights":
        """The same tensors, whose names from here on begin with this, too."""
        view = Weights({}, self.prefix + prefix)
        view.tensors = self.tensors
        return view

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.tensors

    def take(self, name: str, *shape: int) -> Tensor:
        """The tensor of that name. Raises ValueError if it is missing, has another shape or holds no floats."""
        name = self.prefix + name
        if name not in self.tensors:
            raise ValueError(f"the weights lack {name}, {shape}: half a download, or config.json is of another model")
        tensor = self.tensors.pop(name)
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}: expected {shape} by config.json")
        if not tensor.is_floating_point():
            raise ValueError(f"{name} is {tensor.dtype}: expected floats; quantized models are not loaded")
        return tensor.to(torch.float32, copy=True)  # a copy: what is mapped from a file would change with the file

    def take_joined(self, names: Sequence[str], *shape: int) -> Tensor:
        """The tensor of that shape whose rows are those of several, wherever they are cut.

        Published files have the convolutions of q, k and v; transformers 5 writes them back as three equal parts.
        """
        *others, last = names
        left, parts = shape[0], []
        for name in others:
            rows = len(self.tensors[self.prefix + name]) if name in self else left
            parts.append(self.take(name, rows, *shape[1:]))
            left -= rows
        return torch.cat([*parts, self.take(last, left, *shape[1:])])

    def take_all(self, shapes: Mapping[str, tuple[int, ...]]) -> State:
        """Several, under their own names."""
        return {name: self.take(name, *shape) for name, shape in shapes.items()}

    def finish(self, ignored: Iterable[str] = ()) -> None:
        """Raise ValueError if tensors are left, other than those whose names begin with one of `ignored`."""
        left = [name for name in self.tensors if not name.startswith(tuple(ignored))]
        if left:
            raise ValueError(
                f"the weights also have {min(left)}{f' and {len(left) - 1} more' if left[1:] else ''}: "
                "expected only those of the model that config.json describes"
            )


def under(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}
