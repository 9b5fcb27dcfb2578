# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05c · Language: eight models learn to write Python
#
# *25 minutes · ★★☆*
#
# After this you can …
# - say what a number of bits per byte means, by comparing it with a table of counts and a file compressor,
# - compare models of equal size at equal steps and at equal time, and say which question each comparison answers,
# - measure recall apart from the rest of a text, and say what a short training can show about it.
#
# Letters as in the [notation table](03a_semiseparable.ipynb#notation): $N$ tokens, which are bytes here; $d$ features.

# %%
import lzma

import numpy as np

from lecture17 import checkpoints, experiments, figures
from lecture17.course import predict, progress
from lecture17.experiments import data, language
from lecture17.widgets.prompt import PromptBox

# %% [markdown]
# ## 1 · A text that you have, and what a bit per byte is
#
# The text is the standard library of your Python, its source files one after another. Of every ten *files*, eight are
# for training, one is for *validation*, by which settings are chosen, and one for the test, which is read once, at the
# end. The alphabet is the 256 bytes: no tokenizer, nothing to install.
#
# **A model that gives the right next byte the probability $p$ pays $-\log_2 p$ bits for it.** The mean over a text is
# its *bits per byte*. The name is meant literally: with an arithmetic coder behind it, the model would compress the
# text to that many bits. So it can be compared with anything that predicts or compresses bytes:
#
# - all bytes equally likely: exactly 8 bits;
# - how often each byte occurs, alone or after the one or two bytes before it, counted in the training part;
# - a file compressor (LZMA), which learns nothing from the training part but looks back over all it has seen, or
#   over the last 4 KB alone.

# %%
predict("05c_language-compressor")

# %% tags=["nbval-ignore-output"]
text = data.standard_library()
held_out = text.test.data.tobytes()
levels = {"all bytes alike": 8.0}
for order in (0, 1, 2):
    levels[f"counts, order {order}"] = language.counted_bits(text, order)
for name, reach in (("LZMA, 4 KB back", 2**12), ("LZMA", 2**26)):
    options = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": reach}]
    levels[name] = 8 * len(lzma.compress(held_out, filters=options)) / len(held_out)

print(f"{len(text.train.data) / 1e6:.1f} MB to learn from, {len(held_out) / 1e6:.1f} MB held out")
print("bits per byte of the held-out part:")
for name, level in levels.items():
    print(f"  {name:17} {level:.2f}")

# %%
assert list(levels.values()) == sorted(levels.values(), reverse=True)
assert levels["counts, order 2"] - levels["LZMA"] > 0.5
assert 0.3 < levels["LZMA, 4 KB back"] - levels["LZMA"] < 0.7
frequencies = 8 - levels["counts, order 0"]  # bits saved by knowing how often each byte occurs …
context = levels["counts, order 0"] - levels["counts, order 2"]  # … and by two bytes of context
assert frequencies > 3
assert 1.5 < context < 2.5

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Knowing how often each byte occurs saves more than 3 of the 8 bits, and two bytes of context save about 2
# more. LZMA gets far lower without any training, because source code repeats itself: names, phrases, whole tables.
# If it may look back over 4 KB only, it needs about half a bit more: some of what it repeats comes from farther back.
# Any report of bits per byte should say how low such simple predictors get.
#
# </details>
#
# ## 2 · Eight models of one size and depth
#
# Each model has four blocks, a mixer and then an MLP, and each mixer has two heads. In all of them queries, keys and
# values are $\mathrm{SiLU}(\mathrm{conv}(W x))$ with a convolution over four bytes, and each head normalizes what it
# reads. The models differ in how keys and values are kept, and in what pays for it:
#
# | model | what its heads keep |
# | --- | --- |
# | attention | all $k_j, v_j$; softmax, with queries and keys rotated by position (RoPE) |
# | **SSD**, the baseline | $S_t = a_t S_{t-1} + k_t (\Delta_t v_t)^\top$; $\Delta_t$ and $a_t$ as in Mamba-2 |
# | gated delta | $S_t = a_t (I - \beta_t k_t k_t^\top)\, S_{t-1} + \beta_t k_t v_t^\top$ with $\lvert k_t \rvert = 1$ |
# | KDA | the same with $\mathrm{diag}(\alpha_t)\, S_{t-1}$, a gate for each key dimension, in place of $a_t S_{t-1}$ |
# | RWKV-7 | $S_t = A_t S_{t-1} + (a_t \circ k_t) v_t^\top$ with $A_t$ as in part [03c](03c_memory.ipynb) |
# | hybrid 3:1 | three blocks SSD, the last attention: two of eight heads |
# | hybrid 7:1 | SSD, and one head of the last block attention: one of eight heads |
# | windowed 3:1 | hybrid 3:1 whose attention sees only the last 32 bytes |
#
# All three hybrids are built on SSD: their networks differ from the baseline in one or two of the eight heads. 3:1 is
# the layout of Qwen3-Next, with SSD in place of the gated delta rule. Published 7:1 hybrids have attention in one
# *layer* of eight, as Jamba (arXiv 2403.19887); four layers are too few for that, so here it is one *head* of eight,
# beside a head of SSD, as Hymba has both kinds of heads in one layer (arXiv 2411.13676).
#
# These are the *recurrences* of the published models in one and the same block, not the published models, which differ
# in many other ways (parts [03c](03c_family.ipynb) and [03e](03e_family_since.ipynb)). Gates cost parameters, so the
# width of the MLPs is chosen for each model such that all have the same size: those of KDA and RWKV-7 are more than a
# third narrower. (A letter stands for each block: A for attention, S for SSD, D, K and R for the next three, H for a
# head of each, W for a window.)

