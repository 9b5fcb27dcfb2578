# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05d · Digits: four routes, or just four mixers?
#
# *15 minutes · ★★☆*
#
# After this you can …
# - compare ways to read an image such that only the way of reading differs,
# - split a gain into the part that comes from the routes and the part that comes from the parameters,
# - say which differences on this page would hold for other seeds or other test images, and which might not.
#
# The routes are those of [part 04c](04c_vision.ipynb); letters: [notation table](03a_semiseparable.ipynb#notation).

# %%
import numpy as np
from sklearn.linear_model import LogisticRegression

from lecture17 import experiments, figures
from lecture17.course import predict, progress
from lecture17.experiments import images
from lecture17.reference import scan2d

# %% [markdown]
# ## 1 · The data, and the level to beat
#
# scikit-learn includes 1,797 handwritten digits of $8 \times 8$ pixels. We train on the first 1,300 and test on the
# last 497, in the order of the file.
#
# **Predict.** Will the first digits of both parts look as if the same people had written them? The order matters,
# because most tutorials shuffle before they split. The level to beat is that of a linear classifier on the 64 pixels.

# %%
pixels, labels = images.load()
n = images.TRAINING
rows = {"the first in training": np.arange(12), "the first in the test": np.arange(n, n + 12)}
shown = {name: (pixels[chosen], labels[chosen]) for name, chosen in rows.items()}
figures.image_rows(shown, title="Digits of 8 × 8 pixels, the first of both parts")

# %%
predict("05d_images-linear")


# %%
def linear(order: np.ndarray) -> float:
    """Accuracy of a linear classifier trained on the first 1,300 images in this order."""
    x, y = pixels[order].reshape(-1, 64) / 16, labels[order]
    return LogisticRegression(max_iter=1000).fit(x[:n], y[:n]).score(x[n:], y[n:])


in_order = np.arange(len(labels))
rng = np.random.default_rng(17)
linear_level = linear(in_order)
shuffled = [linear(rng.permutation(in_order)) for _ in range(5)]
print(f"linear classifier: {linear_level:.3f} in the order of the file,", end=" ")
print(f"{min(shuffled):.2f} to {max(shuffled):.2f} shuffled")
assert min(shuffled) > linear_level + 0.02

# %% [markdown]
# **Learned:** shuffling makes the test easier, probably because the file keeps the digits of one writer together, so
# that a shuffled test contains digits by people whose handwriting was in the training part. We keep the order of the
# file. And 64 weights per class already get nine of ten digits right: this, not 10%, is the level to beat.
#
# ## 2 · One thing differs
#
# The network cuts the image into $4 \times 4$ patches of $2 \times 2$ pixels, has one block, and takes the mean over
# the patches. In the block, each *mixer* is a short convolution and a scan with one decay per head, along a route; the
# outputs of the mixers are put back in place and added up (cross-scan and cross-merge). Everything else is the same:
# data, steps, seeds. No positions are learned, so the network knows where a stroke is only from the order of reading.
#
# | model | routes | mixers |
# | --- | --- | --- |
# | one mixer | row by row | 1 |
# | **control** | row by row, four times | 4 |
# | two routes | there and back, each twice | 4 |
# | four routes | rows and columns, there and back | 4 |
# | Hilbert | there and back, each twice | 4 |
#
# The usual comparison is "four routes" against "one mixer". But these two differ in *two* things: routes and
# parameters. **The control has the parameters without the routes.** The last two models of the cell below repeat the
# control and the four routes with a learned vector for each patch, as in Vim (arXiv 2401.09417).
#
# A warning about all accuracies below: the steps, the learning rate, the patches and the width were chosen on *these
# same 497 images*, so every accuracy is a little optimistic. The settings are the same for all models, so read the
# differences to the control and not the heights.
#
# Before you train, also guess the order of the seven models, and how far apart they are.
#
# (The stored results come from a full run. As it stands, the cell that trains uses the *quick* setting, few steps and
# one seed, which is what the tests do. With `full = True` it takes a few minutes on two idle cores.)

# %%
full = experiments.FULL  # True to train as long as the stored results did
seeds = (0, 1, 2) if full else (0,)

routes, hilbert = scan2d.routes(4, 4), scan2d.hilbert(4, 4)
kinds = {
    "one mixer": {"orders": routes[[0]]},
    "control": {"orders": routes[[0, 0, 0, 0]]},
    "two routes": {"orders": routes[[0, 2, 0, 2]]},
    "four routes": {"orders": routes},
    "Hilbert": {"orders": np.stack([hilbert, hilbert[::-1]] * 2)},
    "control, positions": {"orders": routes[[0, 0, 0, 0]], "positions": True},
    "four routes, positions": {"orders": routes, "positions": True},
}
sizes = {
    name: sum(p.numel() for p in images.new_network(options, seed=0).parameters())
    for name, options in kinds.items()
}
assert sizes["control"] == sizes["two routes"] == sizes["four routes"] == sizes["Hilbert"]
schedule = experiments.Schedule(steps=750 if full else 40, lengths=(1, 1), batch=64, lr=5e-3)

