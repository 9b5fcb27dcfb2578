# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05c · Language: five mixers learn to write Python
#
# *20 minutes · ★★☆*
#
# After this you can …
# - say what a number of bits per byte means, by comparing it with a table of counts and a file compressor,
# - compare mixers of equal size at equal steps and at equal time, and say which conclusions differ,
# - measure bytes per second in training and in decoding, and say why one does not predict the other.
#
# Letters as in the [notation table](03a_semiseparable.ipynb#notation): $N$ tokens, which are bytes here; $d$ features.

# %%
import lzma

import numpy as np

from lecture17 import experiments, figures
from lecture17.course import predict, progress
from lecture17.experiments import data, language
from lecture17.widgets.prompt import PromptBox

# %% [markdown]
# ## 1 · A text that you have, and what a bit per byte is
#
# The text is the standard library of your Python, its source files one after another. Every tenth *file* is held out
# for the test, so that the two parts share no file. The alphabet is the 256 bytes: no tokenizer, nothing to install.
#
# **A model that gives the right next byte the probability $p$ pays $-\log_2 p$ bits for it.** The mean over a text is
# its *bits per byte*. The name is meant literally: with an arithmetic coder behind it, the model would compress the
# text to that many bits. So it can be compared with anything that predicts or compresses bytes:
#
# - all bytes equally likely: exactly 8 bits;
# - how often each byte occurs, alone or after the one or two bytes before it, counted in the training part;
# - a file compressor (LZMA), which learns nothing from the training part but looks back over all it has seen.

# %%
predict("05c_language-compressor")

# %% tags=["nbval-ignore-output"]
text = data.standard_library()
held_out = text.test.data.tobytes()
levels = {"all bytes alike": 8.0}
for order in (0, 1, 2):
    levels[f"counts, order {order}"] = language.counted_bits(text, order)
levels["LZMA"] = 8 * len(lzma.compress(held_out, preset=9)) / len(held_out)

print(f"{len(text.train.data) / 1e6:.1f} MB to learn from, {len(held_out) / 1e6:.1f} MB held out")
print("bits per byte of the held-out part:")
for name, level in levels.items():
    print(f"  {name:17} {level:.2f}")

# %%
assert list(levels.values()) == sorted(levels.values(), reverse=True)
assert levels["counts, order 2"] - levels["LZMA"] > 0.5
frequencies = 8 - levels["counts, order 0"]  # bits saved by knowing how often each byte occurs …
context = levels["counts, order 0"] - levels["counts, order 2"]  # … and by two bytes of context
assert frequencies > context > 1.5

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Knowing how often each byte occurs saves more than 3 of the 8 bits, and two bytes of context save about 2
# more. A compressor gets far lower without any training, because source code repeats names and phrases from far back.
# Any report of bits per byte should say how low such simple predictors get.
#
# </details>
#
# ## 2 · Five models of one size
#
# Each model has two blocks: a mixer, then an MLP. In all of them queries, keys and values are
# $\mathrm{SiLU}(\mathrm{conv}(W x))$ with a convolution over four bytes, and each head normalizes what it reads. So the
# models differ only in how keys and values are kept:
#
# | mixer | kept | gates computed from the byte |
# | --- | --- | --- |
# | attention | all $k_j, v_j$; softmax, queries and keys rotated by position | none |
# | SSD | $S_t = a_t S_{t-1} + k_t (\Delta_t v_t)^\top$ | $\Delta_t$, $a_t$: one number per head, as in Mamba-2 |
# | GLA | $S_t = \mathrm{diag}(\alpha_t)\, S_{t-1} + k_t v_t^\top$ | $\alpha_t$: one per key dimension |
# | RWKV-7 | $S_t = A_t S_{t-1} + (a_t \circ k_t) v_t^\top$ | $w_t$, $a_t$: one per key dimension |
# | hybrid | the first block is SSD, the second attention | those of SSD |
#
# (RWKV-7 has $A_t = \mathrm{diag}(w_t) - (a_t \circ \hat\kappa_t)\, \hat\kappa_t^\top$ with
# $\hat\kappa_t = k_t / |k_t|$.)
#
# These are the *recurrences* of the published models in one and the same block, not the published models, which differ
# in many other ways (part [03c](03c_family.ipynb)). Gates cost parameters, so the width of the MLPs is chosen for each
# model such that all have the same size.

