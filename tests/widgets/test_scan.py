"""The scan explorer: distances and contexts against a walk along the route."""

import re

import numpy as np
import pytest

from lecture17.reference import scan2d
from lecture17.widgets.scan import LARGEST, N_BINS, ROUTES, Params, ScanExplorer, compute, describe, settle

from .twins import any_settings, in_browser

SETTINGS = [settle(params) for params in any_settings(ScanExplorer, 30)]
each_setting = pytest.mark.parametrize("params", SETTINGS, ids=str)


def walk(params: Params) -> dict[tuple[int, int], int]:
    """The step at which each (row, column) is read."""
    return {divmod(int(pixel), params.side): step for step, pixel in enumerate(compute(params).order)}


@each_setting
def test_every_pixel_is_read_once_and_distances_are_those_of_the_walk(params: Params) -> None:
    r, read_at = compute(params), walk(params)
    assert len(read_at) == params.side**2
    pairs = [
        abs(read_at[i, j] - read_at[neighbor])
        for i, j in read_at
        for neighbor in ((i + 1, j), (i, j + 1))
        if neighbor in read_at
    ]
    assert sorted(pairs) == sorted(r.distances)
    shares = [np.mean([2**b <= d < 2 ** (b + 1) for d in pairs]) for b in range(N_BINS)]
    np.testing.assert_allclose(r.shares, shares)


@each_setting
def test_a_pixel_sees_what_a_state_that_decays_at_every_step_still_holds(params: Params) -> None:
    r, read_at = compute(params), walk(params)
    held = np.zeros((params.side, params.side))
    for pixel in sorted(read_at, key=read_at.__getitem__)[: params.step + 1]:
        held *= params.decay
        held[pixel] = 1
    np.testing.assert_allclose(r.context, held, atol=1e-12)
    i, j = r.pixel
    assert read_at[i, j] == params.step
    around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
    before = [held[p] for p in around if p in read_at and read_at[p] < params.step]
    np.testing.assert_allclose(r.neighbors, sorted(before, reverse=True), atol=1e-12)


def test_the_browser_walks_the_routes_of_the_reference() -> None:
    for route in ROUTES:
        asked = [Params(side=n, route=route, step=0) for n in range(2, LARGEST + 1)]
        for n, shown in zip(range(2, LARGEST + 1), in_browser(ScanExplorer, asked), strict=True):
            orders = [*scan2d.routes(n, n), scan2d.hilbert(n, n), scan2d.z_order(n, n)]
            assert shown["result"]["order"] == orders[ROUTES.index(route)].tolist(), (route, n)


def test_routes_are_those_of_their_names() -> None:
    paths = {route: compute(Params(side=4, route=route, step=0)).order for route in ROUTES}
    np.testing.assert_array_equal(paths["row by row"], np.arange(16))
    np.testing.assert_array_equal(paths["column by column"][:5], [0, 4, 8, 12, 1])
    np.testing.assert_array_equal(paths["row by row, reversed"], np.arange(16)[::-1])
    np.testing.assert_array_equal(paths["column by column, reversed"][:5], [15, 11, 7, 3, 14])
    np.testing.assert_array_equal(paths["Z-order"][:8], [0, 1, 4, 5, 2, 3, 6, 7])
    steps = np.abs(np.diff(np.stack(np.divmod(paths["Hilbert"], 4)), axis=1)).sum(axis=0)
    assert (steps == 1).all()


@each_setting
def test_words_give_the_pixel_and_the_distances(params: Params) -> None:
    r = compute(params)
    match = re.search(r"row (\d+), column (\d+);.* ([\d.]+) steps apart on average, (\d+) at most", describe(params))
    assert match
    assert (int(match[1]), int(match[2])) == r.pixel
    assert abs(float(match[3]) - r.distances.mean()) <= 0.051
    assert int(match[4]) == r.distances.max()
    assert ("none of its neighbors" in describe(params)) == (len(r.neighbors) == 0)


def test_the_same_distances_whichever_way_a_route_is_walked() -> None:
    for route in ROUTES[:2]:
        forward, backward = (compute(Params(route=name)).distances for name in (route, f"{route}, reversed"))
        np.testing.assert_array_equal(np.sort(forward), np.sort(backward))
