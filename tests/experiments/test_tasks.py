"""Tasks: their labels counted again by hand, pure draws, chance."""

import itertools

import numpy as np
import pytest

from lecture17.experiments.tasks import IGNORE, Batch, Copying, ModCounter, Permutations, Task

TASKS = [ModCounter(2), ModCounter(5), Permutations(3), Permutations(4), Copying(7)]
each = pytest.mark.parametrize("task", TASKS, ids=repr)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_a_counter_counts_modulo_k(k: int) -> None:
    tokens, labels = ModCounter(k).draw(5, 60, 0)
    for row, asked in zip(tokens, labels, strict=True):
        count = 0
        for token, label in zip(row, asked, strict=True):
            count = (count + int(token)) % k
            assert label == count


def test_parity_says_whether_the_number_of_ones_is_odd() -> None:
    tokens, labels = ModCounter(2).draw(8, 50, 3)
    for t in range(50):
        assert ((tokens[:, : t + 1] == 1).sum(1) % 2 == labels[:, t]).all()


@pytest.mark.parametrize("n", [3, 4])
def test_permutations_are_followed_by_moving_things_about(n: int) -> None:
    task = Permutations(n)
    assert sorted(task.elements) == sorted(itertools.permutations(range(n)))
    tokens, labels = task.draw(6, 40, 1)
    for row, asked in zip(tokens, labels, strict=True):
        place = list(range(n))  # of each thing
        for token, label in zip(row, asked, strict=True):
            place = [task.elements[token][p] for p in place]
            assert task.elements[label] == tuple(place)


def test_permutation_labels_are_products_of_matrices() -> None:
    """The same again with permutation matrices, P e_j = e_{g(j)}: the later token stands on the left."""
    task = Permutations(3)
    matrices = [np.eye(3)[:, g] for g in task.elements]
    for g, P in zip(task.elements, matrices, strict=True):
        assert all(P[g[j], j] == 1 for j in range(3))
    tokens, labels = task.draw(1, 30, 2)
    state = np.eye(3)
    for token, label in zip(tokens[0], labels[0], strict=True):
        state = matrices[token] @ state
        assert (state == matrices[label]).all()


def test_all_answers_are_equally_frequent_in_the_long_run() -> None:
    for task in (ModCounter(2), ModCounter(3), Permutations(3)):
        _, labels = task.draw(4000, 20, 0)
        share = np.bincount(labels[:, -1], minlength=task.n_classes) / 4000
        assert np.abs(share - 1 / task.n_classes).max() < 0.03


def test_copying_asks_for_each_letter_again_and_shows_only_those_before_it() -> None:
    tokens, labels = Copying(9).draw(4, 11, 0)
    letters = tokens[:, :11]
    assert (labels[:, :11] == IGNORE).all()
    assert (labels[:, 11:] == letters).all()
    assert (tokens[:, 11] == 9).all()
    assert (tokens[:, 12:] == letters[:, :-1]).all()


@each
def test_a_draw_is_pure_and_depends_on_its_seed(task: Task) -> None:
    def equal(a: Batch, b: Batch) -> bool:
        return bool((a.tokens == b.tokens).all() and (a.labels == b.labels).all())

    first = task.draw(4, 16, (0, 1, 2))
    task.draw(4, 16, 5)
    assert equal(task.draw(4, 16, (0, 1, 2)), first)
    assert not equal(task.draw(4, 16, (0, 1, 3)), first)


@each
def test_tokens_and_labels_are_in_range(task: Task) -> None:
    tokens, labels = task.draw(64, 12, 0)
    assert tokens.dtype == labels.dtype == np.int64
    assert set(np.unique(tokens)) == set(range(task.n_tokens))
    assert set(np.unique(labels)) - {IGNORE} == set(range(task.n_classes))
