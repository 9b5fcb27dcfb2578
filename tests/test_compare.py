"""`assert_same`: says one fixed line when the views agree, and names quantity, size and place when they do not."""

import numpy as np
import pytest

from lecture17.compare import assert_same

y = np.array([[1.0, -2.0], [0.5, 4.0]])


def test_agreement_prints_one_line_that_does_not_depend_on_the_rounding(capsys):
    assert_same(parallel=y, recurrent=y)
    exact = capsys.readouterr().out
    assert_same(parallel=y, recurrent=y + 1e-13)
    assert capsys.readouterr().out == exact
    assert exact == "parallel = recurrent  (2 × 2; relative difference at most 1e-10)\n"


def test_difference_names_the_array_the_size_and_the_place(capsys):
    wrong = y.copy()
    wrong[1, 0] += 0.25
    with pytest.raises(
        AssertionError, match=r"chunkwise differs from parallel: .* 2\.5e-01 .*parallel\[1, 0\] = 0\.5, .*= 0\.75"
    ):
        assert_same(parallel=y, recurrent=y, chunkwise=wrong)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_the_difference_is_relative_to_the_largest_entry(scale):
    assert_same(a=scale * y, b=scale * (y + 3e-10))
    with pytest.raises(AssertionError, match="b differs from a"):
        assert_same(a=scale * y, b=scale * (y + 5e-10))


def test_the_tolerance_can_be_chosen_and_is_printed(capsys):
    assert_same(a=y, b=y * 1.001, tol=1e-2)
    assert "at most 1e-02" in capsys.readouterr().out


def test_a_shape_that_broadcasts_is_still_a_difference():
    with pytest.raises(AssertionError, match=r"b has shape \(2, 1\), a has shape \(2, 2\)"):
        assert_same(a=y, b=y[:, :1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_a_difference(bad):
    wrong = y.copy()
    wrong[0, 1] = bad
    for a, b in ((y, wrong), (wrong, y)):
        with pytest.raises(AssertionError, match=r"largest difference inf .*\[0, 1\]"):
            assert_same(a=a, b=b)


def test_equal_infinities_are_equal_and_nan_is_equal_to_nothing():
    assert_same(a=np.array([1.0, -np.inf]), b=np.array([1.0, -np.inf]))
    with pytest.raises(AssertionError):
        assert_same(a=np.array([np.nan]), b=np.array([np.nan]))


def test_zeros_must_be_met_exactly_and_numbers_empties_and_counts_can_be_compared():
    assert_same(a=np.zeros(3), b=np.zeros(3))
    assert_same(a=3.0, b=3)
    assert_same(a=np.zeros((0, 2)), b=np.zeros((0, 2)))
    assert_same(a=np.array([True, False]), b=np.array([True, False]), c=np.array([1, 0]))
    with pytest.raises(AssertionError, match=r"b differs from a.*at a = 0, b = 1e-30"):
        assert_same(a=0.0, b=1e-30)


def test_one_array_alone_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        assert_same(parallel=y)
