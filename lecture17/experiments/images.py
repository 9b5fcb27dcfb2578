"""Real images, read along routes or not at all: digits, and a small network whose mixers differ. In 05d_images.

routes = scan2d.routes(4, 4)                                                   of the 4 × 4 patches of a digit
kinds = {"control": {"orders": routes[[0] * 4]}, "four routes": {"orders": routes}, "attention": {"letter": "A"}}
sized = {name: equal_size(options, 22_700) for name, options in kinds.items()}
results = runs.run(trainings(sized, schedule), seeds=[0, 1, 2])
results.by_place("control", "right")                                           (seeds, images of the test)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..layers import block_of
from ..layers.parts import ShortConv
from ..models import IMAGE_BLOCKS
from .networks import MLP_RATIO, ScalarDecay, seeded
from .runs import Training
from .tasks import Batch, Seed
from .training import Reading, Schedule

SIDE = 8  # pixels
PATCH = 2
PARTS = {"training": slice(0, 1000), "validation": slice(1000, 1300), "test": slice(1300, None)}
_GRAY = 16  # the brightest level

Options = Mapping[str, Any]  # of `DigitNetwork`


@cache
def load() -> tuple[np.ndarray, np.ndarray]:
    """Images (1797, 8, 8) of levels 0 … 16 and digits (1797,), in the order of scikit-learn's file."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images.astype(int), digits.target


@dataclass(frozen=True)
class Digits:
    """Which digit was written by hand: one token per pixel, row by row, and one label per image."""

    n_tokens: int = _GRAY + 1
    n_classes: int = 10

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        """`batch` images out of those for training, some perhaps twice; `length` is ignored: all are equally long."""
        images, labels = (a[PARTS["training"]] for a in load())
        chosen = np.random.default_rng(seed).integers(len(labels), size=batch)
        return Batch(images[chosen].reshape(batch, -1), labels[chosen, None])


class RoutesMixer(nn.Module):
    """A mixer for each route: a short convolution and a scalar decay along it, put back in place and added up.

    orders: (routes, time), as in `reference.scan2d`; a route may occur several times, each with its own mixer.
    x and what comes out: (batch, height, width, d_model).
    """

    def __init__(self, d_model: int, orders: Int[np.ndarray, "routes time"]):
        super().__init__()
        self.orders: Tensor
        self.register_buffer("orders", torch.from_numpy(np.array(orders)))
        self.convs: Any = nn.ModuleList(ShortConv(d_model, 3) for _ in orders)
        self.scans = nn.ModuleList(ScalarDecay(d_model, n_heads=4, d_state=8, negative=False, bias=2.0) for _ in orders)

    def forward(self, x: Float[Tensor, "batch height width d_model"]) -> Float[Tensor, "batch height width d_model"]:
        in_rows = x.flatten(1, 2)  # (b, t, d)
        y = torch.zeros_like(in_rows)
        for order, conv, scan in zip(self.orders, self.convs, self.scans, strict=True):
            u, _ = conv(in_rows[:, order], conv.init_window(len(x)))
            y = y + scan(u)[:, order.argsort()]
        return y.view_as(x)


class DigitNetwork(nn.Module):
    """Patches of 2 × 2 pixels, one block of a mixer and an MLP, the mean over the patches, and a linear map.

    orders      routes for a `RoutesMixer`, or instead of them
    letter      a block of `models.IMAGE_BLOCKS`
    positions   whether a vector is learned for each patch and added to it. If not, the network knows where a stroke is
                only from the order of reading, and from what lies beside it
    mlp_ratio   hidden width of the MLP, in units of d_model
    """

    def __init__(
        self,
        orders: Int[np.ndarray, "routes time"] | None = None,
        letter: str | None = None,
        positions: bool = False,
        mlp_ratio: float = MLP_RATIO,
        d_model: int = 32,
    ):
        super().__init__()
        side = SIDE // PATCH
        self.position = nn.Parameter(0.02 * torch.randn(side, side, d_model)) if positions else None
        self.patches = nn.Conv2d(1, d_model, PATCH, stride=PATCH)
        mixer = IMAGE_BLOCKS[letter](d_model) if orders is None and letter else RoutesMixer(d_model, np.array(orders))
        self.block = block_of(mixer, d_model, mlp_ratio)
        self.norm = nn.RMSNorm(d_model)
        self.head = nn.Linear(d_model, Digits().n_classes)

    def forward(self, tokens: Int[Tensor, "batch pixels"]) -> Float[Tensor, "batch 1 classes"]:
        images = tokens.view(-1, 1, SIDE, SIDE) / _GRAY
        x = self.patches(images).permute(0, 2, 3, 1)  # (b, H, W, d)
        if self.position is not None:
            x = x + self.position
        return self.head(self.norm(self.block(x)).mean((1, 2))[:, None])


def new_network(options: Options, seed: int) -> DigitNetwork:
    """`DigitNetwork(**options)` with the initial values of this seed."""
    return seeded(partial(DigitNetwork, **options), seed)


def count(options: Options) -> int:
    """How many parameters `DigitNetwork(**options)` has."""
    return sum(p.numel() for p in new_network(options, 0).parameters())


def equal_size(options: Options, parameters: int, d_model: int = 32) -> Options:
    """The options with the width of the MLP that brings the network nearest to a number of parameters."""
    left = parameters - count({**options, "mlp_ratio": 1 / d_model})  # beyond one hidden unit
    hidden = 1 + round(left / (2 * d_model + 1))
    if hidden < 1:
        raise ValueError(
            f"parameters is {parameters:,}: expected at least {parameters - left:,}, the rest of the model"
        )
    return {**options, "mlp_ratio": hidden / d_model}


@torch.no_grad()
def right(model: nn.Module, part: str) -> Reading:
    """Whether the network is right, for each image of a part."""
    model.eval()
    images, labels = (a[PARTS[part]] for a in load())
    return {"right": model(torch.from_numpy(images).flatten(1)).argmax(-1)[:, 0].numpy() == labels}


def trainings(kinds: Mapping[str, Options], schedule: Schedule) -> list[Training]:
    """A training for each kind of network, for `runs.run`."""
    made = {name: partial(DigitNetwork, **options) for name, options in kinds.items()}
    return [Training(name, Digits(), recipe, schedule, read=right) for name, recipe in made.items()]
