"""Exercises of 04c_vision."""

from typing import Any

import numpy as np

from ..exercise import Exercise, Inputs, Misconception

# --- cross-scan ---------------------------------------------------------------------------------------------------


def draw_images(rng: np.random.Generator) -> Inputs:
    """An image that is not square, and what four scans made of its routes."""
    H, W = rng.choice(np.arange(2, 9), size=2, replace=False)
    d = int(rng.integers(2, 5))
    return {"img": rng.normal(size=(H, W, d)), "scanned": rng.normal(size=(4, H * W, d))}


def pixels_of_routes(H: int, W: int) -> list[list[tuple[int, int]]]:
    """The (row, column) of every pixel along each of the four routes."""
    rows = [(i, j) for i in range(H) for j in range(W)]
    columns = [(i, j) for j in range(W) for i in range(H)]
    return [rows, columns, rows[::-1], columns[::-1]]


def both(img: np.ndarray, scanned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scan and merge, pixel by pixel."""
    routes, merged = pixels_of_routes(*img.shape[:2]), np.zeros_like(img)
    for route, outputs in zip(routes, scanned, strict=True):
        for pixel, y in zip(route, outputs, strict=True):
            merged[pixel] += y
    return np.array([[img[pixel] for pixel in route] for route in routes]), merged


def flat(img: np.ndarray) -> np.ndarray:
    return img.reshape(-1, img.shape[2])


def by_columns(img: np.ndarray) -> np.ndarray:
    return flat(img.swapaxes(0, 1))


def reshaped(img: np.ndarray) -> np.ndarray:
    """The axes named anew by a reshape, and then exchanged."""
    H, W, d = img.shape
    return flat(img.reshape(W, H, d).swapaxes(0, 1))


def snake(img: np.ndarray) -> np.ndarray:
    turned = img.copy()
    turned[1::2] = turned[1::2, ::-1]
    return flat(turned)


def orders(H: int, W: int) -> np.ndarray:
    return np.array([[i * W + j for i, j in route] for route in pixels_of_routes(H, W)])


def scan_with(*routes: Any) -> Any:
    """An answer whose sequences are those of `routes`, functions of the image; its merged image is not compared."""
    return lambda img, scanned: (np.array([route(img) for route in routes]), np.zeros_like(img))


def merge_with(merge: Any) -> Any:
    """An answer that scans rightly and merges by `merge(scanned, H, W)`."""
    return lambda img, scanned: (both(img, scanned)[0], merge(scanned, *img.shape[:2]))


def merge_by_order(scanned: np.ndarray, H: int, W: int) -> np.ndarray:
    return sum(s[order] for s, order in zip(scanned, orders(H, W), strict=True)).reshape(H, W, -1)


def merge_unreversed(scanned: np.ndarray, H: int, W: int) -> np.ndarray:
    rows, columns = scanned[0] + scanned[2], scanned[1] + scanned[3]
    return rows.reshape(H, W, -1) + columns.reshape(W, H, -1).swapaxes(0, 1)


def merge_columns_as_rows(scanned: np.ndarray, H: int, W: int) -> np.ndarray:
    return (scanned[:2] + scanned[2:, ::-1]).sum(0).reshape(H, W, -1)


SEQUENCES, MERGED = ("sequences",), ("merged",)

CROSS_SCAN = Exercise(
    id="04c_vision-cross-scan",
    points=4,
    unfilled="Read `img` along the four routes; put the four sequences in `scanned` back in place and add them.",
    draw=draw_images,
    returns=("sequences", "merged"),
    verified="none of them square",
    expected=both,
    where=lambda inputs, index: f"step {index[1]} of route {index[0]}",
    misconceptions=(
        Misconception(
            "each row and each column is reversed by itself",
            "routes 2 and 3 are the whole sequences 0 and 1 backwards: s[::-1]",
            scan_with(flat, by_columns, lambda img: flat(img[:, ::-1]), lambda img: by_columns(img[::-1])),
            of=SEQUENCES,
        ),
        Misconception(
            "the order of the rows and of the columns is reversed",
            "routes 2 and 3 are the whole sequences 0 and 1 backwards: s[::-1]",
            scan_with(flat, by_columns, lambda img: flat(img[::-1]), lambda img: by_columns(img[:, ::-1])),
            of=SEQUENCES,
        ),
        Misconception(
            "the second route is a reshape to (W, H)",
            "reshape never changes the order of the numbers; exchange the two axes first: swapaxes(0, 1)",
            scan_with(flat, flat, lambda img: flat(img)[::-1], lambda img: flat(img)[::-1]),
            of=SEQUENCES,
            also=(scan_with(flat, reshaped, lambda img: flat(img)[::-1], lambda img: reshaped(img)[::-1]),),
        ),
        Misconception(
            "img.T is taken for the transposed image",
            "`img` has three axes and .T reverses them all, features too; swapaxes(0, 1) exchanges rows and columns",
            scan_with(
                flat,
                lambda img: img.T.reshape(-1, img.shape[2]),
                lambda img: flat(img)[::-1],
                lambda img: img.T.reshape(-1, img.shape[2])[::-1],
            ),
            of=SEQUENCES,
        ),
        Misconception(
            "the routes are in another order",
            "expected 0 row by row, 1 column by column, 2 the reverse of 0, 3 the reverse of 1",
            scan_with(flat, lambda img: flat(img)[::-1], by_columns, lambda img: by_columns(img)[::-1]),
            of=SEQUENCES,
        ),
        Misconception(
            "the features are reversed instead of the steps",
            "axis 1 of `sequences` is the route: s[:, ::-1] for several, s[::-1] for one; the last axis stays",
            scan_with(flat, by_columns, lambda img: flat(img)[:, ::-1], lambda img: by_columns(img)[:, ::-1]),
            of=SEQUENCES,
        ),
        Misconception(
            "every second row is read backwards",
            "each row begins on the left, also after one that ended on the right",
            scan_with(snake, by_columns, lambda img: snake(img)[::-1], lambda img: by_columns(img)[::-1]),
            of=SEQUENCES,
        ),
        Misconception(
            "the sequences of img are merged",
            "merge the four sequences in `scanned`: they are what four scans made of the routes",
            lambda img, scanned: (both(img, scanned)[0], 4 * img),
        ),
        Misconception(
            "the orders are used where their inverses belong",
            "pixel p is at position order.argsort()[p] of its route; on a square image the two are the same",
            merge_with(merge_by_order),
            of=MERGED,
        ),
        Misconception(
            "the reversed sequences are added without turning them back",
            "the last entry of a reversed route belongs to the first pixel: reverse it again before you add",
            merge_with(merge_unreversed),
            of=MERGED,
        ),
        Misconception(
            "the sequences of columns are put back as rows",
            "routes 1 and 3 fill the image column by column: reshape to (W, H, d), then swapaxes(0, 1)",
            merge_with(merge_columns_as_rows),
            of=MERGED,
        ),
        Misconception(
            "the four are averaged",
            "cross-merge adds the four up and does not divide",
            lambda img, scanned: (both(img, scanned)[0], both(img, scanned)[1] / 4),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "A reshape to one long sequence reads row by row: that is route 0. Which two axes must change places "
            "before it reads column by column? Routes 2 and 3 then need no reading of their own.",
        ),
        (
            "My sequences are right and merged is not",
            "Undo each step, last step first: reverse 2 and 3, reshape 1 and 3 to (W, H, d), exchange the axes, add.",
        ),
        (
            "It works on a square image and on no other",
            "On a square image each order is its own inverse. Use np.argsort of the order, or reshape columns to "
            "(W, H, d).",
        ),
    ),
)

EXERCISES = (CROSS_SCAN,)
