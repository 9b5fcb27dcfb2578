"""Images as sequences: routes over the pixels, curves that keep neighbors near, and an SSM in two dimensions.

Introduced in 04c_vision. An order of the H × W pixels is an array of H·W flat indices: position t of the sequence is
pixel `order[t]` of the image read row by row, so `img.reshape(H * W, d)[order]` is the image along that order.

Errors: a wrong shape raises jaxtyping's TypeCheckError (a TypeError) naming argument, axis and sizes; H or W less than
1, a positive or NaN log decay, or a number that is not finite raises ValueError naming the argument.
"""

import numpy as np
from jaxtyping import Float, Int, Num

from .validation import check_at_least_one, checked, shapes_checked


@shapes_checked
def routes(H: int, W: int) -> Int[np.ndarray, "4 {H*W}"]:
    """VMamba's four orders: 0 row by row, 1 column by column, 2 the reverse of 0, 3 the reverse of 1.

    Reversing means the whole sequence, last pixel first; reversing each row by itself is another order.
    Source: Liu et al., arXiv 2401.10166, cross-scan of SS2D (Section 4).
    """
    check_at_least_one(H=H, W=W)
    rows = np.arange(H * W)
    columns = rows.reshape(H, W).T.ravel()
    return np.stack([rows, columns, rows[::-1], columns[::-1]])


@shapes_checked
def cross_scan(img: Num[np.ndarray, "H W d"]) -> Num[np.ndarray, "4 H*W d"]:
    """The image read along the four `routes`. Source: arXiv 2401.10166, Section 4."""
    H, W, d = img.shape
    return img.reshape(H * W, d)[routes(H, W)]


@shapes_checked
def cross_merge(seqs: Num[np.ndarray, "4 {H*W} d"], H: int, W: int) -> Num[np.ndarray, "{H} {W} d"]:
    """The four sequences put back in place and added up. `cross_merge(cross_scan(img), H, W)` is exactly `4 * img`.

    Source: arXiv 2401.10166, Section 4.
    """
    position = np.argsort(routes(H, W), axis=1)  # (4, H·W): where along each route a pixel is
    return np.take_along_axis(seqs, position[:, :, None], axis=1).sum(0).reshape(H, W, -1)


@shapes_checked
def hilbert(H: int, W: int) -> Int[np.ndarray, "{H*W}"]:
    """A Hilbert curve over any H × W: from the top left corner along the longer side to its other end.

    Squares whose side is a power of 2 give Hilbert's own curve. Each step goes to one of the four neighbors, except for
    at most one diagonal step where the longer side is odd and the other even: on a chessboard of that size the two
    corners have the same color, and no path over an even number of pixels joins squares of the same color.
    Source: Hilbert (1891); for rectangles the construction of J. Červený's "gilbert".
    """
    check_at_least_one(H=H, W=W)
    return np.array(_curve(0, 1, W, W, H) if W >= H else _curve(0, W, H, 1, W))


def _curve(start: int, along: int, length: int, across: int, width: int) -> list[int]:
    """The path over `length` pixels in steps of `along` by `width` in steps of `across`, from `start` to the far end.

    A long rectangle is cut in two in a row. Any other is cut in three: across, along and back, the third turned around.

        ┌─────────────┐      The halves are even where they can be, because a path along an odd side
        │  second →   │      of an otherwise even rectangle needs a diagonal step.
        ├──────┬──────┤
        │ ↑ 1st│ 3rd ↓│
        └──────┴──────┘
    """
    if width == 1:
        return [start + along * i for i in range(length)]
    if length == 1:
        return [start + across * i for i in range(width)]
    if 2 * length > 3 * width:
        half = _even_half(length)
        first = _curve(start, along, half, across, width)
        return first + _curve(start + half * along, along, length - half, across, width)
    half, left = _even_half(width), length // 2
    corner = start + (length - 1) * along + (half - 1) * across
    return [
        *_curve(start, across, half, along, left),
        *_curve(start + half * across, along, length, across, width - half),
        *_curve(corner, -across, half, -along, length - left),
    ]


def _even_half(n: int) -> int:
    """About half of n; an even number if n > 2."""
    return n // 2 + (n // 2) % 2 if n > 2 else 1


@shapes_checked
def z_order(H: int, W: int) -> Int[np.ndarray, "{H*W}"]:
    """Z-order (Morton's) over any H × W: pixels sorted by the interleaved bits of their row and column.

    Bit b of the column goes to bit 2b of the sort key, bit b of the row to 2b + 1. Source: Morton (1966).
    """
    check_at_least_one(H=H, W=W)
    row, column = np.divmod(np.arange(H * W), W)
    key = np.zeros(H * W, np.int64)
    for b in range(max(H, W).bit_length()):
        key |= (column >> b & 1) << 2 * b | (row >> b & 1) << 2 * b + 1
    return np.argsort(key)


@checked
def ssm2d(
    img: Float[np.ndarray, "H W d"],
    log_a_row: Float[np.ndarray, "H W"],
    log_a_col: Float[np.ndarray, "H W"],
    B: Float[np.ndarray, "H W d_state"],
    C: Float[np.ndarray, "H W d_state"],
) -> Float[np.ndarray, "H W d"]:
    """An SSM in two dimensions: each pixel's state comes from the pixel above and the pixel to the left.

        S[i, j] = e^{log_a_row[i, j]} S[i-1, j] + e^{log_a_col[i, j]} S[i, j-1] + B[i, j] img[i, j]ᵀ
        y[i, j] = C[i, j] S[i, j]                       (S: d_state × d, keys × values, zero outside the image)

    Computed as a wavefront: the pixels of one anti-diagonal depend only on the one before, hence H + W - 1 steps
    instead of H·W. A pixel is reached by as many paths as there are ways to step down and right, so the state stays
    bounded where the two decays add up to at most 1.

    Raises ValueError if a log decay is positive or NaN or another argument is not finite.
    Source: Fornasini and Marchesini, "Doubly-indexed dynamical systems", Math. Systems Theory 12 (1978).
    """
    H, W, d = img.shape
    a_row, a_col = np.exp(log_a_row)[:, :, None, None], np.exp(log_a_col)[:, :, None, None]
    S = np.zeros((H + 1, W + 1, B.shape[2], d))  # row 0 and column 0 are outside the image; pixel (i, j) is at i+1, j+1
    for wave in range(H + W - 1):
        i = np.arange(max(0, wave - W + 1), min(H, wave + 1))
        j = wave - i
        written = B[i, j][:, :, None] * img[i, j][:, None, :]  # (pixels of the wave, d_state, d)
        S[i + 1, j + 1] = a_row[i, j] * S[i, j + 1] + a_col[i, j] * S[i + 1, j] + written
    return np.einsum("ijs,ijsd->ijd", C, S[1:, 1:])
