"""Real images, read along routes: digits, a small network whose mixers differ only in their routes. In 05d_images.

routes = scan2d.routes(4, 4)                                                   of the 4 × 4 patches of a digit
kinds = {"one route, four mixers": {"orders": routes[[0] * 4]}, "four routes": {"orders": routes}}
right = classify(kinds, schedule, seeds=[0, 1, 2])                             by name, (seeds, images of the test)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..layers import block_of
from ..layers.parts import ShortConv
from .networks import MLP_RATIO, ScalarDecay, seeded
from .tasks import Batch, Seed
from .training import OnStep, Schedule, train, train_all

SIDE = 8  # pixels
PATCH = 2
TRAINING = 1300  # images; the other 497 are the test
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
        images, labels = load()
        chosen = np.random.default_rng(seed).integers(TRAINING, size=batch)
        return Batch(images[chosen].reshape(batch, -1), labels[chosen, None])


class RoutesMixer(nn.Module):
    """A mixer for each route: a short convolution and a scalar decay along it, put back in place and added up.

    orders: (routes, time), as in `reference.scan2d`; a route may occur several times, each with its own mixer.
    x and what comes out: (batch, time, d_model).
    """

    def __init__(self, d_model: int, orders: Int[np.ndarray, "routes time"]):
        super().__init__()
        self.orders: Tensor
        self.register_buffer("orders", torch.from_numpy(np.array(orders)))
        self.convs: Any = nn.ModuleList(ShortConv(d_model, 3) for _ in orders)
        self.scans = nn.ModuleList(ScalarDecay(d_model, n_heads=4, d_state=8, negative=False, bias=2.0) for _ in orders)

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        y = torch.zeros_like(x)
        for order, conv, scan in zip(self.orders, self.convs, self.scans, strict=True):
            u, _ = conv(x[:, order], conv.init_window(len(x)))
            y = y + scan(u)[:, order.argsort()]
        return y


class DigitNetwork(nn.Module):
    """Patches of 2 × 2 pixels, one block of `RoutesMixer` and MLP, the mean over the patches, and a linear map.

    positions: whether a vector is learned for each patch and added to it. If not, the network knows where a stroke
    is only from the order of reading.
    """

    def __init__(self, orders: Int[np.ndarray, "routes time"], positions: bool = False, d_model: int = 32):
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(orders.shape[1], d_model)) if positions else None
        self.patches = nn.Conv2d(1, d_model, PATCH, stride=PATCH)
        self.block = block_of(RoutesMixer(d_model, orders), d_model, MLP_RATIO)
        self.norm = nn.RMSNorm(d_model)
        self.head = nn.Linear(d_model, Digits().n_classes)

    def forward(self, tokens: Int[Tensor, "batch pixels"]) -> Float[Tensor, "batch 1 classes"]:
        images = tokens.view(-1, 1, SIDE, SIDE) / _GRAY
        x = self.patches(images).flatten(2).mT  # (b, patches, d)
        if self.position is not None:
            x = x + self.position
        return self.head(self.norm(self.block(x)).mean(1, keepdim=True))


def new_network(options: Options, seed: int) -> DigitNetwork:
    """`DigitNetwork(**options)` with the initial values of this seed."""
    return seeded(partial(DigitNetwork, **options), seed)


def once(options: Options, schedule: Schedule, seed: int, on_step: OnStep = lambda step: None) -> np.ndarray:
    """Make a network and train it; returns whether it is right, (497,), for each image of the test."""
    model = new_network(options, seed)
    train(model, Digits(), schedule, seed, on_step)
    images, labels = load()
    with torch.no_grad():
        guess = model(torch.from_numpy(images[TRAINING:]).flatten(1)).argmax(-1)[:, 0]
    return guess.numpy() == labels[TRAINING:]


def classify(kinds: Mapping[str, Options], schedule: Schedule, seeds: Sequence[int]) -> dict[str, np.ndarray]:
    """Train a network of each kind with each seed; returns for each name what was right in the test, (seeds, 497).

    After the stop button, trainings that had not begun are missing.
    """
    jobs = {name: partial(once, options, schedule) for name, options in kinds.items()}
    right = train_all(jobs, seeds, len(jobs) * schedule.steps)
    return {name: np.array(some) for name, some in right.items()}