# %%
sizes = {kind: language.count(language.network(kind)) for kind in language.KINDS}
for kind, size in sizes.items():
    mlp = language.network(kind).layers[0].mlp[1].out_features
    print(f"{kind:12} {language.KINDS[kind]}: {size:,} parameters, MLPs of {mlp}")
assert max(sizes.values()) < 1.03 * min(sizes.values())

# %% [markdown]
# ## 3 · Trained in turn
#
# Each step shows a model 2 windows of 256 bytes from random places in the training part. After a short warm-up the
# learning rate falls like $1 / \sqrt{\text{step}}$, which does not depend on when the training ends. So one training
# can be read twice: after the same number of *steps* for all models, and after the same *time*, which is that of one
# processor core. **The models take turns, step by step.** When the machine is slow for a while, it is slow for all of
# them, so that their seconds can be compared.
#
# Each model first gets the learning rate, of four, that is best on the validation part after 200 steps with two
# other seeds. On their way the trainings are tested on the validation part, too, of which 40 windows are read, and only
# then is the test, of which 300 are.
#
# (What is shown below was stored by a full run. As it stands, the next cell trains the *quick* setting, a few steps and
# one seed, prints what came of it, and changes nothing else. With `full = True` it trains in full, which takes half an
# hour or so; you may stop it with ■ and run the cell again, and it goes on where it was.)

# %% tags=["nbval-ignore-output"]
full = experiments.FULL  # True to train as long as the stored results did
seeds = (0, 1, 2) if full else (0,)
saved = experiments.CHECKPOINTS if full else None
T = 256 if full else 64
schedule = experiments.Schedule(
    1500 if full else 8, (T, T), batch=2, lr=8e-3, warmup=20, grow=0, anytime=True
)
windows = {} if full else {"validation": 4, "test": 8}
trainings = experiments.tuned(
    language.trainings(text, schedule, **windows),
    rates=(4e-3, 8e-3, 1.6e-2, 3.2e-2),
    seeds=(17, 18) if full else (17,),
    steps=200 if full else 2,
    cost=lambda reading: reading["bits"].mean(),
    checkpoints=saved,
)
results = experiments.run(trainings, seeds, processes=3, checkpoints=saved)

# %% [markdown]
# The next cell gathers what was measured: the bits of each window of the test, apart for three groups of bytes (section
# 4), what was read on the way, and how many bytes per second each model writes (section 5).

# %% tags=["nbval-ignore-output"]
models = {kind: language.trained(kind, some[0]) for kind, some in results.outcomes.items()}
contexts, n_bytes = ((128, 16384), 200) if full else ((64, 128), 5)
curves = {}
for kind in models:
    steps, seconds, on_the_way = results.on_the_way(kind, "bits")
    curves[kind] = {"steps": steps, "seconds": seconds, "bits": on_the_way}
measured = {
    "bits": {kind: results.by_place(kind, "bits") for kind in models},
    "by group": {
        group: {kind: results.by_place(kind, group) for kind in models}
        for group in language.GROUPS
    },
    "equal time": language.at_equal_time(results),
    "curves": curves,
    "rates": {t.name: t.schedule.lr for t in trainings},
    "decoding": {n: language.decoding_rates(models, text.test, n, n_bytes) for n in contexts},
}
spent = sum(o.seconds.sum() for some in results.outcomes.values() for o in some)
how = experiments.provenance(full, seeds, schedule.steps) + f"; {spent:,.0f} s of training"
print(how)

# %%
predict("05c_language-lowest")

