# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04c · Vision: an image has no first pixel
#
# *30 minutes · ★★☆*
#
# After this you can …
# - read an image along four routes, put it back exactly, and name the mistakes that a square image hides,
# - measure how far apart an order puts neighboring pixels, and say what no order can do,
# - compute what one pixel sees under one, two and four routes and in a two-dimensional SSM, and take Vim's and
#   VMamba's blocks apart.
#
# **Letters.** An image has $H$ rows, $W$ columns and $d$ features per pixel (in practice a "pixel" is a patch of
# several). Pixels are numbered row by row. An *order* lists these $N = HW$ numbers; a *route* is an order along which
# the image is scanned. The other letters are those of the [notation table](03a_semiseparable.ipynb#notation).

# %%
import numpy as np
import torch

from lecture17 import figures, layers, widgets
from lecture17.compare import assert_same
from lecture17.course import predict, progress
from lecture17.reference import scan2d, ssd

# %% [markdown]
# ## 1 · Four routes
#
# A recurrence sees what came before. In a text that is the past; in an image "before" is a choice. **If you read row by
# row, the pixel in the middle never learns about the lower half.** VMamba (Liu et al., arXiv 2401.10166, Section 4)
# makes the choice four times: row by row, column by column, and each of these backwards.
#
# Take an image with 4 rows and 6 columns. Which pixel comes first on each of the four routes?

# %%
predict("04c_vision-opposite")

# %%
H, W = 4, 6
row_by_row = np.arange(H * W)
column_by_column = row_by_row.reshape(H, W).T.ravel()
orders = {
    "row by row": row_by_row,
    "column by column": column_by_column,
    "rows, reversed": row_by_row[::-1],
    "columns, reversed": column_by_column[::-1],
}
assert_same(package=scan2d.routes(H, W), by_hand=np.array(list(orders.values())))

steps = {name: np.argsort(order).reshape(H, W) for name, order in orders.items()}
title = "Four routes over 4 × 6 pixels"
figures.reading_orders(steps, title=title)

# %% [markdown]
# **Learned:** the reversed route is the whole sequence backwards, last pixel first. So a route and its reverse together
# leave nothing out: every other pixel comes earlier on one of the two.
#
# <a id="correction-13"></a>
#
# > **Correction 13 · the lecture says** that a reversed route is the image with its rows reversed, and takes the order
# > of the numbers in memory for the order of reading.
# >
# > **In truth** reversing each row (`img[:, ::-1]`) or the order of the rows (`img[::-1]`) does not reverse *the
# > sequence*, and part of the image stays unseen. Reversing each row adds only the rest of the pixel's own row: all
# > later rows stay unseen. Reversing the order of the rows leaves just that rest unseen. The four routes are row by
# > row, column by column, and the reverse of each. And "row by row" refers to indices, not to memory: `ravel()` reads
# > an array row by row even if it is stored column by column. `ravel(order="K")` follows memory, and then reads column
# > by column.
#
# Two counterexamples, first for the reversal:

# %%
img = np.arange(6).reshape(2, 3)
reversed_sequence = img.ravel()[::-1]
each_row_reversed, rows_upside_down = img[:, ::-1].ravel(), img[::-1].ravel()
print("the sequence, reversed     ", reversed_sequence)
print("each row reversed          ", each_row_reversed)
print("the order of rows reversed ", rows_upside_down)
assert (each_row_reversed != reversed_sequence).any()
assert (rows_upside_down != reversed_sequence).any()
assert_same(reversed_sequence=reversed_sequence, both_axes=img[::-1, ::-1].ravel())

# %% [markdown]
# … and for memory:

# %%
stored_by_columns = np.asfortranarray(img)
print("in the order of indices    ", stored_by_columns.ravel())
print("in the order of memory     ", stored_by_columns.ravel(order="K"))
assert_same(one_image=img, stored_by_columns=stored_by_columns)
assert_same(row_by_row=img.ravel(), by_index=stored_by_columns.ravel())
assert_same(column_by_column=img.T.ravel(), by_memory=stored_by_columns.ravel(order="K"))

# %% [markdown]
# How much does a wrong reversal cost? Count the pairs of pixels in which the first sees the second on some route.


# %%
def share_seen(*steps: np.ndarray) -> float:
    """Share of pairs of different pixels (i, j) where some route reads i after j."""
    flat = [step.ravel() for step in steps]
    seen = np.any([step[:, None] > step[None, :] for step in flat], axis=0)
    return float(seen.sum() / (len(seen) * (len(seen) - 1)))


