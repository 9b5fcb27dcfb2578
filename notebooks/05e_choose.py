# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05e · Choose: which layout for which task
#
# *20 minutes · ★☆☆*
#
# After this you can …
# - size a whole model: its weights, its caches and states, and how long a token takes,
# - look up what shows that a layout of layers recalls or tracks what a task needs,
# - give a short list with reasons, and say what the reasons leave out.
#
# **How it works.** Nobody serves a mixer; one serves a model. So this part counts whole models, projections and MLPs
# included, and asks three questions in turn: does it fit, how long does it take, and what shows that it can do the
# task? A chooser then puts the three together. Costs are formulas, in `lecture17/sizing.py`; evidence is a table, in
# `lecture17/choosing.toml`, where every row names a paper or a part of this course. Letters are those of the
# [notation table](03a_semiseparable.ipynb#notation).

# %%
from dataclasses import replace

import numpy as np
import torch.utils.benchmark

from lecture17 import choosing, sizing, widgets
from lecture17.course import predict, progress
from lecture17.reference import delta_rule, ssd

# %% [markdown]
# ## 1 · Does it fit?
#
# A server holds the weights once, and for every sequence the caches of its softmax layers and the states of the others.
# With $P$ parameters, $b$ sequences of $N$ tokens, and $h_{kv}$ heads of keys and values of $d_h$ numbers each, 16 bits
# a number for weights and caches and 32 for states (kB and GB are powers of ten, as in [05a](05a_cost.ipynb)):
#
# $$\begin{aligned}
#   \text{bytes} = 2P + b\,\bigl(& 2 \cdot 2 h_{kv} d_h\, N \cdot \text{softmax layers} \\
#   & + 4 \cdot 256\, d \cdot \text{state layers}\bigr)
# \end{aligned}$$
#
# The state of a Mamba-2 layer has $2d \cdot 128 = 256\, d$ numbers, and so has that of a gated delta rule with heads of
# 128. An 8B model has 32 layers, $d = 4096$, and 8 heads of keys and values of 128 (Llama 3.1, arXiv 2407.21783).
#
# **Predict** first, by a rough count.

# %%
predict("05e_choose-long-documents")

# %%
shape = sizing.SHAPES["8B"]


def model(layout: str, cache: str = "groups of heads") -> sizing.Network:
    return sizing.network(shape, choosing.layers_of(layout, shape.layers), cache)


full = model("softmax")
weights, cache = 2 * full.parameters, sizing.sequence_bytes(full, 1)
print(f"weights {weights / 1e9:.1f} GB; the caches grow by {cache / 1e3:.0f} kB with every token,")
print(f"and outgrow the weights after {weights / cache:,.0f} tokens of all sequences together")
assert round(weights / cache, -3) == 123_000  # (1.1)

state = sizing.STATE_BYTES * sizing.STATE_NUMBERS * shape.d_model
assert state == 1024 * cache / shape.layers  # (1.2)
for N in (4096, 131_072, 1_048_576):
    sizes = {name: sizing.sequence_bytes(model(name), N) / 1e9 for name in choosing.LAYOUTS}
    print(f"{N:9,} tokens:", ", ".join(f"{name} {size:.2f} GB" for name, size in sizes.items()))

served = {name: sizing.serving_bytes(model(name), 131_072, 4) / 1e9 for name in choosing.LAYOUTS}
in_all = ", ".join(f"{name} {size:.0f} GB" for name, size in served.items())
print("4 × 131,072 tokens and the weights:", in_all)
assert {name for name, size in served.items() if size > 80} == {"softmax"}

