"""Data sets of the `datasets` library serve what the same pictures in folders do; nothing is fetched unasked."""

import importlib
import importlib.util
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.made_pictures import folder
from decant.data import DataSettings, PictureSettings, epoch_batches, load_pictures, views_of
from decant.data.pictures.find import find_pictures
from decant.data.pictures.hub import Rows

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="needs datasets"),
    # What the library leaves open, and what it says of its own future, is not ours to mend.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
SETTINGS = DataSettings(name="pictures", pictures=PictureSettings(size=8))
CLASSES = ["cat", "dog", "eel"]


@pytest.fixture
def library() -> Any:
    return importlib.import_module("datasets")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    folder(root / "train", {"cat": 5, "dog": 5, "eel": 4})
    folder(root / "val", {"cat": 2, "dog": 2, "eel": 2})
    return root


def table(library: Any, part: Path, *, embedded: bool = True, **columns: Any) -> Any:
    files = sorted(part.glob("*/*.png"))
    pictures = [{"bytes": file.read_bytes() if embedded else None, "path": str(file)} for file in files]
    label = columns.pop("label", library.ClassLabel(names=CLASSES))
    numbers = [CLASSES.index(file.parent.name) for file in files]
    values: list[Any] = numbers if isinstance(label, library.ClassLabel) else [CLASSES[number] for number in numbers]
    features = library.Features({"image": library.Image(), "label": label, **columns})
    more = dict.fromkeys(columns, numbers)
    return library.Dataset.from_dict({"image": pictures, "label": values, **more}, features=features)


def saved(library: Any, pets: Path, out: Path, **how: Any) -> Path:
    parts = {"train": table(library, pets / "train", **how), "validation": table(library, pets / "val", **how)}
    library.DatasetDict(parts).save_to_disk(str(out))
    return Path(f"hf:{out}")


@pytest.mark.parametrize("embedded", [True, False])
def test_batches_are_those_of_the_same_pictures_in_folders(
    embedded: bool, library: Any, pets: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    there = load_pictures(SETTINGS, pets)
    root = saved(library, pets, tmp_path / "saved", embedded=embedded)
    here = load_pictures(SETTINGS, root, workers=1, say=lines.append)
    assert f"{root}: 3 classes, 14 to train on, 6 to test on; 4 to 5 of a class to train on" in lines
    assert here.train.classes == tuple(CLASSES)
    assert here.train.bytes.tolist() == there.train.bytes.tolist()
    batches = [
        list(epoch_batches(images, views_of(SETTINGS, images, seed=3), epoch=1, seed=3, batch_size=4))
        for images in (there.train, here.train)
    ]
    for one, other in zip(*batches, strict=True):
        assert torch.equal(one.images[0], other.images[0])
        assert torch.equal(one.index, other.index)


def test_a_row_that_cannot_be_read_any_more_is_named(library: Any, pets: Path, tmp_path: Path) -> None:
    root = saved(library, pets, tmp_path / "saved")
    images = load_pictures(SETTINGS, root).train
    rows = [{"image": {"bytes": None, "path": str(file)}} for file in sorted((pets / "train").glob("*/*.png"))]
    (pets / "train" / "dog" / "000.png").unlink()
    images = replace(images, store=Rows({"train": rows}, "image"))
    with pytest.raises(ValueError, match=f"^row 5 of train in {root} could be read when it was checked, but not now:"):
        list(epoch_batches(images, views_of(SETTINGS, images, seed=3), epoch=1, seed=3, batch_size=14))


def test_a_table_without_parts_and_with_words_for_classes(library: Any, pets: Path, tmp_path: Path) -> None:
    table(library, pets / "train", label=library.Value("string")).save_to_disk(str(tmp_path / "saved"))
    listing = find_pictures(Path(f"hf:{tmp_path / 'saved'}"))
    assert listing.labels == tuple(CLASSES)
    assert {entry.part for entry in listing.entries} == {None}
    assert listing.entries[0].path == "all/000000000"


def test_several_columns_of_classes_are_asked_about(library: Any, pets: Path, tmp_path: Path) -> None:
    root = saved(library, pets, tmp_path / "saved", kind=library.ClassLabel(names=["pet", "fish", "worm"]))
    assert find_pictures(root).labels == tuple(CLASSES), "the one called label"
    assert find_pictures(Path(f"{root}?label=kind")).labels == ("fish", "pet", "worm")
    with pytest.raises(ValueError, match=r"Columns are image, label, kind; of pictures image, of classes label, kind"):
        find_pictures(Path(f"{root}?label=kinds"))
    with pytest.raises(ValueError, match=r"no choice called 'labels'; there are config, image, label"):
        find_pictures(Path(f"{root}?labels=kind"))


def test_rows_without_a_class_are_left_out(library: Any, pets: Path, tmp_path: Path) -> None:
    data = table(library, pets / "train")
    data = data.map(lambda row, number: {"label": -1 if number == 3 else row["label"]}, with_indices=True)
    data.save_to_disk(str(tmp_path / "saved"))
    listing = find_pictures(Path(f"hf:{tmp_path / 'saved'}"))
    assert (len(listing.entries), listing.lost) == (13, {"all/000000003": "no class"})


def test_nothing_is_fetched_unasked(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    before = library.config.HF_HUB_OFFLINE
    with pytest.raises(FileNotFoundError, match=r"hf:nobody/none .* nothing is fetched without --download"):
        find_pictures(Path("hf:nobody/none"))
    assert before == library.config.HF_HUB_OFFLINE


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"hf:pets needs datasets, which is not installed: pip install 'decant-kd\[hf\]"
    ):
        find_pictures(Path("hf:pets"))
