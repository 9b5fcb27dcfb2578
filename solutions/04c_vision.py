# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercise for 04c · Vision
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under the card, run
# it, then run the check below it. The check tries random inputs, half of them new each time, and names the mistake when
# it recognizes it. Everything you need is in [04c · Vision](../notebooks/04c_vision.ipynb).

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## Cross-scan and its way back
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `04c_vision-cross-scan` | ★★☆ | 15 min | 4 | you can read an image along four routes and lose no pixel on the way back |
#
# You get an image `img`, $(H, W, d)$, and `scanned`, $(4, HW, d)$: what four scans made of four sequences. Return
#
# - `sequences`, $(4, HW, d)$: the image read 0 row by row, 1 column by column, 2 along the reverse of 0, 3 along the
#   reverse of 1;
# - `merged`, $(H, W, d)$: the four sequences in `scanned`, each put back where its route read it, and added up.
#
# If `scanned` were `sequences` itself, `merged` would be exactly `4 * img`. The images are not square. Stuck? Type
# `hint("04c_vision-cross-scan")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "04c_vision-cross-scan", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cross_scan_and_merge(img, scanned):
    """The four sequences (4, H W, d) of img (H, W, d), and `scanned` (4, H W, d) merged to (H, W, d)."""
    ### BEGIN SOLUTION
    H, W, d = img.shape
    rows = np.arange(H * W)
    columns = rows.reshape(H, W).T.ravel()
    orders = np.stack([rows, columns, rows[::-1], columns[::-1]])
    sequences = img.reshape(H * W, d)[orders]
    merged = np.zeros((H * W, d))
    for order, outputs in zip(orders, scanned, strict=True):
        merged[order] += outputs  # position t goes to pixel order[t]
    return sequences, merged.reshape(H, W, d)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "04c_vision-cross-scan-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("04c_vision-cross-scan", cross_scan_and_merge)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [04d · Many machines](../notebooks/04d_many_machines.ipynb): one sequence on many processes.