forward, backward = steps["row by row"], steps["rows, reversed"]
pairs = {
    "row by row alone": (forward,),
    "and the sequence reversed": (forward, backward),
    "and each row reversed": (forward, forward[:, ::-1]),
    "and the order of rows reversed": (forward, forward[::-1]),
}
shares = {name: share_seen(*routes) for name, routes in pairs.items()}
for name, share in shares.items():
    print(f"{name:31} {share:4.0%}")
assert shares["row by row alone"] == 1 / 2
assert shares["and the sequence reversed"] == 1
own_row = (W - 1) / (2 * (H * W - 1))  # pairs in which j comes later in the row of i
assert np.allclose(list(shares.values())[2:], [1 / 2 + own_row, 1 - own_row])

# %% [markdown]
# ## 2 · Cross-scan and cross-merge
#
# *Cross-scan* reads the image along the four routes. Then each sequence goes through a scan of its own, and
# *cross-merge* puts the four results back in place and adds them up. With order $\pi_k$ for route $k$, position $t$
# holds pixel $\pi_k(t)$, so pixel $p$ is at position $\pi_k^{-1}(p)$:
#
# $$\mathrm{scan}(x)_{k,t} = x_{\pi_k(t)}, \qquad \mathrm{merge}(s)_p = \sum_k s_{k,\,\pi_k^{-1}(p)} .$$

# %%
rng = np.random.default_rng(17)
d = 3
x, s = rng.normal(size=(H, W, d)), rng.normal(size=(4, H * W, d))
routes = scan2d.routes(H, W)
scanned = x.reshape(H * W, d)[routes]  # (4, N, d)
places = np.argsort(routes, axis=1)  # π⁻¹
merged = sum(s[k, places[k]] for k in range(4)).reshape(H, W, d)
assert_same(cross_scan=scan2d.cross_scan(x), by_hand=scanned)
assert_same(cross_merge=scan2d.cross_merge(s, H, W), by_hand=merged)

# %% [markdown]
# **(2.1)** $\mathrm{merge}(\mathrm{scan}(x)) = 4x$, *bit for bit*. Numbers are only moved, and the rounding of the sum
# cancels: $2x$ is exact; $3x$ may be off by half a unit in its last place; adding the fourth $x$ then rounds to the
# nearest number of the format, which is $4x$. (In a tie the even number is taken, and then that is $4x$.) **(2.2)**
# Merge is the transpose of scan, $\langle \mathrm{scan}(x), s \rangle = \langle x, \mathrm{merge}(s) \rangle$: each is
# the backward pass of the other.

# %%
assert np.array_equal(scan2d.cross_merge(scanned, H, W), 4 * x)  # (2.1)
many = rng.normal(size=100_000).astype(np.float32)
thrice = many + many + many
assert (thrice != 3 * many.astype(float)).mean() > 0.2  # 3x is rounded …
assert np.array_equal(thrice + many, 4 * many)  # … 4x is not
assert_same(scan_x_dot_s=np.sum(scanned * s), x_dot_merge_s=np.sum(x * merged))  # (2.2)

# %% [markdown]
# **(2.3)** The trap: on a *square* image each of the four orders is its own inverse. So code that confuses $\pi_k$ with
# $\pi_k^{-1}$ is right there, and wrong on the first image that is not square.

# %%
own_inverse = {
    size: np.array_equal(scan2d.routes(*size), np.argsort(scan2d.routes(*size), axis=1))
    for size in ((5, 5), (8, 8), (4, 6))
}
print("all four routes their own inverses:", own_inverse)
assert own_inverse == {(5, 5): True, (8, 8): True, (4, 6): False}

# %% [markdown]
# Exercise: [`04c_vision-cross-scan`](../exercises/04c_vision.ipynb).
#
# ## 3 · Curves that stay near
#
# Row by row, the pixel above is $W$ steps away. Two older ideas keep more of an image together. *Z-order* (Morton,
# 1966) sorts pixels by the interleaved bits of row and column, so it finishes each quadrant before the next. *Hilbert's
# curve* (1891) does this too, and turns the quadrants around as it goes. Both are easy on squares of side $2^m$; the
# package has them for any $H \times W$.
#
# Picture Hilbert's curve over $6 \times 8$ pixels.

# %%
predict("04c_vision-curves")

# %%
H, W = 6, 8
curves = {"Hilbert": scan2d.hilbert(H, W), "Z-order": scan2d.z_order(H, W)}


