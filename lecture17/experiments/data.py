"""Real data: text that every learner has, and readers for benchmarks that some have. Introduced in 05c_language.

text = standard_library()                 bytes of Python's own source files; text.train, .validation, .test: tasks
task = Origin()                           whose source is this? the standard library's or scikit-learn's; a task
text = wikitext103()                      with `datasets` and a network, or from a folder
rows = lra_listops(path)                  the Long Range Arena's ListOps, basic_{train,val,test}.tsv
images, labels = cifar10(path)            CIFAR-10, binary version (cifar-10-binary.tar.gz)
"""

import csv
import sysconfig
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .tasks import IGNORE, Batch, Seed

_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "__pycache__"}


@dataclass(frozen=True)
class Bytes:
    """A text as a task: windows of it go in, and the next byte is asked for at each place. 256 classes."""

    name: str
    data: np.ndarray = field(repr=False, compare=False)  # bytes

    n_tokens = n_classes = 256

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        """`batch` windows of `length` bytes from places drawn at random."""
        if length >= len(self.data):
            raise ValueError(f"length is {length}: expected less than the {len(self.data)} bytes of {self.name}")
        return self._windows(np.random.default_rng(seed).integers(len(self.data) - length, size=batch), length)

    def spread(self, batch: int, length: int) -> Batch:
        """`batch` windows at equal distances over the whole text, always the same ones."""
        return self._windows(np.linspace(0, len(self.data) - length - 1, batch).astype(int), length)

    def _windows(self, begins: np.ndarray, length: int) -> Batch:
        windows = self.data[begins[:, None] + np.arange(length + 1)].astype(np.int64)
        return Batch(windows[:, :-1], windows[:, 1:])


class Text(NamedTuple):
    """A text in three parts that share no file: to learn from, to choose settings by, and to be tested on once."""

    train: Bytes
    validation: Bytes
    test: Bytes


def standard_library() -> Text:
    """The source files of this machine's Python, without its tests and installed packages."""
    return python_sources(Path(sysconfig.get_paths()["stdlib"]), "standard library")


def python_sources(root: Path, name: str) -> Text:
    """The Python files below a folder, without tests; of every ten, one is for validation and one for the test."""
    files = [p for p in sorted(root.rglob("*.py")) if not _LEFT_OUT & set(p.relative_to(root).parts)]
    if len(files) < 10:
        raise FileNotFoundError(f"{root} has {len(files)} source files: expected those of the {name}, 10 or more")
    parts = {
        "eight files of ten": (p for i, p in enumerate(files) if i % 10 not in (4, 9)),
        "every tenth file, from the fifth": files[4::10],
        "every tenth file": files[9::10],
    }
    return Text(*(_joined(f"{name}, {which}", (p.read_bytes() for p in some)) for which, some in parts.items()))


@dataclass(frozen=True)
class Origin:
    """From which package is this piece of source code, byte by byte: the standard library's (0) or scikit-learn's (1)?

    Both are on every learner's machine. The label stands at the last byte. `draw` reads files that are for training,
    for validation or for the test, as the first number of its seed says (`training.PARTS`).
    """

    n_tokens, n_classes = 256, 2

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        part, *_ = seed if isinstance(seed, tuple) else (0,)
        labels = np.arange(batch) % 2  # as many of one as of the other
        rows = np.empty((batch, length), np.int64)
        for label, text in enumerate((_standard_library(), _scikit_learn())):
            of_part = (text.train, text.test, text.validation)[part]
            rows[labels == label] = of_part.draw(
                int((labels == label).sum()), length, (label, *np.atleast_1d(seed))
            ).tokens
        asked = np.full((batch, length), IGNORE)
        asked[:, -1] = labels
        return Batch(rows, asked)


@cache
def _standard_library() -> Text:
    return standard_library()


@cache
def _scikit_learn() -> Text:
    import sklearn

    return python_sources(Path(sklearn.__file__).parent, "scikit-learn")


def wikitext103(folder: Path | None = None) -> Text:
    """WikiText-103 as bytes: wiki.{train,valid,test}.raw of a folder, or fetched by the package `datasets`.

    Raises ImportError where it has to be fetched and `datasets` is not installed.
    """
    parts = {"train": "training", "validation": "validation", "test": "test"}  # as `datasets` calls them, and we
    names = {part: f"WikiText-103, {name} part" for part, name in parts.items()}
    if folder is not None:
        files = {part: folder / f"wiki.{'valid' if part == 'validation' else part}.raw" for part in parts}
        return Text(*(_joined(names[part], [file.read_bytes()]) for part, file in files.items()))
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ImportError("fetching WikiText-103 needs a package: pip install datasets, or pass a folder") from error
    fetched = load_dataset("Salesforce/wikitext", "wikitext-103-raw-v1")
    return Text(*(_joined(name, (t.encode() for t in fetched[part]["text"])) for part, name in names.items()))


def lra_listops(path: Path) -> list[tuple[list[str], int]]:
    """Expressions, as the words that `tasks.listops_value` reads, and their values, from a file of the benchmark."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows or {"Source", "Target"} - rows[0].keys():
        raise ValueError(f"{path.name}: expected columns Source and Target, as in basic_test.tsv")
    return [([w for w in row["Source"].split() if w not in "()"], int(row["Target"])) for row in rows]


def cifar10(archive: Path, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) in [0, 1] and labels (n,) of "train" or "test" from cifar-10-binary.tar.gz."""
    begins = {"train": "data_batch_", "test": "test_batch"}
    if part not in begins:
        raise ValueError(f"part is {part!r}: expected train or test")
    read = []
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            if Path(member.name).name.startswith(begins[part]) and (file := tar.extractfile(member)):
                read.append(np.frombuffer(file.read(), np.uint8).reshape(-1, 1 + 3 * 32 * 32))
    if not read:
        raise ValueError(f"{archive.name} has no {begins[part]}….bin: expected the binary version of CIFAR-10")
    rows = np.concatenate(read)
    return rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255, rows[:, 0].astype(np.int64)


def _joined(name: str, parts: Iterable[bytes]) -> Bytes:
    return Bytes(name, np.frombuffer(b"\n".join(parts), np.uint8))
