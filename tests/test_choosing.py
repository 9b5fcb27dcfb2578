"""The short list: real cases from published reports, the rules it follows, and where its evidence comes from."""

import re
from dataclasses import replace
from typing import Any

import pytest

from lecture17 import hybrids, sizing
from lecture17.choosing import (
    FACTS,
    GIST,
    IN_PART,
    LAYOUTS,
    LEVELS,
    NO,
    RECALLS,
    SHOWN,
    SLACK,
    Task,
    choose,
    layers_of,
    short_list,
)
from tests.conftest import ROOT

VERBATIM = RECALLS[2]

# What was served or trained, with which layout, and the report. The layout must be listed, and one of the set be first.
CASES: dict[str, tuple[str, str, dict[str, Any], set[str]]] = {
    "Llama 3.1 8B answers short questions, 2407.21783": (
        "softmax",
        "2407.21783",
        {"size": "8B", "N": 4096, "batch": 32, "memory": 80},
        {"softmax"},
    ),
    "Llama 3.1 70B is trained on 8K tokens, 2407.21783": (
        "softmax",
        "2407.21783",
        {"size": "70B", "use": "training", "N": 8192, "batch": 8, "memory": 1600},
        {"softmax"},
    ),
    "DINOv3 is trained on photographs of 256 patches, 2508.10104": (
        "softmax",
        "2508.10104",
        {"size": "8B", "use": "training", "content": "images", "N": 256, "batch": 64, "memory": 640},
        {"softmax"},
    ),
    "a 0.1B image classifier is trained, 2405.07992": (
        "softmax",
        "2405.07992",
        {"size": "0.1B", "use": "training", "content": "images", "N": 196, "batch": 1024, "memory": 80},
        {"softmax"},
    ),
    "Gemma 3 reads 32K tokens on one consumer GPU, 2503.19786": (
        "windows",
        "2503.19786",
        {"size": "8B", "N": 32_768, "batch": 4, "memory": 24, "device": "RTX 4090", "precision": "4 bits"},
        {"windows", "softmax", "three"},
    ),
    "Qwen3-Next 80B serves 256K tokens on four GPUs": (
        "three",
        "model card",
        {"size": "80B, 3B active", "N": 262_144, "batch": 16, "memory": 320},
        {"three", "seven"},
    ),
    "Kimi Linear serves 128K tokens, 2510.26692": (
        "three",
        "2510.26692",
        {"size": "80B, 3B active", "N": 131_072, "batch": 64, "memory": 640, "cache": "latent"},
        {"softmax", "three", "seven"},
    ),
    "Olmo Hybrid 7B must track a state in long texts, 2604.03444": (
        "three",
        "2604.03444",
        {"size": "8B", "N": 65_536, "batch": 4, "memory": 80, "tracking": True},
        {"three"},
    ),
    "Jamba reads 256K tokens on one 80 GB GPU in 8 bits, 2403.19887": (
        "seven",
        "2403.19887",
        {"size": "32B", "N": 262_144, "batch": 1, "memory": 80, "precision": "8 bits"},
        {"seven", "three"},
    ),
    "MiniMax-01 reads 1M tokens on eight GPUs, 2501.08313": (
        "seven",
        "2501.08313",
        {"size": "70B", "N": 2**20, "batch": 1, "memory": 640, "precision": "8 bits"},
        {"seven"},
    ),
    "Nemotron-H 8B serves 64K tokens, 2504.03624": (
        "seven",
        "2504.03624",
        {"size": "8B", "N": 65_536, "batch": 16, "memory": 80},
        {"seven", "three"},
    ),
    "RecurrentGemma 2B keeps the gist on a laptop, 2404.07839": (
        "bounded",
        "2404.07839",
        {"size": "3B", "N": 65_536, "batch": 4, "memory": 8, "device": "CPU", "precision": "8 bits", "recall": GIST},
        {"bounded", "windows", "mamba"},
    ),
    "MiMo-V2-Flash serves 256K tokens, 2601.02780": (
        "windows",
        "2601.02780",
        {"size": "80B, 3B active", "N": 262_144, "batch": 16, "memory": 320},
        {"windows", "three", "seven"},
    ),
    "Nemotron 3 Ultra serves 1M tokens in 4 bits with caches of 8, 2606.15007": (
        "seven",
        "2606.15007",
        {
            "size": "80B, 3B active",
            "N": 2**20,
            "batch": 4,
            "memory": 720,
            "device": "B200",
            "precision": "4 bits",
            "cache_bits": "8 bits",
        },
        {"seven"},
    ),
    "Kimi K3 serves 1M tokens in 4 bits, model card": (
        "three",
        "model card of Kimi K3",
        {
            "size": "80B, 3B active",
            "N": 2**20,
            "batch": 16,
            "memory": 720,
            "device": "B200",
            "cache": "latent",
            "precision": "4 bits",
        },
        {"three", "seven"},
    ),
    "a full cache of 8 bits is kept to repeat 128K tokens word for word, vLLM": (
        "softmax",
        "quantized_kvcache",
        {"size": "8B", "N": 131_072, "batch": 4, "memory": 80, "cache_bits": "8 bits", "recall": VERBATIM},
        {"softmax"},
    ),
    "Evo 2 reads 1M bases of DNA, one full layer in six, the others convolutions": (
        "seven",
        "Brixi, 2025",
        {"size": "8B", "N": 2**20, "batch": 1, "memory": 80, "recall": FACTS},
        {"seven"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_published_practice_is_on_the_short_list(case: str) -> None:
    layout, _, settings, first = CASES[case]
    choice = choose(Task(**settings))
    assert layout in choice.listed
    assert choice.listed[0] in first


def test_every_case_says_where_it_comes_from_and_layouts_of_all_kinds_are_tried() -> None:
    page = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    for _, source, *_ in CASES.values():
        assert source in page.lower() or source in page
    assert {layout for layout, *_ in CASES.values()} >= {"softmax", "windows", "three", "seven", "bounded"}
    assert len(CASES) >= 10


def any_tasks() -> list[Task]:
    tasks = []
    for N in (64, 4096, 131_072, 2**20):
        for memory in (2, 24, 80, 640):
            for recall in RECALLS:
                for tracking in (False, True):
                    for use in ("decoding", "reading", "training"):
                        tasks.append(Task(N=N, memory=memory, recall=recall, tracking=tracking, use=use))
    return tasks


@pytest.mark.parametrize("task", any_tasks()[::7], ids=str)
def test_what_is_listed_fits_and_can_do_it_and_the_first_has_the_most_behind_it(task: Task) -> None:
    choice, order = choose(task), list(LAYOUTS)
    able = {n: a for n, a in choice.assessments.items() if a.fits and a.level != NO}
    assert set(choice.listed) <= able.keys()
    assert bool(choice.listed) == bool(able)
    if not able:
        return
    first = able[choice.listed[0]]
    best = max(LEVELS.index(a.level) for a in able.values())
    peers = {n: a for n, a in able.items() if LEVELS.index(a.level) == best}
    assert choice.listed[0] in peers
    assert first.seconds <= SLACK * min(a.seconds for a in peers.values())
    for name in order[: order.index(choice.listed[0])]:
        assert name not in peers or peers[name].seconds > SLACK * min(a.seconds for a in peers.values())
    for name in choice.listed[1:]:
        faster, proven = able[name].seconds < first.seconds, order.index(name) < order.index(choice.listed[0])
        assert faster or proven or first.level != SHOWN
    ranks = [(-LEVELS.index(able[name].level), order.index(name)) for name in choice.listed[1:]]
    assert ranks == sorted(ranks)


def test_short_texts_are_for_softmax_and_photographs_never_for_a_scan() -> None:
    for batch in (1, 32):
        assert short_list(Task(N=2048, batch=batch))[0] == "softmax in every layer"
    for size in ("0.1B", "1B", "8B"):
        for N in (64, 256, 1024):
            for use in ("reading", "training"):
                for memory in (80, 640):
                    listed = choose(Task(size, use, "images", N, 16, memory)).listed
                    assert listed[:1] in (("softmax",), ()), (size, N, use)
                    assert "mamba" not in listed


def test_evidence_weakens_with_length_and_with_size() -> None:
    assert choose(Task(N=32_768)).assessments["windows"].level == SHOWN
    long = choose(Task(N=65_536)).assessments["windows"]
    assert (long.level, long.evidence) == (IN_PART, LAYOUTS["windows"]["beyond"])
    longest = choose(Task(N=2**21)).assessments
    for name, row in LAYOUTS.items():
        assert longest[name].level == IN_PART
        assert longest[name].evidence == row.get(
            "beyond", row["facts"][1] + ("; longer texts are not shown" if "up_to" in row else "")
        )
    copied = choose(Task(N=2**21, recall=VERBATIM)).assessments["softmax"]
    assert (copied.level, copied.evidence[-28:]) == (IN_PART, "; longer texts are not shown")
    windows = choose(Task(N=65_536, recall=VERBATIM)).assessments["windows"]
    assert [windows.level, windows.evidence] == LAYOUTS["windows"]["verbatim"]
    large = choose(Task(size="32B", tracking=False, recall=GIST, memory=640)).assessments["delta"]
    assert large.level == IN_PART
    assert large.evidence.endswith("nothing near this size is published")


def test_tracking_rules_out_what_cannot_track() -> None:
    levels = {n: a.level for n, a in choose(Task(recall=GIST, size="1B", tracking=True)).assessments.items()}
    assert {n for n, level in levels.items() if level == IN_PART} == {"three", "delta"}
    assert {n for n, level in levels.items() if level == NO} == {"softmax", "windows", "seven", "bounded", "mamba"}


def test_caches_of_8_bits_halve_the_caches_alone_and_states_and_weights_stay() -> None:
    task = Task(recall=VERBATIM)
    wide, narrow = (choose(replace(task, cache_bits=bits)).assessments for bits in ("16 bits", "8 bits"))
    for name in LAYOUTS:
        shape = sizing.SHAPES[task.size]
        cached = sizing.network(shape, layers_of(name, shape.layers)).cached(task.N)
        assert wide[name].memory - narrow[name].memory == pytest.approx(task.batch * cached)
        assert wide[name].weights == narrow[name].weights
    assert not wide["softmax"].fits
    assert narrow["softmax"].fits
    assert wide["delta"] == narrow["delta"]
    read, read_narrow = (
        choose(replace(task, use="reading", cache_bits=bits)).assessments["softmax"] for bits in ("16 bits", "8 bits")
    )
    assert read.seconds == read_narrow.seconds


def test_where_nothing_is_shown_the_others_are_listed_though_they_are_slower() -> None:
    choice = choose(Task(recall=VERBATIM))
    assert choice.listed == ("windows", "three", "seven")
    assert {choice.assessments[name].level for name in choice.listed} == {IN_PART}


def model_and_mixer(words: str) -> tuple[str, str]:
    name, _, mixer = words.removesuffix(")").partition(" (")
    return name, mixer


@pytest.mark.parametrize("name", LAYOUTS)
def test_open_models_have_the_layout_and_the_mixer_that_they_are_named_for(name: str) -> None:
    rows = {layout.name: layout for layout in hybrids.LAYOUTS}
    shares = LAYOUTS[name]["layers"]
    for model, mixer in map(model_and_mixer, LAYOUTS[name]["models"]):
        assert bool(mixer) == ("state" in shares), model
        if model in rows:
            layout = rows[model]
            assert layout.mixer == mixer
            share = len(layout.attention) / layout.layers
            if "window" in shares:
                assert layout.window
                assert "full" not in shares
            else:
                assert not layout.window
                near = {n: r["layers"]["full"] for n, r in LAYOUTS.items() if n in ("three", "seven")}
                delta = layout.mixer in ("gated DeltaNet", "KDA")
                assert name == ("three" if delta else "seven"), model
                assert abs(share - near[name]) < 0.1, model


def test_every_published_hybrid_is_named_once_or_is_of_another_kind() -> None:
    named = [model_and_mixer(words)[0] for row in LAYOUTS.values() for words in row["models"]]
    assert len(set(named)) == len(named)
    others = {layout.name for layout in hybrids.LAYOUTS} - set(named)
    assert others == {"Falcon-H1 7B", "LFM2 1.2B"}  # attention beside every mixer, and convolutions without a state


def test_evidence_has_a_source_or_a_part_of_the_course() -> None:
    for row in LAYOUTS.values():
        for need in ("facts", "verbatim", "images", "tracking"):
            level, words = row[need]
            assert level in LEVELS
            assert re.search(r"\d{4}\.\d{5}|0\d[a-e]", words), words
        assert re.search(r"\d{4}\.\d{5}|0\d[a-e]", row.get("beyond", "03d"))
        parts = re.findall(r"\b0\d[a-e]\b", str(row))
        assert all(list((ROOT / "notebooks").glob(f"{part}_*.py")) for part in parts)


def test_the_largest_model_is_as_large_as_the_words_say_and_its_source_is_listed() -> None:
    page = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    for row in LAYOUTS.values():
        found = re.fullmatch(r"([\d.]+)([TB]).*\((?:.*\b(\d{4}\.\d{5})|([^,]+),.*)\)", row["published"])
        assert found, row["published"]
        number, unit, paper, model = found.groups()
        assert float(number) * {"T": 1000, "B": 1}[unit] == pytest.approx(row["largest"], rel=0.01)
        assert (paper or model) in page


def test_all_layers_are_of_some_kind() -> None:
    for name in LAYOUTS:
        for count in (12, 27, 32, 80):
            layers = layers_of(name, count)
            assert layers.full + layers.windowed + layers.state == count
            assert min(layers.full, layers.windowed, layers.state) >= 0
    assert layers_of("three", 32).full == 8
    assert layers_of("seven", 32).full == 4


def test_devices_come_in_numbers_and_measured_rates_are_taken() -> None:
    one, eight = (choose(Task(memory=memory, N=4096)) for memory in (80, 640))
    assert (one.devices, eight.devices) == (1, 8)
    assert one.assessments["softmax"].seconds == pytest.approx(8 * eight.assessments["softmax"].seconds)
    laptop = Task(size="1B", device="CPU", N=512, batch=1)
    slow, quick = choose(laptop, (1e9, 1e12)), choose(laptop, (2e9, 1e12))
    assert slow.assessments["softmax"].seconds == pytest.approx(2 * quick.assessments["softmax"].seconds)


def test_settings_that_there_are_not_are_named() -> None:
    with pytest.raises(ValueError, match="size is '9B': expected one of "):
        Task(size="9B")
    with pytest.raises(ValueError, match="cache_bits is '4 bits': expected one of 16 bits, 8 bits"):
        Task(cache_bits="4 bits")
    with pytest.raises(ValueError, match="batch is 0: expected at least 1"):
        replace(Task(), batch=0)
