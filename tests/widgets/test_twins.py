"""One truth: every number that an explorer shows in the browser is the one that Python computes."""

import sys
from dataclasses import asdict

import numpy as np
import pytest

from lecture17 import widgets
from lecture17.choosing import choose
from lecture17.widgets.chunks import compute as chunks
from lecture17.widgets.explorer import Explorer
from lecture17.widgets.memory import compute as memory
from lecture17.widgets.scan import compute as scan
from lecture17.widgets.semiseparable import compute as semiseparable
from lecture17.widgets.two_views import Result
from lecture17.widgets.two_views import compute as two_views

from .twins import any_settings, assert_close, in_browser

EXPLORERS = [e for e in (getattr(widgets, name) for name in widgets.__all__) if issubclass(e, Explorer)]


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.__name__)
def test_settings_are_made_to_fit_each_other_and_told_in_the_same_words(explorer: type[Explorer]) -> None:
    asked = any_settings(explorer, 200)
    for params, shown in zip(asked, in_browser(explorer, asked), strict=True):
        settled = explorer.settle(params)
        assert shown["params"] == asdict(settled), params
        assert explorer.settle(settled) == settled
        assert shown["words"] == explorer.describe(settled), params
        assert shown["headline"] == sys.modules[explorer.__module__].headline(settled), params


def test_the_semiseparable_explorer_computes_what_python_computes() -> None:
    explorer = widgets.SemiseparableExplorer
    asked = [explorer.settle(params) for params in any_settings(explorer, 200, seed=1)]
    for params, shown in zip(asked, in_browser(explorer, asked), strict=True):
        python, browser = semiseparable(params), shown["result"]
        for name in ("mask", "scores", "M", "singular_values", "rounding"):
            assert_close(f"{name} of {params}", browser[name], getattr(python, name))
        assert_lower_equal(browser["ranks"], python.ranks)
        assert_lower_equal(browser["allowed"], python.allowed)
        if python.other is None:
            assert browser["other"] is None
        else:
            assert_close("other", browser["other"], python.other)
            assert_close("difference", browser["difference"], python.M - python.other)
            assert browser["other_rank"] == python.other_rank


def test_two_views_computes_what_python_computes() -> None:
    explorer = widgets.TwoViews
    asked = [explorer.settle(params) for params in any_settings(explorer, 200, seed=1)]
    for params, shown in zip(asked, in_browser(explorer, asked), strict=True):
        python, browser = two_views(params), shown["result"]
        for name in (*Result.__dataclass_fields__, "forgotten", "share_forgotten"):
            assert_close(f"{name} of {params}", browser[name], getattr(python, name))


def test_the_chunk_explorer_computes_what_python_computes() -> None:
    explorer = widgets.ChunkExplorer
    asked = [explorer.settle(params) for params in any_settings(explorer, 200, seed=1)]
    for params, shown in zip(asked, in_browser(explorer, asked), strict=True):
        browser = shown["result"]
        for name, cost in zip(("flops", "held"), chunks(params).values(), strict=True):
            assert_close(f"chosen of {params}", browser["chosen"][name], cost.chosen)
            for part in ("sizes", "chunkwise", "recurrent", "parallel", "best"):
                assert_close(f"{part} of {params}", browser[name][part], getattr(cost, part))


def assert_lower_equal(browser: list[list[int]], python: np.ndarray) -> None:
    for i, row in enumerate(browser):
        assert row == python[i, : i + 1].tolist()


def test_the_memory_explorer_computes_what_python_computes() -> None:
    explorer = widgets.MemoryExplorer
    asked = [explorer.settle(params) for params in any_settings(explorer, 200, seed=1)]
    for params, shown in zip(asked, in_browser(explorer, asked), strict=True):
        python, browser = memory(params), shown["result"]
        for name in ("kernels", "bits", "counts", "read"):
            assert_close(f"{name} of {params}", browser[name], getattr(python, name))
        for name in ("eigenvalues", "states"):
            assert_close(f"{name} of {params}", browser[name]["re"], getattr(python, name).real)
            assert_close(f"{name} of {params}", browser[name]["im"], getattr(python, name).imag)


def test_the_scan_explorer_computes_what_python_computes() -> None:
    explorer = widgets.ScanExplorer
    asked = [explorer.settle(params) for params in any_settings(explorer, 200, seed=1)]
    for params, shown in zip(asked, in_browser(explorer, asked), strict=True):
        python, browser = scan(params), shown["result"]
        for name in ("order", "position", "distances", "shares", "context", "pixel", "neighbors"):
            assert_close(f"{name} of {params}", browser[name], getattr(python, name))
        assert_close("mean", browser["mean"], python.distances.mean())


@pytest.mark.parametrize("rates", [None, (2e10, 3e11)])
def test_the_chooser_computes_what_python_computes(rates: tuple[float, float] | None) -> None:
    explorer = widgets.ArchitectureChooser
    asked = [explorer.settle(task) for task in any_settings(explorer, 200, seed=1)]
    shown = in_browser(explorer, asked, None if rates is None else {"cpu": rates})
    for task, in_js in zip(asked, shown, strict=True):
        python, browser = choose(task, rates), in_js["result"]
        assert tuple(browser["listed"]) == python.listed
        assert browser["devices"] == python.devices
        assert list(browser["found"]) == list(python.assessments)
        for name, a in python.assessments.items():
            found = browser["found"][name]
            for number in ("weights", "memory", "sequences", "seconds"):
                assert_close(f"{number} of {name}, {task}", found[number], getattr(a, number))
            assert (found["fits"], found["level"], found["evidence"]) == (a.fits, a.level, a.evidence)