# %% [markdown]
# **(1.1)** Weights matter as long as all sequences together have fewer than about 123,000 tokens; beyond, the caches
# do. **(1.2)** A state weighs as much as the cache of a softmax layer at 1,024 tokens: below that, states cost memory
# instead of saving it. **(1.3)** One full layer in four divides the growth by four, and one in eight by eight (Jamba,
# arXiv 2403.19887), and no more: it still grows. Sharing keys and values among queries (arXiv 2305.13245), or caching
# a latent vector from which they are computed (arXiv 2405.04434), divides it as well. So do caches of 8 bits, which
# servers offer (vLLM's documentation, *Quantized KV Cache*) and large models use (Nemotron 3 Ultra, arXiv 2606.15007):
# **(1.4)** with them, four documents fit beside softmax in every layer.

# %%
for name in sizing.CACHES:
    kB = model("softmax", name).cache / 1e3
    print(f"softmax in every layer, {name}: {2 * kB:.0f} kB a token with 16 bits, {kB:.0f} with 8")
assert round(sizing.serving_bytes(full, 131_072, 4, cache_bytes=1) / 1e9) == 50  # (1.4)
by_four, by_eight = model("three").cache, model("seven").cache
assert (4 * by_four, 8 * by_eight) == (full.cache, full.cache)  # (1.3)
latent = sizing.Shape("", 7168, 61, 128, 128, 1, 1, 128)  # DeepSeek-V3
deepseek = sizing.network(latent, sizing.Layers(61), "latent")
assert sizing.CACHE_BYTES * deepseek.cache == 70_272  # as reported in arXiv 2505.09343

# %% [markdown]
# ## 2 · How long does a token take?
#
# To decode one token for each sequence, a machine reads all weights and all caches, and reads and writes all states;
# it multiplies with what it has read. So the step takes at least
#
# $$\max\left(\frac{\text{bytes moved}}{\text{bandwidth}},\; \frac{\text{FLOPs}}{\text{rate}}\right),$$
#
# and for small batches the bytes decide. (Reading a prompt and training are the other way around: there FLOPs
# decide.) **(2.1)** For short texts, few at a time, all layouts take about as long: each reads its weights and little
# else. Its weights differ by up to a quarter, because all layouts here have the same width and the same number of
# layers, and a layer of Mamba-2 has more parameters than one of grouped attention. **(2.2)** For long texts the cache
# decides.

# %%
H100 = choosing.DEVICES["H100"]


def step(name: str, N: int, batch: int) -> float:
    """Milliseconds to decode a token for each sequence."""
    net = model(name)
    return 1e3 * sizing.decoding_seconds(net, N, batch, H100.bandwidth, H100.rate)


parameters = [model(name).parameters for name in choosing.LAYOUTS]
assert 1.2 < max(parameters) / min(parameters) < 1.25
for N, batch in ((2048, 1), (2048, 8), (131_072, 4)):
    times = {name: step(name, N, batch) for name in choosing.LAYOUTS}
    print(f"{batch:2} × {N:7,}:", ", ".join(f"{name} {ms:.1f} ms" for name, ms in times.items()))
    if N == 2048:
        assert max(times.values()) < 1.35 * min(times.values())  # (2.1)
    else:
        assert times["softmax"] > 2 * times["three"] > 2 * times["seven"]  # (2.2)
        assert times["seven"] > times["windows"]

# %% [markdown]
# **Is that what people measure?** Kimi Linear (arXiv 2510.26692) reports how much faster its 3:1 hybrid is than the
# same model with latent attention in every layer: decoding 1.8 times at 512K tokens and 2.2 times at 1M, reading 2.3
# and 2.9 times. Here is what the count says of one sequence.

# %%
kimi = sizing.Shape("Kimi Linear", 2304, 27, 32, 128, 9 * 1024, 163_840, 32, 257 * 1024)
pair = [sizing.network(kimi, sizing.Layers(n, state=27 - n), "latent") for n in (27, 7)]
reported = {"decoding": {2**19: 1.8, 2**20: 2.2}, "reading": {2**19: 2.3, 2**20: 2.9}}
for use, at_length in reported.items():
    time_of = sizing.decoding_seconds if use == "decoding" else sizing.reading_seconds
    for N, measured in at_length.items():
        both = [time_of(net, N, 1, H100.bandwidth, H100.rate) for net in pair]
        gain = both[0] / both[1]
        print(f"{use:8} {N:9,} tokens: counted {gain:.1f} times as fast, measured {measured}")
        assert 1 < gain / measured < 1.52