def step_lengths(order: np.ndarray, W: int) -> np.ndarray:
    """How far each step of the order goes: rows plus columns."""
    row, column = np.divmod(order, W)
    return np.abs(np.diff(row)) + np.abs(np.diff(column))


steps = {name: np.argsort(order).reshape(H, W) for name, order in curves.items()}
figures.reading_orders(steps, title="Two curves over 6 × 8 pixels")

# %%
assert (step_lengths(curves["Hilbert"], W) == 1).all()
print("longest step of Z-order:", step_lengths(curves["Z-order"], W).max())
for size in np.ndindex(24, 24):
    if min(size) > 0:
        diagonal = step_lengths(scan2d.hilbert(*size), size[1]) > 1
        assert diagonal.sum() <= (max(size) % 2 == 1 and min(size) % 2 == 0)

# %% [markdown]
# **Learned:** both curves finish one part of the image before they go on to the next. Z-order jumps there; Hilbert's
# curve walks. (It keeps one diagonal step where the longer side is odd and the other even. It leads from one end of the
# longer side to the other, and on a chessboard of that size these two corners have the same color; but the color
# changes at every step to a neighbor, and the number of steps is odd.)
#
# ## 4 · How far apart neighbors are read
#
# **Claim 1 (proved here). Every order of $n \times n$ pixels reads some pair of neighbors at least $(n + 1)/2$ steps
# apart.** *Proof.* The first and the last pixel of the order are $n^2 - 1$ steps apart, and at most $2(n - 1)$ moves to
# a neighbor lead from one to the other. One of these moves spans at least $(n^2 - 1)/(2n - 2) = (n + 1)/2$ steps. ∎
# (In fact no order does better than $n$, which row by row reaches: Chvátalová, 1975.) **No order keeps all neighbors
# near.**
#
# What differs is how the distances are distributed. Take $32 \times 32$ pixels and, for every pair of neighbors, the
# steps between the two. For cross-scan take the smaller of its two distances, along rows and along columns.
#
# And the other way around: how far away in the image is the farthest of the last 64 pixels read? Both matter, because a
# state with the decay $a$ keeps $a^k$ of what it read $k$ steps ago.

# %%
predict("04c_vision-distances")


# %%
def neighbor_distances(order: np.ndarray, n: int) -> np.ndarray:
    """Steps between the two pixels of each pair of neighbors."""
    step = np.argsort(order).reshape(n, n)
    return np.concatenate([np.abs(np.diff(step, axis=axis)).ravel() for axis in (0, 1)])


def mean_radius(order: np.ndarray, n: int, K: int) -> np.ndarray:
    """How far away the farthest of the last 1 … K pixels is, averaged over the sequence."""
    place = np.stack(np.divmod(order, n), axis=1)
    gap = [np.linalg.norm(place[K:] - place[K - k : -k], axis=1) for k in range(1, K + 1)]
    return np.maximum.accumulate(gap).mean(axis=1)


n, K = 32, 256
rows, columns = scan2d.routes(n, n)[:2]
orders = {"row by row": rows, "Hilbert": scan2d.hilbert(n, n), "Z-order": scan2d.z_order(n, n)}
distances = {name: neighbor_distances(order, n) for name, order in orders.items()}
radii = {name: mean_radius(order, n, K) for name, order in orders.items()}
distances["four routes"] = np.minimum(*[neighbor_distances(order, n) for order in (rows, columns)])
title = "How far apart neighbors are read, and how far away the last pixels are"
figures.locality(distances, radii, title=title)

# %%
print("                mean   median  longest   mean of 0.9^distance")
for name, distance in distances.items():
    kept = np.mean(0.9**distance)
    print(
        f"{name:12} {distance.mean():7.1f} {np.median(distance):8g} {distance.max():8} {kept:12.2f}"
    )
assert all(distances[name].max() >= (n + 1) / 2 for name in orders)  # Claim 1
assert distances["row by row"].max() == n  # the best possible
assert distances["Hilbert"].mean() > distances["row by row"].mean() == distances["Z-order"].mean()
assert np.median(distances["Hilbert"]) == 1 < np.median(distances["row by row"])
assert distances["Hilbert"].max() == 853
assert (distances["four routes"] == 1).all()
assert radii["Hilbert"][63] < radii["row by row"][63] / 2
growth = np.polyfit(np.log(np.arange(1, K + 1)), np.log(radii["Hilbert"]), 1)[0]
assert 0.45 < growth < 0.65  # about like the square root

