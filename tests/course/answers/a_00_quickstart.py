"""Answers to the exercise of 00."""

import numpy as np

from . import right, wrong

MATRIX = "00_quickstart-matrix"


@right(MATRIX)
def multiplied_by_a_mask(U, V):
    N = len(U)
    mask = np.arange(N)[:, None] >= np.arange(N)[None, :]
    return np.einsum("ir,jr->ij", U, V) * mask


@right(MATRIX)
def transposed_twice(U, V):
    return np.triu(V @ U.T).T


@right(MATRIX)
def filled_where_true(U, V):
    A = np.zeros((U.shape[0], U.shape[0]))
    rows, columns = np.tril_indices(U.shape[0])
    A[rows, columns] = (U[rows] * V[columns]).sum(-1)
    return A


@wrong(MATRIX, "the mask is missing")
def no_mask(U, V):
    return U @ V.T


@wrong(MATRIX, "the mask leaves out the diagonal")
def diagonal_lost(U, V):
    return np.tril(U @ V.T, -1)


@wrong(MATRIX, "the mask keeps the wrong triangle")
def upper_triangle_kept(U, V):
    return np.triu(U @ V.T)


@wrong(MATRIX, "U and V are swapped")
def vectors_swapped(U, V):
    return np.tril(V @ U.T)


@wrong(MATRIX, "columns are multiplied instead of rows")
def product_of_columns(U, V):
    return np.tril(U.T @ V)


@wrong(MATRIX, "what is above the diagonal is -inf")
def minus_infinity_above(U, V):
    A = U @ V.T
    A[np.triu_indices(len(U), 1)] = -np.inf
    return A


@wrong(MATRIX, "U and V are multiplied without a transpose")
def product_without_transposing(U, V):
    return np.tril(U @ V)


@wrong(MATRIX, "the mask lets every token see the next one")
def one_off_mask(U, V):
    return np.tril(U @ V.T, 1)


@wrong(MATRIX, "Python loops over it")
def by_map(U, V):
    return np.tril(np.array(list(map(V.__matmul__, U))))


@wrong(MATRIX, "Python loops over it")
def loops(U, V):
    A = np.zeros((len(U), len(V)))
    for i in range(len(U)):
        for j in range(i + 1):
            A[i, j] = U[i] @ V[j]
    return A