# %% [markdown]
# The count is up to 1.5 times too optimistic, most of all for reading. It takes all work to run at the machine's peak
# rates, so it cannot say why. Nemotron Nano 2 (arXiv 2508.14444) reports 6.3 times the throughput of Qwen3-8B on a GPU
# of 22 GiB (23.6 GB), with 8K tokens in and 16K out; with as many sequences as fit, the count gives 5.8
# (`tests/test_sizing.py`).
#
# One report it does not explain. With large batches, Kimi Linear decodes 6.3 times as fast at 1M tokens. Bytes allow
# 27/7 = 3.9 times at most, since 7 of its 27 layers keep a cache. This course has not measured what does the rest.

# %% [markdown]
# ## 3 · What shows that it can do the task?
#
# FLOPs do not say what a model recalls, and opinions do not either. **Facts by key:** write two values under one key. A
# mixer that only adds reads their sum; a decay shifts the balance to the later value, but part of the first remains;
# the delta rule with $\beta = 1$ and a key of length 1 replaces it. How many facts a state of a given size recalls
# once it is *trained* is measured in [05b](05b_long_range.ipynb). **Word for word:** to repeat any text, a memory must
# grow with it (arXiv 2402.01032; [03d](03d_expressivity.ipynb)), as a cache does.
#
# **Tracking a state** (parity, a board, whose turn it is) is the other way around: one pass of softmax attention, or of
# a mixer whose eigenvalues are never negative, does not do it at all lengths, and the delta rule with $\beta$ up to 2
# does ([03d](03d_expressivity.ipynb)). Most published delta rules keep $\beta$ below 1, so they cannot; Olmo Hybrid
# (arXiv 2604.03444) goes up to 2.
#
# The table below calls a layer *Mamba-like* if its state decays and is added to, without removing anything: Mamba-1,
# Mamba-2, RG-LRU, and linear attention with a decay, such as lightning attention. Reports differ in which one they use,
# so the chooser names it with every model.

# %%
key, values = np.array([[0.6, 0.8]] * 2), np.array([[1.0], [5.0]])
faded, _ = ssd.recurrent(values, np.log([0.9, 0.9]), key, key)
replaced, _ = delta_rule.recurrent(key, key, values, np.ones(2))
print(f"values 1 and 5 under one key, decay 0.9: SSD reads {faded[1, 0]:.1f},", end=" ")
print(f"the delta rule {replaced[1, 0]:.1f}")
assert np.allclose((faded[1], replaced[1]), ([5.9], [5]))

print(f"\n{'':28}{'facts by key':14}{'word for word':15}{'tracking':10}largest published, at least")
for row in choosing.LAYOUTS.values():
    levels = [row[need][0] for need in ("facts", "verbatim", "tracking")]
    print(f"{row['title']:28}{levels[0]:14}{levels[1]:15}{levels[2]:10}{row['published']}")

# %% [markdown]
# *Shown* means that somebody has shown it with a model of that layout, *in part* that it is shown for some models,
# sizes or lengths only, *no* that there is a proof or a measurement against it. What shows it is in `choosing.LAYOUTS`,
# for example:

# %%
for need in ("facts", "verbatim", "tracking"):
    level, words = choosing.LAYOUTS["three"][need]
    print(f"{choosing.LAYOUTS['three']['title']}, {need}: {level}, {words}")

# %% [markdown]
# ## 4 · The chooser
#
# It leaves out what does not fit and what evidence is against. The first of its list is the layout with the most behind
# it among those that take at most 1.5 times as long as the fastest one that is *shown* to do the task; the others are
# faster but less proven, or more proven but slower. If nothing that fits is shown to do it, the list holds what does it
# in part.
#
# Rates are the makers' peak rates. For "CPU" you can give it those of your own machine. Memory that is new must first
# be handed out by the operating system, page by page, so the copy below goes into memory that is already in use:


