"""Lower semiseparable matrices: two ways to write one down, products, ranks. Introduced in 03a_semiseparable.

A lower-triangular matrix is r-semiseparable when every block on or below the diagonal has rank at most r.
Sources: Vandebril, Van Barel, Mastronardi, "Matrix Computations and Semiseparable Matrices" (2008), vol. 1;
Dao and Gu, arXiv 2405.21060, Section 3.
"""

import numpy as np
from jaxtyping import Float

from .validation import checked


@checked
def segsum(log_a: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N N"]:
    """Sums of log decays over every segment, each summed by itself.

        segsum[i, j] = log_a[j+1] + … + log_a[i]   for i ≥ j  (0 on the diagonal),   -inf above

    so that exp(segsum) is the decay mask L. Differences of one cumulative sum would lose small sums between
    large ones, and give NaN (inf - inf) after a log decay of -inf; here each segment is added up from zero.
    Sums are accumulated in float64 and returned in the type of `log_a`.

    Raises ValueError if log_a is positive or NaN. Source: arXiv 2405.21060, Listing 1 (`segsum`).
    """
    N = len(log_a)
    terms = np.tril(np.broadcast_to(log_a[:, None], (N, N)), -1)  # terms[k, j] = log_a[k] for k > j
    sums = np.cumsum(terms, axis=0, dtype=np.float64)
    return np.where(np.tri(N, dtype=bool), sums, -np.inf).astype(log_a.dtype)


@checked
def from_generators(u: Float[np.ndarray, "N r"], v: Float[np.ndarray, "N r"]) -> Float[np.ndarray, "N N"]:
    """The lower semiseparable matrix with generators u and v.

    M[i, j] = u[i]·v[j]   for i ≥ j,   0 above

    Every block on or below the diagonal is a block of u vᵀ, hence of rank at most r. Not every
    r-semiseparable matrix has r generators (with a zero decay it may need N): see `from_sss`.
    Source: Vandebril et al. (2008), vol. 1, "generator representable" matrices.
    """
    return np.tril(u @ v.T)


@checked
def from_sss(
    log_a: Float[np.ndarray, " N"], B: Float[np.ndarray, "N d_state"], C: Float[np.ndarray, "N d_state"]
) -> Float[np.ndarray, "N N"]:
    """The matrix of a scalar-decay SSM, in sequentially semiseparable (SSS) form.

    M[i, j] = C[i]·B[j]·exp(log_a[j+1] + … + log_a[i])   for i ≥ j,   0 above

    log_a[0] does not occur: it would decay a state from before the sequence. This also works for decays that
    are zero (log_a = -inf) or underflow, where generators do not exist.
    Source: arXiv 2405.21060, Definition 3.2, with A_t = e^{log_a[t]} I.
    """
    return np.exp(segsum(log_a)) * (C @ B.T)


@checked
def matvec(
    log_a: Float[np.ndarray, " N"],
    B: Float[np.ndarray, "N d_state"],
    C: Float[np.ndarray, "N d_state"],
    x: Float[np.ndarray, "N *features"],
) -> Float[np.ndarray, "N *features"]:
    """The product of `from_sss(log_a, B, C)` with x, without the matrix: O(N·d_state) per column of x.

    h_i = e^{log_a[i]} h_{i-1} + B[i] x[i],   y[i] = C[i]·h_i

    Raises ValueError if log_a is positive or NaN or another argument is not finite.
    Source: arXiv 2405.21060, Section 3.4.
    """
    h = np.zeros((B.shape[1], *x.shape[1:]))
    y = np.empty(x.shape, np.result_type(log_a, B, C, x))
    for i in range(len(x)):
        h = np.exp(log_a[i]) * h + np.multiply.outer(B[i], x[i])
        y[i] = np.tensordot(C[i], h, axes=1)
    return y


@checked
def block_singular_values(M: Float[np.ndarray, "N N"], split: int) -> Float[np.ndarray, " k"]:
    """Singular values, largest first, of the block `M[split:, :split]` strictly below the diagonal.

    The number of those that are not negligible is how many numbers, per feature, must pass from the tokens
    before `split` to those from `split` on. Raises ValueError unless 1 ≤ split ≤ N - 1.
    """
    if not 1 <= split < len(M):
        raise ValueError(f"split is {split}: expected 1 ≤ split ≤ N - 1 = {len(M) - 1}")
    return np.linalg.svd(M[split:, :split], compute_uv=False)


@checked
def rank(M: Float[np.ndarray, "N N"], tol: float | None = None) -> int:
    """The block rank: the largest numerical rank of the blocks `M[i:, :i+1]`, on and below the diagonal.

    A lower-triangular M is r-semiseparable exactly when its exact block rank is at most r. Here singular
    values up to `tol` count as zero; by default tol = N·eps·(largest singular value of M), one threshold for
    all blocks: an ε-rank (03a_semiseparable, step 3) with ε = N·eps.
    """
    if tol is None:
        tol = len(M) * float(np.finfo(M.dtype).eps) * float(np.linalg.norm(M, 2))
    return max(
        (int((np.linalg.svd(M[i:, : i + 1], compute_uv=False) > tol).sum()) for i in range(len(M))),
        default=0,
    )
