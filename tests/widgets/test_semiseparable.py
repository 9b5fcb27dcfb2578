"""The semiseparable explorer: every number on show against one computed another way."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lecture17.widgets.semiseparable import NOTHING, Params, SemiseparableExplorer, compute, describe, edges, settle
from lecture17.widgets.sequence import decay_axes, mask_name, menu

from .twins import any_settings

SETTLED = [settle(params) for params in any_settings(SemiseparableExplorer, 60, seed=4)]
each_setting = pytest.mark.parametrize("params", SETTLED, ids=range(len(SETTLED)))


def block(M: np.ndarray, params: Params, row: int, column: int) -> np.ndarray:
    return M[edges(params, row), edges(params, column)]


@each_setting
def test_no_block_on_or_below_the_diagonal_exceeds_the_rank_that_theory_allows(params: Params) -> None:
    r = compute(params)
    lower = np.tri(len(r.ranks), dtype=bool)
    assert (r.ranks[lower] <= r.allowed[lower]).all()
    assert (r.ranks[~lower] == 0).all()


@each_setting
def test_ranks_and_singular_values_are_those_of_the_block_cut_out_by_hand(params: Params) -> None:
    r = compute(params)
    largest = np.linalg.norm(r.M, 2)
    chosen = block(r.M, params, params.row, params.column)
    tolerance = params.N * np.finfo(float).eps * largest
    assert r.ranks[params.row, params.column] == np.linalg.matrix_rank(chosen, tol=tolerance)
    by_hand = np.linalg.svd(chosen, compute_uv=False)
    np.testing.assert_allclose(r.singular_values * largest, by_hand, atol=1e-12 * float(largest))
    if r.other is not None:
        in_other = block(r.other, params, params.row, params.column)
        assert r.other_rank == np.linalg.matrix_rank(
            in_other, tol=params.N * np.finfo(float).eps * np.linalg.norm(r.other, 2)
        )


@each_setting
def test_all_matrices_are_finite_and_causal(params: Params) -> None:
    r = compute(params)
    for X in (r.mask, r.M, *([] if r.other is None else [r.other])):
        assert X.shape == (params.N, params.N)
        assert np.isfinite(X).all()
        assert not np.triu(X, 1).any()


def test_softmax_attention_is_of_the_scores() -> None:
    r = compute(Params(mixer="softmax attention", decay=1.0))
    weights = np.tril(np.exp(r.scores))
    np.testing.assert_allclose(r.M, weights / weights.sum(axis=1, keepdims=True), atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("mixer", [name for name, m in menu().items() if m.formula in ("M = L ∘ Q Kᵀ", "M = L ∘ C Bᵀ")])
def test_the_matrix_is_the_product_that_its_title_says(mixer: str, decay: float) -> None:
    r = compute(Params(mixer=mixer, decay=decay if menu()[mixer].decay else 1.0))
    np.testing.assert_allclose(r.M, r.mask * r.scores, atol=1e-12)


@pytest.mark.parametrize("mixer", [name for name, m in menu().items() if not m.grows])
def test_a_finite_state_fills_its_rank_and_softmax_exceeds_it(mixer: str) -> None:
    N = 32 if mixer == "DeltaProduct" else 64  # two replacements a token fade within 64 below rounding
    decay = 0.95 if menu()[mixer].decay else 1.0
    r = compute(Params(mixer=mixer, N=N, decay=decay, row=1, compare="softmax attention"))
    assert (r.below(r.ranks) == 4).all()
    assert r.other_rank == 16


def test_without_decay_the_gated_mixers_are_linear_attention() -> None:
    linear = compute(Params(mixer="linear attention", decay=1.0)).M
    for mixer in ("RetNet", "Mamba-2", "GLA"):
        np.testing.assert_allclose(compute(Params(mixer=mixer, decay=1.0)).M, linear, atol=1e-12)


@each_setting
def test_words_give_rows_columns_and_rank_of_the_chosen_block(params: Params) -> None:
    r, rows, columns = compute(params), edges(params, params.row), edges(params, params.column)
    match = re.match(r"Block rows (\d+)–(\d+), columns (\d+)–(\d+): rank (\d+) of at most (\d+); ", describe(params))
    assert match
    first_row, last_row, first_column, last_column, rank, allowed = map(int, match.groups())
    assert slice(first_row, last_row + 1) == rows
    assert slice(first_column, last_column + 1) == columns
    assert (rank, allowed) == (r.ranks[params.row, params.column], r.allowed[params.row, params.column])
    assert (f"The same block of {params.compare} has rank" in describe(params)) == (params.compare != NOTHING)


@pytest.mark.parametrize(("given", "meant"), [(True, "softmax attention"), (False, NOTHING), ("GLA", "GLA")])
def test_compare_takes_a_mixer_or_true_for_softmax(given: bool | str, meant: str) -> None:
    assert SemiseparableExplorer(compare=given).compare == meant


def test_the_issue_s_example_is_what_it_says() -> None:
    assert SemiseparableExplorer().words.startswith("Block rows 32–47, columns 0–15: rank 4 of at most 4;")


@pytest.mark.parametrize("mixer", menu())
def test_where_each_key_has_a_mask_the_one_shown_is_called_one_of_several(mixer: str) -> None:
    """Its product with the scores is not the matrix, which a single mask would give."""
    p = settle(Params(mixer=mixer, key=1))
    r, name = compute(p), mask_name(menu()[mixer], p.key, p.d_state)
    if decay_axes(menu()[mixer]) == "key":
        assert name == "mask L of key 1, one of 4"
        assert not np.allclose(r.M, r.mask * r.scores, atol=1e-3)
        assert not np.allclose(r.mask, compute(replace(p, key=0)).mask)
    else:
        assert name == ("decay mask L" if menu()[mixer].decay else "causal mask L")