# %% tags=["nbval-ignore-output"]
def seconds(work: str) -> float:
    """The median of as many runs as fill half a second, after a first one that does not count."""
    threads = torch.get_num_threads()
    timer = torch.utils.benchmark.Timer(work, globals=globals(), num_threads=threads)
    return timer.blocked_autorange(min_run_time=0.5).median


here, square = torch.ones(2**25), torch.ones(1024, 1024)
there = torch.zeros_like(here)
bandwidth = 2 * 4 * here.numel() / seconds("there.copy_(here)")  # read and written
rate = 2 * 1024**3 / seconds("square @ square")
print(f"this machine: {bandwidth / 1e9:.1f} GB and {rate / 1e9:.0f} GFLOP a second, float32")

# %%
predict("05e_choose-caches")

# %% tags=["nbval-ignore-output"]
widgets.ArchitectureChooser(rates=(bandwidth, rate))

# %% [markdown]
# It starts with an 8B model that answers questions about 4 documents of 131,072 tokens on one GPU. Point at a layout to
# read what is known about it. Shorten the documents to 2,048 tokens: what is first now, and why? Back at 131,072, ask
# for any passage word for word. Nothing that fits is shown to do that: what changes with caches of 8 bits? Then ask for
# a state to be tracked.
#
# ## 5 · Five stories
#
# Five tasks, and what one would really do.

# %%
predict("05e_choose-five-stories")

# %%
Task, GB = choosing.Task, choosing.GB
chat = Task("3B", N=4096, batch=1, memory=8, device="CPU", precision="4 bits")
documents = Task("8B", N=131_072, batch=4, memory=80)
quotes = replace(documents, recall="any passage word for word")
dna = replace(documents, N=2**20, batch=1)
photographs = Task("0.1B", "training", "images", N=196, batch=1024, memory=80, recall=choosing.GIST)
stories = {
    "chat on a laptop": chat,
    "questions on long documents": documents,
    "a long book, quoted": quotes,
    "… with caches of 8 bits": replace(quotes, cache_bits="8 bits"),
    "a million bases of DNA": dna,
    "photographs, classified": photographs,
}

found = {name: choosing.choose(task) for name, task in stories.items()}
for name, task in stories.items():
    print(f"{name:28}", "; ".join(choosing.short_list(task)))
first = [choice.listed[0] for choice in found.values()]
assert first == ["softmax", "three", "windows", "softmax", "seven", "softmax"]
for change in ({"precision": "8 bits"}, {"cache_bits": "8 bits"}):
    assert choosing.choose(replace(documents, **change)).assessments["softmax"].fits

# %%
laptop = found["chat on a laptop"].assessments
spread = max(a.seconds for a in laptop.values()) / min(a.seconds for a in laptop.values())
print(f"chat: softmax in every layer takes {laptop['softmax'].memory / GB:.1f} GB;", end=" ")
print(f"the slowest layout takes {spread:.2f} times as long as the fastest")
assert spread < 1.3

both = [replace(dna, cache_bits=bits) for bits in choosing.CACHE_BITS]
bases = [choosing.choose(task).assessments["softmax"].memory / GB for task in both]
print(f"DNA: softmax in every layer takes {bases[0]:.0f} GB, with 8 bits {bases[1]:.0f} GB")
assert bases[1] > dna.memory

pictures = found["photographs, classified"]
slower = pictures.assessments["mamba"].seconds / pictures.assessments["softmax"].seconds
print(f"photographs: Mamba-2 in every layer takes {slower:.2f} times as long as softmax")
assert pictures.listed == ("softmax",)

