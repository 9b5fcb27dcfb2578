"""Digits along routes: the split, what a route lets a network know, the same bits for a seed, one network for each."""

import numpy as np
import pytest
import torch

from lecture17.experiments import Schedule, images
from lecture17.reference import scan2d

ROUTES = scan2d.routes(4, 4)


def schedule(steps: int) -> Schedule:
    return Schedule(steps=steps, lengths=(1, 1), batch=64, lr=5e-3)


def test_training_never_draws_an_image_of_the_test() -> None:
    pixels, labels = images.load()
    assert (len(labels), len(labels) - images.TRAINING) == (1797, 497)
    batch = images.Digits().draw(4000, 1, (0, 3, 7))
    known = {image.tobytes(): label for image, label in zip(pixels[: images.TRAINING], labels, strict=False)}
    assert all(known[image.tobytes()] == label for image, [label] in zip(batch.tokens, batch.labels, strict=True))
    assert len({image.tobytes() for image in batch.tokens}) > 1200
    again, other = images.Digits().draw(8, 1, (0, 3, 7)), images.Digits().draw(8, 1, (0, 3, 8))
    assert (again.labels == batch.labels[:8]).all()
    assert (again.tokens != other.tokens).any()


def test_each_mixer_sees_what_its_route_has_read_before() -> None:
    mixer = images.RoutesMixer(8, ROUTES[[1]])
    x = torch.randn(1, 16, 8, requires_grad=True)
    step = ROUTES[1].argsort()
    for pixel in (0, 6, 15):
        (gradient,) = torch.autograd.grad(mixer(x)[0, pixel].sum(), x)
        seen = gradient[0].abs().sum(-1).numpy() > 0
        np.testing.assert_array_equal(seen, step <= step[pixel])


def test_routes_are_added_up_each_with_a_mixer_of_its_own() -> None:
    both = images.RoutesMixer(8, ROUTES[[0, 3]])
    x, total = torch.randn(2, 16, 8), torch.zeros(2, 16, 8)
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


def test_a_short_training_is_right_more_often_than_chance_and_the_same_in_a_process() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = images.once({"orders": ROUTES[[0]]}, schedule(40), seed=2)
    torch.set_num_threads(threads)
    assert alone.shape == (497,)
    assert alone.mean() > 0.2
    right = images.classify({"one": {"orders": ROUTES[[0]]}}, schedule(40), seeds=[2, 3])["one"]
    assert (right[0] == alone).all()
    assert (right[1] != alone).any()