# %% tags=["nbval-ignore-output"]
study = experiments.stored("05c_language", measured, full, how)
bits = study["bits"]  # by model, (seeds, windows of the test)
mean = {kind: b.mean() for kind, b in bits.items()}
trained = study["curves"]
a_step = {kind: c["seconds"][:, -1].mean() / c["steps"][-1] for kind, c in trained.items()}
print(study.provenance)
print("bits per byte    rate   mean   each seed          seconds a step")
for kind, b in bits.items():
    each = "  ".join(f"{value:.2f}" for value in b.mean(axis=1))
    print(f"{kind:14} {study['rates'][kind]:6.3f}  {mean[kind]:5.2f}   {each}", end="  ")
    print(f"{a_step[kind]:12.3f}")
here = ", ".join(f"{kind} {some.mean():.2f}" for kind, some in measured["bits"].items())
print(f"{how.splitlines()[0]}: {here}")

# %%
def against_ssd(some: dict[str, np.ndarray]) -> dict[str, tuple[float, float, float]]:
    """Mean difference from SSD, same seed and same window, and both ends of its 95% interval."""
    differences = {kind: b - some["SSD"] for kind, b in some.items() if kind != "SSD"}
    return {kind: (d.mean(), *experiments.interval(d)) for kind, d in differences.items()}


def below(found: dict[str, tuple[float, float, float]]) -> str:
    """The models whose whole interval is below zero."""
    return ", ".join(kind for kind, (_, _, high) in found.items() if high < 0) or "none"


recurrent = ("gated delta", "KDA", "RWKV-7")
families = {"attention": "softmax"} | dict.fromkeys(("SSD", *recurrent), "state")
families |= {kind: "hybrid" for kind in bits if kind not in families}
equal = {"steps": against_ssd(bits), "time": against_ssd(study["equal time"])}

# %% tags=["nbval-ignore-output"]
runs = {k: (c["steps"], c["seconds"], c["bits"]) for k, c in trained.items()}
last = {k: b[:, -1].mean() for k, (_, _, b) in runs.items()}
title = f"Lowest mean after equal steps: {min(last, key=last.get)}; "
quickly = {k: b.mean() for k, b in study["equal time"].items()}
title += f"after equal time: {min(quickly, key=quickly.get)} (validation, mean of the seeds)"
figures.learning_curves(runs, families, "SSD", title=title)

# %% [markdown]
# **How sure?** Windows of text differ far more from one another than the models do. So the next picture compares each
# model with SSD *window by window and seed by seed*, and its intervals come from drawing both the seeds and the windows
# again, with replacement (the paired bootstrap of [part 05d](05d_images.ipynb)). After equal steps the test is read.
# Equal time is up when the quickest has done its last step; there the validation part is read, since the test is read
# once.
#
# **Predict.** Which intervals lie wholly below zero?

