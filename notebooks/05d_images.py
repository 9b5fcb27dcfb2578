# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05d · Digits: routes, mixers, or no scan at all?
#
# *15 minutes · ★★☆*
#
# After this you can …
# - compare ways to read an image such that only the way of reading differs,
# - split a gain into the part that comes from the routes, from the parameters and from knowing the positions,
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
# ## 1 · The data in three parts, and the level to beat
#
# scikit-learn includes 1,797 handwritten digits of $8 \times 8$ pixels. In the order of the file, the first 1,000 are
# for training, the next 300 for *validation*, that is, for choosing settings, and the last 497 for the test, which is
# read once, at the end. Whoever chooses a learning rate by the test has trained on the test.
#
# **Predict.** Will the first digits of the three parts look as if the same people had written them? The order matters,
# because one often shuffles before the split. The level to beat is that of a linear classifier on the 64 pixels.

# %%
pixels, labels = images.load()
train, test = images.PARTS["training"], images.PARTS["test"]
rows = {
    f"the first for {part}": np.arange(len(labels))[where][:12]
    for part, where in images.PARTS.items()
}
shown = {name: (pixels[chosen], labels[chosen]) for name, chosen in rows.items()}
figures.image_rows(shown, title="Digits of 8 × 8 pixels, the first of each part")

# %%
predict("05d_images-linear")


# %%
def linear(order: np.ndarray) -> float:
    """Accuracy of a linear classifier trained on the first 1,000 images in this order."""
    x, y = pixels[order].reshape(-1, 64) / 16, labels[order]
    return LogisticRegression(max_iter=1000).fit(x[train], y[train]).score(x[test], y[test])


in_order = np.arange(len(labels))
rng = np.random.default_rng(17)
linear_level = linear(in_order)
shuffled = [linear(rng.permutation(in_order)) for _ in range(5)]
print(f"linear classifier: {linear_level:.3f} in the order of the file,", end=" ")
print(f"{min(shuffled):.2f} to {max(shuffled):.2f} shuffled")
assert min(shuffled) > linear_level + 0.02
assert 0.88 < linear_level < 0.93

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Shuffling makes the test easier, probably because the file keeps the digits of one writer together, so
# that a shuffled test contains digits by people whose handwriting was in the training part. We keep the order of the
# file. And 64 weights per class already get about nine of ten digits right: this, not 10%, is the level to beat.
#
# </details>
#
# ## 2 · One thing differs
#
# The network cuts the image into $4 \times 4$ patches of $2 \times 2$ pixels, has one block, and takes the mean over
# the patches. In the block, each *scan* is a short convolution and a mixer with one decay per head, along a route; the
# outputs are put back in place and added up (cross-scan and cross-merge). Everything else is the same: data, steps,
# seeds, and the number of parameters, because the MLP is as wide as the rest allows.
#
# | model | the block reads |
# | --- | --- |
# | one mixer | row by row, once |
# | **control** | row by row, with four mixers |
# | two routes | there and back, each with two mixers |
# | four routes | rows and columns, there and back, with a mixer each |
# | Hilbert | the Hilbert curve, there and back, each with two mixers |
# | no scan | nothing in order: a gated convolution over $3 \times 3$ patches |
# | attention | nothing in order: softmax over all patches, not masked |
#
# The usual comparison is "four routes" against "one mixer", which differ in *two* things: routes and mixers. **The
# control has the mixers without the routes.** "No scan" is a miniature of MambaOut (arXiv 2405.07992): the gated block
# of a visual Mamba with its scan left out. Attention does not know where a patch is unless it is told, so it gets a
# learned vector for each patch, as in Vim (arXiv 2401.09417) and ViT (arXiv 2010.11929); three of the others are
# trained with such positions, too.

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
    "no scan": {"letter": "C"},
}
with_positions = {name: kinds[name] for name in ("control", "four routes", "no scan")}
with_positions["attention"] = {"letter": "A"}
for name, options in with_positions.items():
    kinds[f"{name}, positions"] = {**options, "positions": True}
size = images.count(kinds["control"])
kinds = {name: images.equal_size(options, size) for name, options in kinds.items()}
sizes = {name: images.count(options) for name, options in kinds.items()}
print(f"parameters: {min(sizes.values()):,} to {max(sizes.values()):,}")
assert max(sizes.values()) < 1.03 * min(sizes.values())

# %% [markdown]
# First, each model gets the learning rate, of two, with which it is right more often on the *validation* images after a
# short training, with seeds of its own. Then all models train in turn, step by step, and only then is the test read.
#
# (What is shown below was stored by a full run. As it stands, the next cell trains the *quick* setting, few steps and
# one seed, prints what came of it, and changes nothing else. With `full = True` it trains in full, which takes minutes;
# you may stop it with ■ and run the cell again, and it goes on where it was.)

# %%
predict("05d_images-control")

# %% tags=["nbval-ignore-output"]
schedule = experiments.Schedule(steps=250 if full else 20, lengths=(1, 1), batch=32, lr=5e-3)
saved = experiments.CHECKPOINTS if full else None
trainings = experiments.tuned(
    images.trainings(kinds, schedule),
    rates=(4e-3, 1e-2),
    seeds=(17,),
    steps=60 if full else 5,
    checkpoints=saved,
)
results = experiments.run(trainings, seeds, checkpoints=saved)
measured = {
    "right": {name: results.by_place(name, "right") for name in kinds},
    "rates": {t.name: t.schedule.lr for t in trainings},
}
how = experiments.provenance(full, seeds, schedule.steps)
print(how, *(f"{name:24} {a.mean():.3f}" for name, a in measured["right"].items()), sep="\n")

