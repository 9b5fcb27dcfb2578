"""Answers to the exercise of 04c."""

import numpy as np

from . import right, wrong

SCAN = "04c_vision-cross-scan"


def _routes(img):
    rows = img.reshape(-1, img.shape[-1])
    columns = img.transpose(1, 0, 2).reshape(-1, img.shape[-1])
    return np.stack([rows, columns, rows[::-1], columns[::-1]])


def _back(img, s):
    H, W, d = img.shape
    by_rows = s[0] + s[2][::-1]
    by_columns = s[1] + s[3][::-1]
    return by_rows.reshape(H, W, d) + by_columns.reshape(W, H, d).transpose(1, 0, 2)


@right(SCAN)
def by_lists_of_places(img, scanned):
    H, W, _d = img.shape
    rows = [(i, j) for i in range(H) for j in range(W)]
    columns = [(i, j) for j in range(W) for i in range(H)]
    routes = [rows, columns, rows[::-1], columns[::-1]]
    merged = np.zeros(img.shape)
    for route, sequence in zip(routes, scanned, strict=True):
        for (i, j), value in zip(route, sequence, strict=True):
            merged[i, j] += value
    return np.array([[img[i, j] for i, j in route] for route in routes]), merged


@wrong(SCAN, "the second route is a reshape to (W, H)")
def reshaped_for_columns(img, scanned):
    H, W, d = img.shape
    rows, columns = img.reshape(-1, d), img.reshape(W, H, d).transpose(1, 0, 2).reshape(-1, d)
    return np.stack([rows, columns, rows[::-1], columns[::-1]]), _back(img, scanned)


@wrong(SCAN, "the features are reversed instead of the steps")
def reversed_in_the_features(img, scanned):
    s = _routes(img)
    s[2:] = s[:2, :, ::-1]
    return s, _back(img, scanned)


@wrong(SCAN, "the reversed sequences are added without turning them back")
def not_turned_back(img, scanned):
    H, W, d = img.shape
    by_rows, by_columns = scanned[0] + scanned[2], scanned[1] + scanned[3]
    merged = by_rows.reshape(H, W, d) + by_columns.reshape(W, H, d).transpose(1, 0, 2)
    return _routes(img), merged


@wrong(SCAN, "the sequences of columns are put back as rows")
def columns_put_back_as_rows(img, scanned):
    H, W, d = img.shape
    merged = (scanned[0] + scanned[1] + (scanned[2] + scanned[3])[::-1]).reshape(H, W, d)
    return _routes(img), merged


@wrong(SCAN, "the four are averaged")
def averaged(img, scanned):
    return _routes(img), _back(img, scanned) / 4


@wrong(SCAN, "the sequences of img are merged")
def image_merged_instead_of_scanned(img, scanned):
    return _routes(img), 4 * img


@wrong(SCAN, "the routes are in another order")
def routes_in_another_order(img, scanned):
    s = _routes(img)[[0, 2, 1, 3]]
    return s, _back(img, scanned)


@wrong(SCAN, "every second row is read backwards")
def snake(img, scanned):
    snake = img.copy()
    snake[1::2] = snake[1::2, ::-1]
    s = _routes(img)
    s[0] = snake.reshape(s[0].shape)
    s[2] = s[0][::-1]
    return s, _back(img, scanned)


@wrong(SCAN, "each row and each column is reversed by itself")
def rows_flipped_only(img, scanned):
    s = _routes(img)
    s[2] = img[:, ::-1].reshape(s[2].shape)
    s[3] = img[::-1].transpose(1, 0, 2).reshape(s[3].shape)
    return s, _back(img, scanned)


@wrong(SCAN, "the sequences of columns are put back as rows")
def transposed_back_wrongly(img, scanned):
    H, W, d = img.shape
    by_rows = scanned[0] + scanned[2][::-1]
    by_columns = scanned[1] + scanned[3][::-1]
    return _routes(img), by_rows.reshape(H, W, d) + by_columns.reshape(H, W, d)