# %%
predict("05d_images-control")

# %% tags=["nbval-ignore-output"]
right = images.classify(kinds, schedule, seeds)
accuracies = {name: r.mean(axis=1) for name, r in right.items()}
print("                        parameters   mean   each seed")
for name, a in accuracies.items():
    each = "  ".join(f"{value:.3f}" for value in a)
    print(f"{name:24} {sizes[name]:9,}  {a.mean():.3f}   {each}")
print(experiments.provenance(full, seeds))

# %% [markdown]
# ## 3 · How sure?
#
# There are two sources of chance. **Seeds**: other initial values and batches give other networks; three seeds show how
# much, roughly. **Images**: other test images would give other accuracies, and all seeds share the same 497. An
# accuracy $p$ measured on $n$ images has the standard error $\sqrt{p(1-p)/n}$, one point for $p = 0.94$. But two
# networks see the *same* images, and much of that error is common to both. So take the difference image by image, and
# resample the 497 images, with replacement, many times (a *paired bootstrap*; Efron, 1979).
#
# **Predict.** For which models does the 95% interval of the difference to the control not contain zero? (The last
# model is compared with a control of its own, the one with positions.)

# %% tags=["nbval-ignore-output"]
rng = np.random.default_rng(17)


def interval(name: str, control: str = "control") -> tuple[float, float]:
    """95% interval of the mean difference to the control when the test images are resampled."""
    difference = right[name].mean(axis=0) - right[control].mean(axis=0)  # of each image
    drawn = rng.integers(len(difference), size=(4000, len(difference)))
    low, high = np.percentile(difference[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


intervals = {name: interval(name) for name in list(kinds)[:5] if name != "control"}
intervals["four routes, positions"] = interval("four routes, positions", "control, positions")
level = ("linear classifier", linear_level)
assert round(np.sqrt(0.94 * 0.06 / len(pixels[n:])), 2) == 0.01  # one point
title = "Accuracies, and 95% intervals of the difference to the control"
own = {"four routes, positions": "control, positions"}
figures.against_control(accuracies, intervals, level, controls=own, title=title)

# %% tags=["nbval-ignore-output"]
mean = {name: a.mean() for name, a in accuracies.items()}
usual = mean["four routes"] - mean["one mixer"]
by_parameters = mean["control"] - mean["one mixer"]
print(f"four routes against one mixer: {100 * usual:+.1f} points, of which")
print(f"{100 * by_parameters:+.1f} come with four mixers on one route,", end=" ")
print(f"{100 * (usual - by_parameters):+.1f} with the routes")

# %% [markdown]
# ## 4 · What holds
#
# **Learned.** *Clear, for every seed and by the interval:* two routes and four routes beat the control, and the control
# beats one mixer. Neither the control nor one mixer reaches the linear classifier, in any seed. Without the control,
# the routes would have gotten credit for the whole gain; in the stored run 2.3 of its 5.7 points came with the
# parameters.
#
# *Clear on average:* a learned vector for each patch helps the control too, by about as much as four routes do. So part
# of what routes provide is knowing *where* a stroke is, and the network can have that without them.
#
# *Fragile, not to be relied on:* the order of two and four routes; Hilbert, whose interval reaches down to about zero;
# what four routes add to learned positions, an interval that starts near zero; and any of these numbers for another
# network.
#
# *Not shown at all:* anything about photographs. These are small gray images of 16 patches, and nothing in them is
# farther apart than 15 tokens.
#
# The next cell checks these sentences against the results; what needs the full run is asserted only in the full run.

# %%
assert min(a.min() for a in accuracies.values()) > 0.2  # even quickly: twice the chance of 1 in 10
if full:
    control = accuracies["control"]
    assert accuracies["one mixer"].max() < control.min() < control.max() < linear_level
    for name in ("two routes", "four routes"):
        assert accuracies[name].min() > control.max(), name
        assert accuracies[name].min() > linear_level, name
        assert intervals[name][0] > 0, name
    assert intervals["one mixer"][1] < 0
    assert 0.3 < by_parameters / usual < 0.7
    assert 0.5 < (mean["control, positions"] - mean["control"]) / (usual - by_parameters) < 1.5
    for name in ("Hilbert", "four routes, positions"):
        assert -0.02 < intervals[name][0] < 0.01, name

# %% [markdown]
# ## Recap
#
# - A fair comparison changes one thing. More routes usually come with more parameters; a control has only the latter.
# - Seeds and test images are two sources of chance; a paired bootstrap measures the second.
# - A test part in the order of the file is harder than a shuffled one, and a linear classifier is the level to beat.
# - Here routes are worth a few points at equal parameters; these seeds do not tell which routes are best.
# - Settings chosen on the test images make the accuracies optimistic, that of the control too.
#
# **Where next:** [part 05e](05e_choose.ipynb) combines cost and quality into a choice.

# %% tags=["nbval-ignore-output"]
progress("05d_images")
