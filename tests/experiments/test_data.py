"""Texts and readers, on small files of the formats written here."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from lecture17.experiments.data import Origin, cifar10, lra_listops, python_sources, standard_library, wikitext103
from lecture17.experiments.tasks import IGNORE, listops_value


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for i in range(25):
        (tmp_path / f"m{i:02}.py").write_text(f"x = {i:02}")
    for folder in ("test", "site-packages", "json/tests"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "left_out.py").write_text("left out")
    return tmp_path


def test_of_ten_files_one_is_for_validation_and_one_for_the_test(library: Path) -> None:
    text = python_sources(library, "library")
    assert text.test.data.tobytes() == b"x = 09\nx = 19"
    assert text.validation.data.tobytes() == b"x = 04\nx = 14\nx = 24"
    trained = text.train.data.tobytes().decode().split("\n")
    assert trained == [f"x = {i:02}" for i in range(25) if i % 10 not in (4, 9)]


def test_this_machines_library_is_there_and_large() -> None:
    text = standard_library()
    assert len(text.train.data) > 4 * len(text.test.data) > 1_000_000
    assert b"import " in text.test.data.tobytes()


def test_a_text_asks_for_the_next_byte_of_each_place(library: Path) -> None:
    train = python_sources(library, "library").train
    whole = train.data.tobytes()
    for batch in (train.draw(6, 9, 0), train.spread(6, 9)):
        for row, asked in zip(batch.tokens, batch.labels, strict=True):
            window = bytes([*row.tolist(), int(asked[-1])])
            assert window in whole
            assert (asked[:-1] == row[1:]).all()
    assert bytes(train.spread(6, 9).tokens[0].tolist()) == whole[:9]
    assert bytes(train.spread(6, 9).labels[-1].tolist()) == whole[-9:]
    assert (train.draw(6, 9, (0, 1)).tokens == train.draw(6, 9, (0, 1)).tokens).all()
    assert (train.draw(6, 9, (0, 1)).tokens != train.draw(6, 9, (0, 2)).tokens).any()
    with pytest.raises(ValueError, match="length is 999: expected less than"):
        train.draw(1, 999, 0)


def test_a_folder_without_sources_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has 0 source files"):
        python_sources(tmp_path, "library")


def test_wikitext_from_a_folder(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"wiki.{part}.raw").write_text(f" = {part} é = \n", encoding="utf-8")
    text = wikitext103(tmp_path)
    assert text.train.data.tobytes().decode() == " = train é = \n"
    assert text.test.data.tobytes().decode() == " = test é = \n"


def test_the_arenas_listops_files_hold_expressions_and_their_values(tmp_path: Path) -> None:
    path = tmp_path / "basic_test.tsv"
    path.write_text("Source\tTarget\n( ( ( [MAX ( ( ( [MIN 3 ) 8 ) ] ) ) 5 ) ] )\t5\n( ( ( [SM 7 ) 8 ) ] )\t5\n")
    rows = lra_listops(path)
    assert rows[0] == (["[MAX", "[MIN", "3", "8", "]", "5", "]"], 5)
    assert all(listops_value(words) == target for words, target in rows)
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(ValueError, match="expected columns Source and Target"):
        lra_listops(path)


def test_cifar10_is_read_in_the_order_of_its_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = {f"data_batch_{i}": rng.integers(256, size=(3, 3073)).astype(np.uint8) for i in (2, 1)}
    parts["test_batch"] = rng.integers(256, size=(2, 3073)).astype(np.uint8)
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, rows in parts.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = rows.size
            tar.addfile(info, io.BytesIO(rows.tobytes()))
    images, labels = cifar10(archive)
    first = parts["data_batch_1"]
    assert images.shape == (6, 3, 32, 32)
    assert labels.tolist() == [*first[:, 0], *parts["data_batch_2"][:, 0]]
    assert images[0, 1, 2, 3] == np.float32(first[0, 1 + 1024 + 2 * 32 + 3]) / 255  # channel, row, column
    assert cifar10(archive, "test")[1].tolist() == parts["test_batch"][:, 0].tolist()
    with pytest.raises(ValueError, match="expected train or test"):
        cifar10(archive, "val")


def test_a_piece_of_source_is_of_the_package_and_the_part_that_its_label_and_seed_say() -> None:
    task = Origin()
    of_part = {name: task.draw(6, 200, (part, 5)) for part, name in enumerate(("train", "test", "validation"))}
    for name, (tokens, labels) in of_part.items():
        assert labels[:, -1].tolist() == [0, 1, 0, 1, 0, 1]
        assert (labels[:, :-1] == IGNORE).all()
        library = getattr(standard_library(), name).data.tobytes()
        assert [bytes(row.tolist()) in library for row in tokens] == 3 * [True, False], name
    assert (task.draw(6, 200, (0, 5)).tokens == of_part["train"].tokens).all()
    assert (task.draw(6, 200, (0, 6)).tokens != of_part["train"].tokens).any()
