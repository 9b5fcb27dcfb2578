"""Digits along routes or without a scan: the three parts, what a route lets a network know, equal sizes, a training."""

import numpy as np
import pytest
import torch

from lecture17.experiments import Schedule, images
from lecture17.experiments.runs import take_turns
from lecture17.reference import scan2d

ROUTES = scan2d.routes(4, 4)


def schedule(steps: int) -> Schedule:
    return Schedule(steps=steps, lengths=(1, 1), batch=64, lr=5e-3)


def test_training_never_draws_an_image_of_the_test() -> None:
    pixels, labels = images.load()
    assert {part: len(labels[where]) for part, where in images.PARTS.items()} == {
        "training": 1000,
        "validation": 300,
        "test": 497,
    }
    batch = images.Digits().draw(4000, 1, (0, 3, 7))
    known = {image.tobytes(): label for image, label in zip(pixels[:1000], labels[:1000], strict=True)}
    assert all(known[image.tobytes()] == label for image, [label] in zip(batch.tokens, batch.labels, strict=True))
    assert len({image.tobytes() for image in batch.tokens}) > 950
    again, other = images.Digits().draw(8, 1, (0, 3, 7)), images.Digits().draw(8, 1, (0, 3, 8))
    assert (again.labels == batch.labels[:8]).all()
    assert (again.tokens != other.tokens).any()


def test_each_mixer_sees_what_its_route_has_read_before() -> None:
    mixer = images.RoutesMixer(8, ROUTES[[1]])
    x = torch.randn(1, 4, 4, 8, requires_grad=True)
    step = ROUTES[1].argsort()
    for pixel in (0, 6, 15):
        (gradient,) = torch.autograd.grad(mixer(x)[0].flatten(0, 1)[pixel].sum(), x)
        seen = gradient[0].abs().sum(-1).flatten().numpy() > 0
        np.testing.assert_array_equal(seen, step <= step[pixel])


def test_routes_are_added_up_each_with_a_mixer_of_its_own() -> None:
    both = images.RoutesMixer(8, ROUTES[[0, 3]])
    x, total = torch.randn(2, 4, 4, 8), torch.zeros(2, 4, 4, 8)
    for i, route in enumerate((0, 3)):
        alone = images.RoutesMixer(8, ROUTES[[route]])
        alone.convs[0].load_state_dict(both.convs[i].state_dict())
        alone.scans[0].load_state_dict(both.scans[i].state_dict())
        total = total + alone(x)
    torch.testing.assert_close(both(x), total)


@pytest.mark.parametrize("positions", [False, True])
def test_kinds_differ_in_nothing_but_their_routes(positions: bool) -> None:
    control, four = (
        images.new_network({"orders": orders, "positions": positions}, seed=1) for orders in (ROUTES[[0] * 4], ROUTES)
    )
    for (name, a), (other, b) in zip(control.named_parameters(), four.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(a, b)
    tokens = torch.from_numpy(images.Digits().draw(3, 1, 0).tokens)
    assert control(tokens).shape == (3, 1, 10)
    assert not torch.equal(control(tokens), four(tokens))


@pytest.mark.parametrize(
    "options", [{"orders": ROUTES[[0]]}, {"letter": "A", "positions": True}, {"letter": "C"}], ids=str
)
def test_the_width_of_the_mlp_makes_sizes_equal(options: images.Options) -> None:
    wanted = images.count({"orders": ROUTES})
    sized = images.equal_size(options, wanted)
    assert abs(images.count(sized) - wanted) <= 33  # half of what one more hidden unit takes
    with pytest.raises(ValueError, match="parameters is 500: expected at least"):
        images.equal_size(options, 500)


@pytest.mark.parametrize("letter", ["A", "C"])
def test_without_positions_attention_does_not_know_the_place_of_a_patch_and_a_convolution_does(letter: str) -> None:
    model = images.new_network({"letter": letter}, seed=0)
    tokens = torch.from_numpy(images.Digits().draw(3, 1, 0).tokens)
    halves = tokens.view(3, 2, 32).flip(1).flatten(1)  # the lower four rows of pixels first
    assert torch.allclose(model(tokens), model(halves), atol=1e-5) == (letter == "A")


def test_a_short_training_is_right_more_often_than_chance_and_is_read_image_by_image() -> None:
    kinds = {"one": {"orders": ROUTES[[0]]}, "two": {"orders": ROUTES[[0, 1]]}}
    outcomes = take_turns(images.trainings(kinds, schedule(40)), seed=2)
    for name, outcome in outcomes.items():
        assert outcome.final["right"].shape == (497,)
        assert outcome.final["right"].mean() > 0.2, name
    model = images.new_network(kinds["one"], 0)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in outcomes["one"].weights.items()})
    assert (images.right(model, "test")["right"] == outcomes["one"].final["right"]).all()
    assert images.right(model, "validation")["right"].shape == (300,)