# %% [markdown]
# **Learned:** along Hilbert's curve, pixels *near in the sequence* are near in the image: the last $k$ pixels fill a
# patch about $\sqrt k$ wide. Along rows they are not. Pixels *near in the image* are mostly near in Hilbert's sequence
# too. But a few pairs are read hundreds of steps apart (853 at most, of 1,024), so its mean distance is the largest of
# all. For a fading state it is not this mean that counts, but the mean of $a^{\text{distance}}$, and there Hilbert is
# ahead of rows. Cross-scan needs no curve: any two neighbors are one step apart on one of its routes. The price is four
# scans.
#
# **Predict.** In the explorer, follow Hilbert's curve with *step*, and stop where the path has just come back to the
# border between two halves of the image. Which of the pixel's neighbors has the state forgotten? What does a decay of 1
# change? Then compare with the other routes.

# %%
widgets.ScanExplorer()

# %% [markdown]
# **Learned:** on every single route some neighbors are read many steps apart (Claim 1), and a fading state keeps less
# of them than of the others.
#
# ## 5 · A state that comes from two sides
#
# Instead of turning the image into a sequence, you can let the state itself run in two dimensions: each pixel takes it
# from the pixel above and the pixel to the left (Fornasini and Marchesini, 1978),
#
# $$S_{ij} = a^{\downarrow}_{ij} S_{i-1,j} + a^{\rightarrow}_{ij} S_{i,j-1} + B_{ij} x_{ij}^\top, \qquad
#   y_{ij} = C_{ij} S_{ij} .$$
#
# **(5.1) A wavefront.** A pixel needs only pixels of the anti-diagonal before its own, so all pixels with the same
# $i + j$ can be computed at once: they are one *wave*. **(5.2) Paths.** With constant decays the pixel $p$ rows up and
# $q$ columns left has the weight $\binom{p+q}{p} (a^{\downarrow})^p (a^{\rightarrow})^q$, one term for each path down
# and right. All pixels $k$ moves away together have the weight $(a^{\downarrow} + a^{\rightarrow})^k$, so the two
# decays should add up to at most 1.
#
# Number the pixels by the wave in which they are computed.

# %%
predict("04c_vision-waves")

# %%
H, W, r = 4, 6, 2
x = rng.normal(size=(H, W, d))
B, C = rng.normal(size=(2, H, W, r))
a_down, a_right = rng.uniform(0, 0.5, size=(2, H, W))
S, wave = np.zeros((H + 1, W + 1, r, d)), np.add.outer(np.arange(H), np.arange(W))
for step in range(H + W - 1):
    i, j = np.nonzero(wave == step)  # all pixels of this wave at once
    above, left = S[i, j + 1], S[i + 1, j]  # row 0 and column 0 of S are outside the image
    S[i + 1, j + 1] = B[i, j, :, None] * x[i, j, None, :]
    S[i + 1, j + 1] += a_down[i, j, None, None] * above + a_right[i, j, None, None] * left
y = np.einsum("ijr,ijrd->ijd", C, S[1:, 1:])
assert_same(package=scan2d.ssm2d(x, np.log(a_down), np.log(a_right), B, C), wavefront=y)  # (5.1)

in_turn = np.arange(H * W).reshape(H, W)
title = "The step at which each pixel is computed"
figures.reading_orders({"row by row": in_turn, "2-D SSM": wave}, title=title)

# %% [markdown]
# ## 6 · What one pixel sees
#
# The waves take $H + W - 1$ steps instead of $HW$. Now give the routes and the 2-D SSM the same simple task: write and
# read one number, keep $a = 0.9$ of the state at each step (for the 2-D SSM $0.45$ from each side), and add up the
# outputs of the routes. Then put a one at each pixel in turn and look at the pixel in the middle: how much of each does
# it see? The answers form one row of the mixer's matrix.
#
# Picture the answer for each: one route; two; two where only each row is reversed (correction 13); four; Hilbert in
# both directions; the 2-D SSM. Which of them see equally well in all four directions?

# %%
predict("04c_vision-fields")

# %%
n, a, middle = 15, 0.9, (7, 7)
rows, columns, rows_back, columns_back = scan2d.routes(n, n)
hilbert = scan2d.hilbert(n, n)
ones, log_a = np.ones((n * n, 1)), np.full(n * n, np.log(a))
impulses = np.eye(n * n)  # one feature for each pixel, which is 1 there