# %%
sizes = {kind: language.count(language.network(kind)) for kind in language.KINDS}
for kind, size in sizes.items():
    mlp = language.network(kind).layers[0].mlp[1].out_features
    print(f"{kind:9}: {size:,} parameters, MLPs of {mlp}")
assert max(sizes.values()) < 1.005 * min(sizes.values())

# %% [markdown]
# ## 3 · Trained: by steps, and by seconds
#
# Each step shows a model 8 windows of 128 bytes from random places in the training part. After a short warm-up the
# learning rate falls like $1 / \sqrt{\text{step}}$, which does not depend on when the training ends. So one training
# can be read twice: after the same number of *steps* for all models, and after the same *time*. Time is that of one
# processor core, without the tests. A test is 200 windows of 128 bytes, spread over the held-out part.
#
# **Predict.** Which of the five is lowest after the same number of steps? Which after the same time? Will any of them
# get below the counts of order 2, or below LZMA?
#
# (The stored results come from a full run. As it stands, the next cell trains the *quick* setting, 20 steps and one
# seed, which is what the tests do; `full = True` takes a few minutes on two cores. Five hundred steps, less than half a
# minute on one core, are very few: **all five are undertrained**. They share one learning rate. It was chosen, together
# with the width and the window, in about thirty short trials on this same held-out text, the last of them with SSD
# only, which may favor SSD and the hybrid.)

# %% tags=["nbval-ignore-output"]
full = experiments.FULL  # True to train as long as the stored results did
seeds = (0, 1) if full else (0,)
schedule = experiments.Schedule(
    500 if full else 20, (128, 128), batch=8, lr=8e-3, warmup=30, grow=0, anytime=True
)
curves = language.compare(text, schedule, seeds, windows=200 if full else 20)
print(experiments.provenance(full, seeds))

# %% tags=["nbval-ignore-output"]
runs = {
    kind: [(c.steps, c.seconds, c.bits.mean(axis=1)) for c in some] for kind, some in curves.items()
}
shown = {name: level for name, level in levels.items() if name != "all bytes alike"}
title = "Bits per byte in the test, by steps and by seconds"
figures.learning_curves(runs, shown, title=title)

# %% tags=["nbval-ignore-output"]
moment = min(c.seconds[-1] for some in curves.values() for c in some)
by_steps = {k: [c.bits_at(steps=schedule.steps) for c in some] for k, some in curves.items()}
by_time = {k: [c.bits_at(seconds=moment) for c in some] for k, some in curves.items()}
print(
    f"{'bits per byte':10} {schedule.steps:>8} steps      {moment:>6.0f} seconds   seconds a step"
)
for kind, some in curves.items():
    row = ["  ".join(f"{b:.2f}" for b in bits[kind]) for bits in (by_steps, by_time)]
    each = np.mean([c.seconds[-1] / c.steps[-1] for c in some])
    print(f"{kind:10} {row[0]:>17} {row[1]:>19} {each:13.3f}")

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# *Clear, for every seed:* by steps, RWKV-7 and the hybrid are ahead of attention and GLA. A step of RWKV-7
# takes longest, so by time it falls back. "Which one learns best" has two answers. All are far from LZMA.
#
# *Fragile:* the order by time. The stored seconds are those of trainings that ran one after another while the machine's
# speed drifted: a step of the hybrid took less time than a step of either of its parts, which is no property of the
# hybrid. The cell above now lets the five take turns, step by step, so your own full run compares them more fairly. In
# one run RWKV-7, attention and GLA were within 0.1 of each other by time; in another, RWKV-7 was last with both seeds.
#
# *Also fragile:* the order of SSD, the hybrid and RWKV-7 by steps, and the order of attention and GLA; the seeds differ
# by as much. And whether any of them is below the counts of order 2: with 200 windows, the mean of a model has a
# standard error of about 0.05, and the first bytes of a window have little context, while the counts saw the whole
# text.
#
# *Not shown at all:* what larger models do after days of training with tuned learning rates. The seconds are those of
# this machine and this code: with a fused kernel for RWKV-7, the second answer would change and the first would not.
#
# The next cell checks these sentences against the results; what needs the full run is asserted only in the full run.
#
# </details>

# %%
every = [bits for some in by_steps.values() for bits in some]
assert max(every) < levels["all bytes alike"] - 2
assert min(every) > levels["LZMA"] + 0.5
if full:
    ahead, behind = by_steps["RWKV-7"] + by_steps["hybrid"], by_steps["attention"] + by_steps["GLA"]
    assert max(ahead) < min(behind)
    a_step = {k: np.mean([c.seconds[-1] for c in some]) for k, some in curves.items()}
    assert max(a_step, key=a_step.get) == "RWKV-7"
    assert max(every) < levels["counts, order 1"]
    windows = np.concatenate([c.bits[-1:] for some in curves.values() for c in some])
    errors = windows.std(axis=1) / windows.shape[1] ** 0.5
    assert np.allclose(errors, 0.05, atol=0.01)

