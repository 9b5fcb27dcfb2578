"""The chooser: its words and picture give the short list that `choosing` makes, its numbers and its reasons."""

import re
from typing import Any

import pytest

from lecture17.choosing import DECODING, GB, GIST, IMAGES, LAYOUTS, NO, READING, TRAINING, Task, choose
from lecture17.widgets.chooser import (
    LOOKS,
    ArchitectureChooser,
    amount,
    describe,
    duration,
    headline,
    look_of,
    picture,
    settle,
)

from .twins import any_settings

TASKS = [settle(task) for task in any_settings(ArchitectureChooser, 60)]
each_task = pytest.mark.parametrize("task", TASKS, ids=str)


@each_task
def test_words_give_the_list_in_order_with_numbers_evidence_and_models(task: Task) -> None:
    choice, words = choose(task), describe(task)
    found = choice.assessments
    assert f"{choice.devices} × {task.device}" in words
    ranked = re.findall(r"(\d)\. (\D[^.;]*?): ([\d.,]+ \S+)(?: a token| to read all| a step)?, ([\d.,]+) GB", words)
    expected = [
        (str(rank), LAYOUTS[n]["title"], duration(found[n].seconds), amount(found[n].memory / GB))
        for rank, n in enumerate(choice.listed, 1)
    ]
    assert ranked == expected
    if choice.listed:
        first = choice.listed[0]
        assert found[first].evidence in words
        assert LAYOUTS[first]["published"] in words
        assert LAYOUTS[first]["models"][0] in words
        assert LAYOUTS[first]["cpu" if task.device == "CPU" else "gpu"] in words
        assert headline(task) == f"First to try: {LAYOUTS[first]['title']}"
    else:
        assert "fits" in words or "Evidence is against every" in words


@each_task
def test_every_layout_has_one_look_and_one_alone_is_first(task: Task) -> None:
    choice = choose(task)
    looks = [look_of(name, choice) for name in LAYOUTS]
    first, listed, able, out = LOOKS
    assert looks.count(first) == bool(choice.listed)
    assert looks.count(first) + looks.count(listed) == len(choice.listed)
    for name, look in zip(LAYOUTS, looks, strict=True):
        a = choice.assessments[name]
        assert (look == out) == (not a.fits or a.level == NO), name
    assert able in LOOKS


def test_the_picture_has_all_layouts_the_limit_and_the_numbers() -> None:
    made = picture(Task(memory=80))
    left, right = made.axes
    assert [t.get_text() for t in left.get_yticklabels()][2] == "1 · delta rule with softmax 3:1"
    assert left.lines[0].get_xdata() == [80 * GB] * 2
    written = {t.get_text() for ax in (left, right) for t in ax.texts}
    for a in choose(Task(memory=80)).assessments.values():
        assert {f"{amount(a.memory / GB)} GB", duration(a.seconds)} <= written


def test_training_has_one_precision_and_no_caches_and_images_are_not_decoded() -> None:
    trained = settle(Task(use=TRAINING, precision="4 bits", cache_bits="8 bits"))
    assert (trained.precision, trained.cache_bits) == ("16 bits", "16 bits")
    image = settle(Task(content=IMAGES, use=DECODING, cache_bits="8 bits", tracking=True, recall="facts by key"))
    assert (image.use, image.cache_bits, image.recall, image.tracking) == (READING, "16 bits", GIST, False)


def test_measured_rates_take_the_place_of_a_laptops() -> None:
    task: dict[str, Any] = {"size": "1B", "device": "CPU", "N": 512, "batch": 1}
    usual, measured = ArchitectureChooser(**task), ArchitectureChooser((1e9, 1e12), **task)
    assert measured.data == {"cpu": [1e9, 1e12]}
    assert measured.words != usual.words
    assert duration(choose(Task(**task), (1e9, 1e12)).assessments["softmax"].seconds) in measured.words
    assert measured.draw().description == measured.words
    with pytest.raises(ValueError, match=r"rates is .*: expected bytes and FLOPs a second, both positive"):
        ArchitectureChooser((0.0, 1e12))


def test_numbers_in_words() -> None:
    assert [amount(x) for x in (0.125, 9.996, 12.34, 1234.5)] == ["0.12", "10.00", "12.3", "1,234"]
    assert [duration(t) for t in (9000, 90, 2.5, 0.0042, 3e-6)] == [
        "2.50 h",
        "1.50 min",
        "2.50 s",
        "4.20 ms",
        "3.00 µs",
    ]