# %% tags=["nbval-ignore-output"]
study = experiments.stored("05d_images", measured, full, how)
right = study["right"]  # by name, (seeds, test images)
accuracies = {name: r.mean(axis=1) for name, r in right.items()}
print(study.provenance)
print("                         rate    mean   each seed")
for name, a in accuracies.items():
    each = "  ".join(f"{value:.3f}" for value in a)
    print(f"{name:24} {study['rates'][name]:.3f}  {a.mean():.3f}   {each}")

# %% [markdown]
# ## 3 · How sure?
#
# There are two sources of chance. **Seeds**: other initial values and batches give other networks. **Images**: other
# test images would give other accuracies, and all seeds share the same 497. An accuracy $p$ measured on $n$ images has
# the standard error $\sqrt{p(1-p)/n}$, one point for $p = 0.94$. But two networks see the *same* images, and much of
# that error is common to both. So take the difference image by image, and draw both the seeds and the images again,
# with replacement, many times (a *paired bootstrap*; Efron, 1979).
#
# **Predict.** For which models does the 95% interval of the difference from the control not contain zero? (Models with
# positions are compared with a control of their own, the one with positions.)

# %%
own = dict.fromkeys(kinds, "control")  # which control a model is compared with
own |= {name: "control, positions" for name in kinds if name.endswith(", positions")}
intervals, verdicts = {}, {}
for name in kinds:
    if not name.startswith("control"):
        difference = right[name] - right[own[name]]
        low, high = intervals[name] = experiments.interval(difference)
        seeds_agree = len(set(np.sign(difference.mean(axis=1)))) == 1
        verdicts[name] = "not clear"
        if seeds_agree and not low <= 0 <= high:
            verdicts[name] = "better" if low > 0 else "worse"

# %% tags=["nbval-ignore-output"]
level = ("linear classifier", linear_level)
better = [name for name, verdict in verdicts.items() if verdict == "better"]
title = f"Clearly better than their control: {'; '.join(better) or 'none'}"
others = {name: control for name, control in own.items() if control != "control"}
others.pop("control, positions")
figures.against_control(accuracies, intervals, level, controls=others, title=title)

# %% tags=["nbval-ignore-output"]
for name, verdict in verdicts.items():
    low, high = (100 * end for end in intervals[name])
    print(f"{name:24} {low:+5.1f} to {high:+5.1f} points against {own[name]:19} {verdict}")
mean = {name: a.mean() for name, a in accuracies.items()}
usual = mean["four routes"] - mean["one mixer"]
by_mixers = mean["control"] - mean["one mixer"]
print(f"four routes against one mixer: {100 * usual:+.1f} points, of which", end=" ")
print(f"{100 * by_mixers:+.1f} without any new route")
above = [name for name, a in accuracies.items() if a.min() > linear_level]
print("above the linear classifier in every seed:", ", ".join(above) or "none")

# %% [markdown]
# ## 4 · What holds
#
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The last column says what is *clear*: the interval does not contain zero, and all seeds are on the same
# side. *Not clear* does not mean equal: with more seeds, steps or images it may become clear. Nor is *clear* certain:
# three seeds are few to draw from, and of eight intervals of 95% one may well miss. All models are equally large, so
# the number of parameters explains none of it.
#
# *In the stored run* one mixer is clearly worse than the control of the same size, although its MLP is wider. More than
# half of the gain in the usual comparison comes without any new route. (One mixer is also the only model for which the
# short training chose the lower learning rate, which may be part of this.) Two routes, four routes and Hilbert are
# clearly better than the control, but the intervals of two routes and Hilbert end less than a point from zero. With
# positions, which help the control on average, four routes are no longer clearly better. This suggests that part of
# what routes provide is knowing *where* a stroke is. And the model **without any scan** is clearly better than the
# control, as in MambaOut: for 16 patches, a gated convolution over neighbors is enough. Attention is clearly behind the
# control with positions. After so few steps this says how quickly it learns from 1,000 images, and not how well it
# ends.
#
# *Not shown at all:* anything about photographs. These are small gray images of 16 patches, and nothing in them is
# farther apart than 15 tokens. On ImageNet, too, MambaOut is above the visual Mambas of its size; in detection and
# segmentation, whose images have many more patches, it is below the best of them (arXiv 2405.07992, abstract).
#
# </details>

# %%
assert verdicts["one mixer"] == verdicts["attention, positions"] == "worse"
assert verdicts["two routes"] == verdicts["four routes"] == verdicts["Hilbert"] == "better"
assert max(intervals[name][0] for name in ("two routes", "Hilbert")) < 0.01
assert verdicts["four routes, positions"] == "not clear"
assert verdicts["no scan"] == "better"
lower_rate = min(study["rates"].values())
assert [name for name, rate in study["rates"].items() if rate == lower_rate] == ["one mixer"]
assert kinds["one mixer"]["mlp_ratio"] > kinds["control"]["mlp_ratio"]  # a wider MLP
assert usual / 2 < by_mixers < usual
assert mean["control, positions"] > mean["control"]

# %% [markdown]
# ## Recap
#
# - A fair comparison changes one thing. More routes usually come with more mixers; a control has only the latter.
# - Seeds and test images are two sources of chance; a paired bootstrap draws both again.
# - A test part in the order of the file is harder than a shuffled one, and a linear classifier is the level to beat.
# - Choose settings by a validation part, and read the test once.
# - Before you ask which scan is best, ask whether a model without any scan is worse.
#
# **Where next:** [part 05e](05e_choose.ipynb) combines cost and quality into a choice.

# %% tags=["nbval-ignore-output"]
progress("05d_images")