# %% [markdown]
# ## 4 · Bytes per second
#
# Training processes a whole window at once. In decoding, each byte is one step, which has to wait for the byte before.
#
# Each model writes after 128 bytes of context, and after 16,384.

# %%
predict("05c_language-decoding")

# %% tags=["nbval-ignore-output"]
contexts = (128, 16384) if full else (128, 512)
window = schedule.batch * schedule.lengths[1]
decoding = {}
heads = ["training", *(f"after {n:,}" for n in contexts)]
print(f"{'bytes a second':15} {heads[0]:>9} {heads[1]:>16} {heads[2]:>16}")
for kind, some in curves.items():
    model = some[0].model()
    n_bytes = 200 if full else 20
    decoding[kind] = [language.decoding_rate(model, text.test, n, n_bytes) for n in contexts]
    training = window * np.mean([c.steps[-1] / c.seconds[-1] for c in some])
    short, long = decoding[kind]
    print(f"{kind:15} {training:9,.0f} {short:16,.0f} {long:16,.0f}")

# %%
if full:
    slower = {kind: short / long for kind, (short, long) in decoding.items()}
    assert slower["attention"] > 1.3
    assert np.median([slower[kind] for kind in ("SSD", "GLA", "RWKV-7")]) < 1.3

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The same model processes many more bytes per second in training than in writing, because training works
# with matrix products and writing with single steps. At this size most of a step goes into calling functions, so a
# mixer with more calls writes more slowly. With a state, a model writes as fast after a long context as after a short
# one; attention slows down, and keeps slowing down as the context grows (part [05a](05a_cost.ipynb)).
#
# </details>
#
# ## 5 · Let them write
#
# Type a prompt, choose a model and a temperature, and press *Write*. Temperature 0 always takes the most likely byte;
# temperature 1 draws bytes with the probabilities that the model predicts.

# %% tags=["nbval-ignore-output"]
models = {kind: some[0].model() for kind, some in curves.items()}


def write(kind: str, prompt: str, temperature: float):
    return language.write(models[kind], prompt, 400, temperature)


PromptBox(write, ["hybrid", "SSD", "RWKV-7", "GLA", "attention"], prompt="def ")

# %% [markdown]
# ## 6 · More text, more machines
#
# With a network connection and a GPU, take more text. WikiText-103 is also read as bytes, and everything above works
# with it:
#
# ```python
# text = data.wikitext103()              # fetched; needs `pip install datasets`
# text = data.wikitext103(Path("wiki"))  # or a folder with wiki.train.raw and wiki.test.raw
# ```
#
# (Papers report it as *perplexity per word*. To convert: $\log_2$ of the perplexity, times the number of words, divided
# by the number of bytes, is bits per byte. The lecture's own numbers for it have no source:
# [correction 21](05b_long_range.ipynb#correction-21).)
#
# With more machines, split each batch among them. The script of [part 04d](04d_many_machines.ipynb) trains the same
# five networks, and takes the same steps on any number of processes, up to rounding:
#
# ```
# python -m lecture17.experiments.data_parallel --kind hybrid --steps 500 --length 128
# torchrun --standalone --nproc-per-node 2 -m lecture17.experiments.data_parallel --kind hybrid --steps 500 --length 128
# ```
#
# On several machines, replace `--standalone` with `--nnodes 2 --rdzv-backend c10d --rdzv-endpoint HOST:29500` and run
# the same line on each. (That was not tried here, nor was a GPU.)
#
# ## Recap
#
# - Bits per byte is what a coder would pay; counts and compressors say what a number is worth.
# - With equal size and equal blocks, a difference comes from the mixer, from chance or from the machine.
# - Equal steps and equal time are two questions, and they may rank the mixers differently.
# - With a state, the speed of writing does not depend on the context; attention slows down as its cache grows.
#
# **Where next:** the [exercise](../exercises/05c_language.ipynb) (4 points); [05d](05d_images.ipynb) compares routes on
# images, and [05e](05e_choose.ipynb) turns the measurements into a choice.

# %% tags=["nbval-ignore-output"]
progress("05c_language")