def seen_along(*routes: np.ndarray) -> np.ndarray:
    """What the middle pixel sees of every pixel, by an SSM along each route; outputs are added."""
    y = np.zeros((n * n, n * n))
    for order in routes:
        y[order] += ssd.recurrent(impulses[order], log_a, ones, ones)[0]
    return y.reshape(n, n, n, n)[middle]


same = np.full((n, n), np.log(a / 2))
y = scan2d.ssm2d(impulses.reshape(n, n, n * n), same, same, np.ones((n, n, 1)), np.ones((n, n, 1)))
fields = {
    "one route": seen_along(rows),
    "and each row reversed": seen_along(rows, rows.reshape(n, n)[:, ::-1].ravel()),
    "and the sequence reversed": seen_along(rows, rows_back),
    "four routes": seen_along(rows, columns, rows_back, columns_back),
    "Hilbert, both ways": seen_along(hilbert, hilbert[::-1]),
    "2-D SSM": y.reshape(n, n, n, n)[middle],
}

# %%
title = "How much of each pixel the one in the middle sees"
figures.receptive_fields(fields, middle, title=title)

# %%
i, j = middle
sees = {name: np.count_nonzero(field) for name, field in fields.items()}
half, quadrant = (n * n + 1) // 2, (n // 2 + 1) ** 2
assert sees["one route"] == half
assert sees["and each row reversed"] == half + n // 2  # the rest of its own row, and no more
assert sees["and the sequence reversed"] == sees["four routes"] == n * n
assert sees["2-D SSM"] == quadrant

four = fields["four routes"]
around = [four[i - 1, j], four[i + 1, j], four[i, j - 1], four[i, j + 1]]
assert_same(one_step_in_each_direction=around, left=[four[i, j - 1]] * 4)
assert four[i - 1, j - 1] < four[i, j - 2]  # both two moves away
assert fields["2-D SSM"][i - 3, j - 3] > 10 * fields["2-D SSM"][i, j - 6]  # both six moves away

# %%
binomials = np.zeros((n, n))  # (5.2)
for p, q in np.ndindex(i + 1, j + 1):
    path_count = np.prod(np.arange(q + 1, p + q + 1) / np.arange(1, p + 1))
    binomials[i - p, j - q] = path_count * (a / 2) ** (p + q)
assert_same(ssm2d=fields["2-D SSM"], paths_counted=binomials)

# %% [markdown]
# **Learned:** four routes treat the four directions alike, but they see along the row and the column and hardly
# anywhere else: a cross. Pixels off the cross come through well only in a second layer. Hilbert sees a patch with hard
# borders. The 2-D SSM sees a quadrant, at equal numbers of moves best along its diagonal, where most paths lead; it
# takes four of them to see everything.
#
# ## 7 · Vim's block
#
# Vision Mamba (Zhu et al., arXiv 2401.09417, Section 3) reads the patches row by row with two branches, forward and
# backward. Each has its own short convolution, with a SiLU, and its own selective scan (part [03c](03c_family.ipynb)).
# They share the projections before and after:
#
# $$u, z = W_{in} x, \qquad y^f = \mathrm{SSM}_f(\mathrm{conv}_f(u)),$$
#
# $$y^b = \mathrm{flip}\,\mathrm{SSM}_b(\mathrm{conv}_b(\mathrm{flip}\,u)),$$
#
# $$\mathrm{out} = W_{out} \big( \tfrac{1}{2} (y^f + y^b) \circ \mathrm{SiLU}(z) \big) .$$
#
# The second flip puts the outputs back in place; without it the sum would mix outputs of different pixels. (The average
# is that of the published code.)

# %%
torch.manual_seed(17)
d_model, n = 16, 9
vim, ss2d, mamba = layers.Vim(d_model), layers.SS2D(d_model), layers.Mamba(d_model)
x = torch.randn(8, n, n, d_model)

with torch.no_grad():
    u, z = vim.in_proj(x.flatten(1, 2)).chunk(2, dim=-1)  # (batch, N, 2 d)
    y_f = vim.ahead(u)
    y_b = vim.back(u.flip(1)).flip(1)
    out = vim.out_proj((y_f + y_b) / 2 * torch.nn.functional.silu(z))
    not_flipped_back = vim.out_proj((y_f + vim.back(u.flip(1))) / 2 * torch.nn.functional.silu(z))
    assert_same(layer=vim(x).flatten(1, 2).numpy(), by_hand=out.numpy(), tol=1e-5)
    assert not torch.allclose(out, not_flipped_back, atol=1e-3)

