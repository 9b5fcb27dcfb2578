"""The semiseparable explorer: every number on show against one computed another way."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from lecture17.widgets._mixers import mask_name, menu
from lecture17.widgets.semiseparable import Params, SemiseparableExplorer, compute, describe

from .strategies import settings_of

any_settings = settings_of(SemiseparableExplorer)


def block(M: np.ndarray, params: Params, row: int, column: int) -> np.ndarray:
    c = params.chunk_size
    return M[row * c : (row + 1) * c, column * c : (column + 1) * c]


@settings(max_examples=60, deadline=None)
@given(any_settings)
def test_no_block_on_or_below_the_diagonal_exceeds_the_rank_that_theory_allows(params: Params) -> None:
    r = compute(params)
    lower = np.tri(len(r.ranks), dtype=bool)
    assert (r.ranks[lower] <= r.allowed[lower]).all()
    assert (r.ranks[~lower] == 0).all()


@settings(max_examples=40, deadline=None)
@given(any_settings)
def test_ranks_and_singular_values_are_those_of_the_block_cut_out_by_hand(params: Params) -> None:
    r = compute(params)
    largest = np.linalg.norm(r.M, 2)
    chosen = block(r.M, params, params.row, params.column)
    tolerance = params.N * np.finfo(float).eps * largest
    assert r.ranks[params.row, params.column] == np.linalg.matrix_rank(chosen, tol=tolerance)
    by_hand = np.linalg.svd(chosen, compute_uv=False)
    np.testing.assert_allclose(r.singular_values * largest, by_hand, atol=1e-12 * float(largest))
    in_softmax = block(r.softmax, params, params.row, params.column)
    assert r.softmax_rank == np.linalg.matrix_rank(
        in_softmax, tol=params.N * np.finfo(float).eps * np.linalg.norm(r.softmax, 2)
    )


@settings(max_examples=30, deadline=None)
@given(any_settings)
def test_all_matrices_are_finite_and_causal_and_softmax_is_of_the_scores(params: Params) -> None:
    r = compute(params)
    for X in (r.mask, r.M, r.softmax):
        assert X.shape == (params.N, params.N)
        assert np.isfinite(X).all()
        assert not np.triu(X, 1).any()
    weights = np.tril(np.exp(r.scores))
    np.testing.assert_allclose(r.softmax, weights / weights.sum(axis=1, keepdims=True), atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("mixer", [name for name, m in menu().items() if m.formula in ("M = L ∘ Q Kᵀ", "M = L ∘ C Bᵀ")])
def test_the_matrix_is_the_product_that_its_title_says(mixer: str, decay: float) -> None:
    r = compute(Params(mixer=mixer, decay=decay if menu()[mixer].decay else 1.0))
    np.testing.assert_allclose(r.M, r.mask * r.scores, atol=1e-12)


@pytest.mark.parametrize("mixer", [name for name, m in menu().items() if not m.grows])
def test_a_finite_state_fills_its_rank_and_softmax_exceeds_it(mixer: str) -> None:
    N = 32 if mixer == "DeltaProduct" else 64  # two replacements a token fade within 64 below rounding
    r = compute(Params(mixer=mixer, N=N, decay=0.95 if menu()[mixer].decay else 1.0, row=1))
    assert (r.below(r.ranks) == 4).all()
    assert r.softmax_rank == 16


def test_without_decay_the_gated_mixers_are_linear_attention() -> None:
    linear = compute(Params(mixer="linear attention", decay=1.0)).M
    for mixer in ("RetNet", "Mamba-2", "GLA"):
        np.testing.assert_allclose(compute(Params(mixer=mixer, decay=1.0)).M, linear, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(any_settings)
def test_words_give_rows_columns_and_rank_of_the_chosen_block(params: Params) -> None:
    r, c = compute(params), params.chunk_size
    match = re.match(r"Block rows (\d+)–(\d+), columns (\d+)–(\d+): rank (\d+) of at most (\d+); ", describe(params))
    assert match
    first_row, last_row, first_column, last_column, rank, allowed = map(int, match.groups())
    assert (first_row, last_row + 1) == (params.row * c, params.row * c + c)
    assert (first_column, last_column + 1) == (params.column * c, params.column * c + c)
    assert (rank, allowed) == (r.ranks[params.row, params.column], r.allowed[params.row, params.column])
    assert ("Softmax of the same scores has rank" in describe(params)) == params.compare


@pytest.mark.parametrize("panel", ["M", "grid"])
def test_a_click_on_a_block_chooses_it_and_above_the_diagonal_nothing(panel: str) -> None:
    shown = SemiseparableExplorer()
    ax = shown.scene.matrices[2] if panel == "M" else shown.scene.grid
    n = shown.params.N // shown.params.chunk_size
    for row in range(n):
        for column in range(n):
            before = shown.params
            x, y = ax.transData.transform(((column + 0.5) / n, (row + 0.5) / n))
            across, down = x / shown.scene.bbox.width, 1 - y / shown.scene.bbox.height
            shown._answer(None, {"click": [across, down]}, [])
            assert shown.params == (replace(before, row=row, column=column) if column <= row else before)


def test_the_issue_s_example_is_what_it_says() -> None:
    assert SemiseparableExplorer().words.startswith("Block rows 32–47, columns 0–15: rank 4 of at most 4;")


@pytest.mark.parametrize("mixer", menu())
def test_the_mean_of_several_masks_is_called_so(mixer: str) -> None:
    """Its product with the scores is not the matrix, which one mask would give."""
    r, name = compute(Params(mixer=mixer)), mask_name(menu()[mixer])
    if mixer in ("GLA", "RWKV-7", "KDA"):
        assert name.startswith("mean of r masks")
        assert not np.allclose(r.M, r.mask * r.scores, atol=1e-3)
    else:
        assert name == ("decay mask L" if menu()[mixer].decay else "causal mask L")