# %% [markdown]
# - **Chat on a laptop.** The texts are short, so a step reads mostly weights, and all layouts take about as long. The
#   layout decides little here, so take a small model in 4 bits that is good at your task. It may have softmax in every
#   layer (Qwen3 4B, arXiv 2505.09388), windows (Gemma 3, arXiv 2503.19786, and Gemma 4), a delta rule with softmax 3:1
#   (Qwen3.5 4B), or short convolutions in ten of sixteen layers (LFM2, arXiv 2511.23404).
# - **Questions on long documents.** A hybrid: 3:1 with a delta rule, as in Qwen3.5 and Olmo Hybrid (arXiv 2604.03444),
#   or about 7:1 with Mamba-2, as in Nemotron-H (arXiv 2504.03624). Take the one that your server runs well. Windows
#   take even less time, and with them MiMo-V2-Flash finds 96.7% of the needles in 256K tokens (arXiv 2601.02780). But
#   Olmo 3, with windows in three of four layers, has 70.9 on RULER at 64K tokens, and Olmo Hybrid, with a delta rule in
#   their place, 85.0 (arXiv 2604.03444). With softmax in every layer the four documents fit only if weights or caches
#   take 8 bits a number or fewer.
# - **A long book, quoted.** Softmax in every layer, with caches of 8 bits. Hybrids and windows recall facts, but how
#   well they repeat long passages is measured only in part: try one of them if that much memory is too much. In
#   practice one also puts the book into an index and hands the model the passages it asks for: then the text is short.
# - **A million bases of DNA.** The scores behind this answer are of English text. Some models of DNA mix layers, too:
#   JanusDNA reads a million bases with Mamba and attention on one GPU of 80 GB (arXiv 2505.17257), HybriDNA 131,072
#   with Mamba-2 and attention (arXiv 2502.10807), and Evo 2 a million with 8 softmax layers among 50, the others
#   convolutions; it finds a needle in them (Brixi et al., 2025). Models without any attention exist, too: HyenaDNA
#   (arXiv 2306.15794) and Caduceus (arXiv 2403.03234). Nothing cited here compares them at equal size and data.
# - **Photographs, classified.** 196 patches are a short text. Vision Transformers are softmax in every layer (DINOv3,
#   arXiv 2508.10104), and a network without any scan beats the visual Mambas at classifying ImageNet (MambaOut, arXiv
#   2405.07992). At detection, with many more patches, the best of them are ahead of it, such as VMamba with its four
#   routes (arXiv 2401.10166).
#
# **What the chooser does not know.** How *well* a model does what it can do, and what 8 bits cost it; whether evidence
# from text holds for your data; how mature the kernels are on your machine; what it costs to fine-tune a finished
# model instead of training one; whether many requests begin with the same text, whose caches or states a server can
# keep; and whether the task can be changed, by an index, a tool or a chain of thought. It leaves out *sparse
# attention*, as in DeepSeek-V3.2 (arXiv 2512.02556), because its formulas let a step read all that is kept: there, a
# step reads a short key of every token, and only the 2,048 entries of the cache that these keys select. Take its answer
# as a short list. Train two of them small, on equal steps *and* equal time, with several seeds, and compare them text
# by text ([05c](05c_language.ipynb)).

# %% [markdown]
# ## Recap
#
# - Whole models first: for short texts, few at a time, layouts take about as long, and softmax is the safe choice.
# - Caches outgrow the weights at about 123,000 tokens of all sequences together (8B, grouped queries, 16 bits). Before
#   you change the layout, try caches of 8 bits.
# - Judge recall and tracking by published evidence, and look at which model and which mixer it is about.
# - For long texts the answer is often a 3:1 or a 7:1 hybrid. Its caches still grow.
# - A short list is a start: the last word belongs to a comparison on your own data.
#
# **Where next:** the [exercises](../exercises/05e_choose.ipynb) (9 points), then part [06](06_review.ipynb), the
# review: the whole course on one page, a quiz, and what to read.

# %% tags=["nbval-ignore-output"]
progress("05e_choose")