# %% tags=["nbval-ignore-output"]
panels = {"after equal steps (test)": equal["steps"]}
panels["after equal time (validation)"] = equal["time"]
title = f"Clearly below SSD after equal steps: {below(equal['steps'])};\n"
title += f"after equal time: {below(equal['time'])}"
figures.differences(panels, families, "SSD", "bits per byte", title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The title names what is *clear*: models whose whole interval is below zero. After equal steps that is the gated delta
# rule, and attention is clearly above, for every seed. No hybrid can be told from SSD, nor can KDA and RWKV-7. What is
# not clear need not be equal; with more seeds or longer training it may become so.
#
# Treat *clear* with care. There are three seeds and fourteen intervals, and one baseline is in all of them, whose own
# seeds differ by more than any model differs from it in the left panel: such intervals are too narrow. And a
# difference may have another cause than the mixer. Attention alone was trained at twice the rate of the others, the
# better one after 200 steps. Part of its distance may come from that.
#
# The two panels are two questions. A step of the gated delta rule, KDA and RWKV-7 takes longer than a step of SSD, so
# after equal time each of them has done fewer steps, and all three come out *above* SSD, for every seed; the gated
# delta rule and RWKV-7 only just. The seconds are those of one machine and of this code: with a fused kernel the right
# panel would change, and the left one would not.
#
# *Not shown at all:* what larger models do after days of training. **All eight are undertrained**: each has read 0.8
# MB, less than a tenth of the training part, and all were still improving when they stopped. (Counts have seen all of
# it, and LZMA looks back farther than a window.) After so few steps a difference says how quickly a model learns, and
# not how well it ends.
#
# </details>

# %%
assert all(a_step[kind] > a_step["SSD"] for kind in recurrent)
for kind in recurrent:
    assert equal["time"][kind][1] > 0, kind  # the lower end of its interval
    assert (study["equal time"][kind] - study["equal time"]["SSD"]).mean(axis=1).min() > 0, kind
assert below(equal["steps"]) == "gated delta"
assert (bits["gated delta"] - bits["SSD"]).mean(axis=1).max() < 0
assert equal["steps"]["attention"][1] > 0
assert (bits["attention"] - bits["SSD"]).mean(axis=1).min() > 0
for kind in ("hybrid 3:1", "hybrid 7:1", "windowed 3:1", "KDA", "RWKV-7"):
    assert equal["steps"][kind][1] < 0 < equal["steps"][kind][2], kind
four = ("attention", "SSD", "gated delta", "hybrid 3:1")  # of the prediction
assert min(four, key=mean.get) == "gated delta"
assert quickly["gated delta"] > max(quickly["SSD"], quickly["hybrid 3:1"])

# %%
assert bits["SSD"].mean(axis=0).std() > 3 * np.std(list(mean.values()))  # windows, models
assert np.ptp(bits["SSD"].mean(axis=1)) > max(abs(d[0]) for d in equal["steps"].values())
assert all(c["bits"].mean(axis=0)[-1] < c["bits"].mean(axis=0)[-2] for c in trained.values())
assert trained["SSD"]["steps"][-1] * 2 * 256 < 0.15 * len(text.train.data)
others = [rate for kind, rate in study["rates"].items() if kind != "attention"]
assert study["rates"]["attention"] == 2 * max(others)

# %% [markdown]
# ## 4 · Names that come again
#
# Which bytes is attention said to help with? A study of 17 models found that 82% of the gap between attention and gated
# convolutions, which do without it, is explained by how well they recall what was said before in the same text
# (Zoology, arXiv 2312.04927, abstract). Source code is full of such places: a name is defined, and used again. So count
# these bytes separately (a *name* is any word of six or more letters, digits and underscores that is no keyword, in
# comments, too):
#
# - **names again**: names that occur earlier in the window, the last time more than 32 bytes before, beyond the
#   convolutions and, but for a few bytes, a window of 32;
# - **new names**: names that do not occur earlier in the window;
# - **all else**, with names that occurred closer, and the first two bytes of each name: they say which name it is, and
#   what follows can be copied.
#
# Fewer than one byte in ten is of the first kind, so the mean over all bytes says little about it. And a model that is
# better at names in general is better at both kinds. So the third panel subtracts the second difference from the first:
# what is left is a rough measure of *recall*. (It would be exact if being better at names in general saved the same
# number of bits in both groups.)

# %%
predict("05c_language-recall")

# %% tags=["nbval-ignore-output"]
groups = study["by group"]  # by group and model, (seeds, windows)
print("bits per byte   " + "".join(f"{group:>12}" for group in groups))
for kind in bits:
    print(f"{kind:16}" + "".join(f"{some[kind].mean():12.2f}" for some in groups.values()))
again, new = groups["name again"], groups["new name"]
panels = {"name again": against_ssd(again), "new name": against_ssd(new)}
recall = panels["the first minus the second"] = against_ssd({k: again[k] - new[k] for k in bits})
title = f"Clearly ahead of SSD in recall, apart from names in general: {below(recall)}"
figures.differences(panels, families, "SSD", "bits per byte", title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# None: all seven intervals contain zero, so after 1,500 steps nothing shows that any of these models looks names up
# better than SSD. The gated delta rule is below SSD in the first two panels and attention above, by about as much for
# new names, which cannot be looked up, as for those that come again. (One of seven intervals of 95% may miss zero by
# chance; here none does.) That recall *can* be learned by attention, and by states as far as they have room, is what
# [05b](05b_long_range.ipynb) shows.
#
# In larger models, too, the mean says little about recall: among 72 models of up to 1.3 billion parameters the quality
# of language modeling hardly depended on the share of attention, while recall improved with more layers of it (arXiv
# 2507.06457, abstract). So if your texts refer back, as programs and documents do, measure those places apart, and
# after long training: a small, short experiment such as this one shows no gain from hybrids.
#
# </details>

# %%
kinds_of_bytes = language.name_bytes(text.test.spread(300, 256))  # in the windows of the full run
assert (kinds_of_bytes == language.GROUPS.index("name again")).mean() < 0.1  # few bytes tell it
assert all(low < 0 < high for _, low, high in recall.values())
for panel in panels.values():
    assert max(panel["gated delta"][2], -panel["attention"][1]) < 0 or panel is recall

# %% [markdown]
# ## 5 · Bytes per second
#
# Training processes a whole window at once. In decoding, each byte is one step, which has to wait for the byte before.
# Each model wrote after 128 bytes of context, and after 16,384, on one core; they took turns, byte by byte.

# %%
predict("05c_language-decoding")

# %% tags=["nbval-ignore-output"]
short, long = study["decoding"].values()
slower = {kind: short[kind] / long[kind] for kind in short}
training = {kind: 2 * 256 / seconds for kind, seconds in a_step.items()}
print("bytes a second     training   after 128   after 16,384    128 : 16,384")
for kind in training:
    print(f"{kind:16} {training[kind]:10,.0f} {short[kind]:11,.0f}", end=" ")
    print(f"{long[kind]:14,.0f} {slower[kind]:15.2f}")

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The same model processes dozens of times as many bytes per second in training as in writing, although a step of
# training goes backwards, too: it does the work of 512 bytes at once, and a step of writing that of one. Of the eight,
# attention writes fastest after the short context and slowest after the long one, since each step reads the whole cache
# (part [05a](05a_cost.ipynb)). With a state or a window a step does the same work after any context. (Here those were
# slower after the long one, too, by up to a quarter. Their work is the same, so the cause is in the machine: its speed
# may have changed between the columns, or the cache that attention reads in its turn pushed the others' numbers out of
# the processor's. That was not tested; compare within a column.)
#
# </details>

# %%
assert min(training[kind] / short[kind] for kind in training) > 24
assert slower["attention"] == max(slower.values()) > 1.3
assert max(short, key=short.get) == min(long, key=long.get) == "attention"
assert max(slower[kind] for kind in ("SSD", *recurrent, "windowed 3:1")) < 1.25

# %% [markdown]
# ## 6 · Let them write
#
# Type a prompt, choose a model and a temperature, and press *Write*. Temperature 0 always takes the most likely byte;
# temperature 1 draws bytes with the probabilities that the model predicts. The eight models are those of your own run
# of this notebook, which after a quick run write noise. The first one, a Mamba-2 of three layers, comes with the course
# ([part 04e](04e_published.ipynb) looks into it) and was trained on more bytes, of another Python's library.

# %% tags=["nbval-ignore-output"]
models = {"Mamba-2 of 04e": checkpoints.load(checkpoints.SMALL)} | models


def write(kind: str, prompt: str, temperature: float):
    return language.write(models[kind], prompt, 400, temperature)


PromptBox(write, list(models), prompt="def ")

# %% [markdown]
# ## 7 · More text, more machines
#
# With a network connection, take more text. WikiText-103 is also read as bytes, and the code above trains on it; the
# assertions and the stored numbers are those of Python's library:
#
# ```python
# from pathlib import Path
#
# text = data.wikitext103()              # fetched; needs `pip install datasets`
# text = data.wikitext103(Path("wiki"))  # or a folder with wiki.train.raw, wiki.valid.raw and wiki.test.raw
# ```
#
# (Papers report it as *perplexity per word*. To convert: $\log_2$ of the perplexity, times the number of words, divided
# by the number of bytes, is bits per byte. The lecture's own numbers for it have no source:
# [correction 21](05b_long_range.ipynb#correction-21).)
#
# With more machines, split each batch among them. The script of [part 04d](04d_many_machines.ipynb) trains the same
# eight networks, and takes the same steps on any number of processes, up to rounding:
#
# ```
# python -m lecture17.experiments.data_parallel --kind KDA --steps 500 --length 128
# torchrun --standalone --nproc-per-node 2 -m lecture17.experiments.data_parallel --kind KDA --steps 500 --length 128
# ```
#
# On several machines, replace `--standalone` with `--nnodes 2 --rdzv-backend c10d --rdzv-endpoint HOST:29500` and run
# the same line on each. (That was not tried here, nor was a GPU.)
#
# ## Recap
#
# - Bits per byte is what a coder would pay; counts and compressors say what a number is worth.
# - With equal size and equal blocks, a difference comes from the mixer, the MLPs that pay for its gates, the learning
#   rate, chance or the machine.
# - Equal steps and equal time are two questions, and here they rank the mixers differently.
# - What a short training of small models does not show, such as the recall of hybrids, may appear at scale.
# - With a state, the work per written byte does not depend on the context; attention's grows with its cache.
#
# **Where next:** the [exercise](../exercises/05c_language.ipynb) (4 points); [05d](05d_images.ipynb) compares routes on
# images, and [05e](05e_choose.ipynb) turns the measurements into a choice.

# %% tags=["nbval-ignore-output"]
progress("05c_language")