# %% [markdown]
# ## 8 · VMamba's SS2D
#
# SS2D is cross-scan, four selective scans and cross-merge. Before them comes a $3 \times 3$ convolution, which already
# sees in all directions; after them come a norm and a gate. The gate $z$ is that of the first published code.

# %%
silu, layer_norm = torch.nn.functional.silu, torch.nn.functional.layer_norm
with torch.no_grad():
    u, z = ss2d.in_proj(x).chunk(2, dim=-1)  # (batch, n, n, 2 d)
    u = silu(ss2d.conv2d(u.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
    sequences = torch.stack([torch.from_numpy(scan2d.cross_scan(image)) for image in u.numpy()])
    scans = torch.stack([ssm(sequences[:, k]) for k, ssm in enumerate(ss2d.ssms)], dim=1)
    y = torch.stack([torch.from_numpy(scan2d.cross_merge(four, n, n)) for four in scans.numpy()])
    out = ss2d.out_proj(ss2d.norm(y) * silu(z))
    assert_same(layer=ss2d(x).numpy(), by_hand=out.numpy(), tol=1e-5)

# %% [markdown]
# **Predict.** Take the two blocks with their random initial parameters, and a Mamba block that reads row by row. How
# strongly does the output at the middle pixel depend on each input pixel? (The mean size of that derivative is called
# the *effective receptive field*; Luo et al., arXiv 1701.04128.) Compare with section 6: what does the convolution add?


# %%
def effective_field(block: torch.nn.Module, images: torch.Tensor) -> np.ndarray:
    """Root mean square derivative of the middle output by each pixel, in random directions."""
    images = images.requires_grad_()
    middle = block(images)[:, n // 2, n // 2]
    (gradient,) = torch.autograd.grad((middle * torch.randn_like(middle)).sum(), images)
    return gradient.square().mean(dim=(0, 3)).sqrt().numpy()


class RowByRow(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return mamba(images.flatten(1, 2)).view_as(images)


x = torch.randn(64, n, n, d_model)
blocks = {"Mamba, row by row": RowByRow(), "Vim": vim, "SS2D": ss2d}
fields = {name: effective_field(block, x) for name, block in blocks.items()}
assert np.count_nonzero(fields["Mamba, row by row"]) == (n * n + 1) // 2
assert np.count_nonzero(fields["Vim"]) == np.count_nonzero(fields["SS2D"]) == n * n

# %%
i = j = n // 2
windows = {"Mamba, row by row": (0, 3), "Vim": (0, 3), "SS2D": (1, 1)}  # of the convolutions
for name, (up, across) in windows.items():
    outside = fields[name].copy()
    outside[i - up : i + up + 1, j - across : j + across + 1] = 0
    assert outside.max() < 0.01 * fields[name][i, j], name
cross = np.concatenate([fields["SS2D"][i, [0, 1, 7, 8]], fields["SS2D"][[0, 1, 7, 8], j]])
assert cross.min() > fields["SS2D"][[0, 0, 8, 8], [0, 8, 0, 8]].max()

title = "How much the middle pixel of an untrained block depends on each pixel"
figures.receptive_fields(fields, (i, j), faintest=1e-5, title=title)

# %% [markdown]
# **Learned** (*observed*, for random parameters; training changes what is written and how it decays): the routes decide
# what *can* be seen, and at first nearly everything comes through the convolution. Beyond its window you find the half,
# the whole and the cross of section 6, but at least a hundred times fainter than the middle pixel. So a good score by
# itself does not show that the routes were used. That is why part [05d](05d_images.ipynb) trains with a control.
#
# ## Recap
#
# - "Before" is a choice in an image. A route and its reverse together see everything; a route and its rows reversed do
#   not.
# - Cross-merge uses the inverse orders. Square images hide the mistake of using the orders themselves.
# - No order keeps all neighbors near. Hilbert keeps most of them near; rows and columns together keep all.
# - Four routes see a cross. A 2-D SSM sees a quadrant, best along its diagonal, in $H + W - 1$ waves.
# - Vim averages a forward and a backward scan; SS2D adds up four.
#
# **Where next:** the [exercise](../exercises/04c_vision.ipynb) (4 points), then
# [04d · Many machines](04d_many_machines.ipynb), or the digits in [05d](05d_images.ipynb), which ask whether more
# routes are worth more than more parameters.

# %% tags=["nbval-ignore-output"]
progress("04c_vision")
