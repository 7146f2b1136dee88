"""Pictures in tar files serve what the same pictures in folders do; hostile and broken files are told."""

import io
import json
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.made_pictures import folder
from decant.data import DataSettings, PictureSettings, PictureSplits, epoch_batches, load_pictures, views_of
from decant.data.pictures.find import find_pictures
from decant.data.pictures.shards import Shards, index_shard

SETTINGS = DataSettings(name="pictures", pictures=PictureSettings(size=8))


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def shard(path: Path, fill: Callable[[tarfile.TarFile], None]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        fill(tar)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    folder(root / "train", {"cat": 5, "dog": 5, "eel": 4})
    folder(root / "val", {"cat": 2, "dog": 2, "eel": 2})
    return root


def packed(root: Path, out: Path, *, labels: str = "folder") -> Path:
    """The pictures of a folder in shards of four, with their class in a folder's name, a .cls or a .json file."""
    for part in ("train", "val"):
        files = sorted((root / part).glob("*/*.png"))
        for number in range(0, len(files), 4):

            def fill(tar: tarfile.TarFile, number: int = number, files: list[Path] = files) -> None:
                for place, file in enumerate(files[number : number + 4], number):
                    name = file.parent.name
                    key = f"{name}/{file.stem}" if labels == "folder" else f"{place:05}"
                    if labels == "cls":
                        add(tar, f"{key}.cls", str(["cat", "dog", "eel"].index(name)).encode())
                    add(tar, f"{key}.png", file.read_bytes())
                    if labels == "json":
                        add(tar, f"{key}.json", json.dumps({"label": name, "width": 8}).encode())

            shard(out / f"pets-{part}-{number:04}.tar", fill)
    return out


def loaded(root: Path, workers: int = 0, cache: Path | None = None) -> tuple[PictureSplits, list[str]]:
    lines: list[str] = []
    return load_pictures(SETTINGS, root, workers=workers, cache=cache, say=lines.append), lines


@pytest.mark.parametrize("labels", ["folder", "cls", "json"])
def test_batches_are_those_of_the_same_pictures_in_folders(labels: str, pets: Path, tmp_path: Path) -> None:
    there, _ = loaded(pets)
    shards = packed(pets, tmp_path / "shards", labels=labels)
    if labels == "cls":
        (shards / "classes.txt").write_text("cat\ndog\neel\n")
    here, lines = loaded(shards, workers=2)
    assert f"{shards}: 3 classes, 14 to train on, 6 to test on; 4 to 5 of a class to train on" in lines
    assert here.train.classes == ("cat", "dog", "eel")
    sets = zip((there.train, there.test), (here.train, here.test), strict=True)
    for one, other in sets:
        assert torch.equal(one.target, other.target)
        batches = [
            list(epoch_batches(images, views_of(SETTINGS, images, seed=3), epoch=2, seed=3, batch_size=4, start=1))
            for images in (one, other)
        ]
        for mine, given in zip(*batches, strict=True):
            assert torch.equal(mine.images[0], given.images[0])
            assert torch.equal(mine.index, given.index)


def test_numbers_without_names_are_written_so_that_they_stay_in_order(pets: Path, tmp_path: Path) -> None:
    picture = (pets / "train" / "cat" / "000.png").read_bytes()

    def fill(tar: tarfile.TarFile) -> None:
        for number in (0, 2, 10):
            for place in range(3):
                add(tar, f"{number}-{place}.png", picture)
                add(tar, f"{number}-{place}.cls", f"{number}\n".encode())

    listing = find_pictures(shard(tmp_path / "all.tar", fill))
    assert listing.labels == ("00", "02", "10")
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    with pytest.raises(ValueError, match=r"classes\.txt has 3 lines, but there is a class 10"):
        find_pictures(tmp_path / "all.tar")


def test_headers_are_read_once(pets: Path, tmp_path: Path) -> None:
    shards, cache = packed(pets, tmp_path / "shards"), tmp_path / "cache"
    first, _ = loaded(shards, cache=cache)
    kept = sorted(cache.glob("shard-*.json"))
    assert len(kept) == len(list(shards.glob("*.tar")))
    values = json.loads(kept[0].read_text())
    values["samples"] = values["samples"][:-1]
    kept[0].write_text(json.dumps(values))
    again, _ = loaded(shards, cache=cache)
    assert again.train.size + again.test.size == first.train.size + first.test.size - 1, "what is kept was taken"
    for path in shards.glob("*.tar"):
        os.utime(path, ns=(1, 1))
    assert loaded(shards, cache=cache)[0].train.fingerprint() == first.train.fingerprint()


def test_shards_alike_in_name_size_and_time_are_read_apart(pets: Path, tmp_path: Path) -> None:
    picture = (pets / "train" / "cat" / "000.png").read_bytes()
    root, cache = tmp_path / "alike", tmp_path / "cache"
    for part, first in (("train", "cat"), ("val", "dog")):

        def fill(tar: tarfile.TarFile, first: str = first) -> None:
            for name in (first, "cat", "dog"):
                add(tar, f"{name}/{first}.png", picture)

        os.utime(shard(root / part / "000.tar", fill), ns=(1, 1))
    paths = [root / part / "000.tar" for part in ("train", "val")]
    assert len({(path.stat().st_size, path.stat().st_mtime_ns) for path in paths}) == 1
    for path in paths:
        assert index_shard(path, cache) == index_shard(path)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("name", ["pets.TAR", "folder/pets.Tar"])
def test_an_ending_in_capitals_is_one(name: str, pets: Path, tmp_path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        for file in sorted((pets / "train").glob("*/*.png")):
            add(tar, f"{file.parent.name}/{file.name}", file.read_bytes())

    path = shard(tmp_path / name, fill)
    splits, _ = loaded(path.parent if "folder" in name else path)
    assert splits.train.classes == ("cat", "dog", "eel")
    assert splits.train.size + splits.test.size == 14


def test_classes_of_one_name_are_refused(pets: Path, tmp_path: Path) -> None:
    picture = (pets / "train" / "cat" / "000.png").read_bytes()

    def fill(tar: tarfile.TarFile) -> None:
        for number in range(3):
            add(tar, f"{number}.png", picture)
            add(tar, f"{number}.cls", str(number).encode())

    path = shard(tmp_path / "all.tar", fill)
    names = tmp_path / "classes.txt"
    names.write_text("crane\nowl\ncrane\n")
    with pytest.raises(ValueError, match=r"classes\.txt calls several classes the same, .*: 'crane' is 0 and 2; give"):
        find_pictures(path)
    names.write_text("crane (bird)\nowl\ncrane (machine)\n\n\n")
    assert find_pictures(path).labels == ("crane (bird)", "crane (machine)", "owl")


def test_members_that_are_no_pictures_of_ours_are_refused_or_counted(pets: Path, tmp_path: Path) -> None:
    picture = (pets / "train" / "cat" / "000.png").read_bytes()

    def fill(tar: tarfile.TarFile) -> None:
        for name in ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"):
            add(tar, name, picture)
        add(tar, "../../outside.png", picture)
        add(tar, "/etc/passwd.png", picture)
        add(tar, "cat/3.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(tar, "cat/4.png", type=tarfile.LNKTYPE, linkname="cat/1.png")
        add(tar, "dev.png", type=tarfile.CHRTYPE)
        add(tar, "pipe.png", type=tarfile.FIFOTYPE)
        add(tar, "cat/1.PNG", picture)
        add(tar, "bare.png", picture)
        add(tar, "bad.png", picture)
        add(tar, "bad.json", b"[" * 100_000)
        add(tar, "broken/1.png", b"no picture")
        add(tar, "cat/5.txt", b"words")

    path = shard(tmp_path / "hostile.tar", fill)
    index = index_shard(path)
    assert index.aside == 5
    assert index.lost == {
        "../../outside.png": "a name that leads out of the shard",
        "/etc/passwd.png": "a name that leads out of the shard",
        "cat/1.PNG": "a second picture of one sample, beside cat/1.png",
        "bad.json": "no label that can be read",
    }
    splits, lines = loaded(path)
    assert splits.train.classes == ("cat", "dog")
    said = "\n".join(lines)
    assert "7 unreadable, left out" in said
    assert "hostile.tar:bare.png: no class: neither .cls nor .json with label, nor a folder" in said
    assert "without a picture to train on, left out: 'broken'" in said
    assert "5 members of shards are no pictures (or links, devices and the like) and are left aside" in said


@pytest.mark.parametrize(("size", "pictures"), [(3 * 1024, 3), (3 * 1024 + 300, 3), (3 * 1024 + 612, 3), (700, 0)])
def test_a_shard_that_was_cut_off_is_told(size: int, pictures: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * 2

    def fill(tar: tarfile.TarFile) -> None:
        for number in range(4):
            add(tar, f"cat/{number}.png", content)

    path = shard(tmp_path / "cut.tar", fill)
    path.write_bytes(path.read_bytes()[:size])  # a member is 512 bytes of header and 512 of content
    index = index_shard(path)
    assert len(index.samples) == pictures
    assert "damaged or cut off after" in index.lost["cut.tar"]


def test_garbage_between_members_is_told(tmp_path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        for number in range(4):
            add(tar, f"cat/{number}.png", b"x" * 512)

    path = shard(tmp_path / "garbage.tar", fill)
    content = bytearray(path.read_bytes())
    content[2048:2560] = b"\x7f" * 512
    path.write_bytes(content)
    index = index_shard(path)
    assert len(index.samples) == 2
    assert "no end-of-archive mark" in index.lost["garbage.tar"]


def test_what_is_no_plain_tar_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w:gz") as tar:
        add(tar, "cat/1.png", b"x")
    with pytest.raises(ValueError, match=r"a\.tar is not an uncompressed tar file .*: unpack it to \.tar"):
        find_pictures(tmp_path / "a.tar")


def test_parts_for_some_shards_only_are_refused(pets: Path, tmp_path: Path) -> None:
    shards = packed(pets, tmp_path / "shards")
    next(iter(shards.glob("*-val-*"))).rename(shards / "more.tar")
    with pytest.raises(ValueError, match=r"some shards are of a part \(train, val\) and others of none"):
        find_pictures(shards)


def test_class_folders_with_a_tar_beside_them_are_class_folders(pets: Path, tmp_path: Path) -> None:
    (pets / "download.tar").write_bytes(b"")
    assert len(find_pictures(pets).entries) == 20


def test_a_shard_that_became_shorter_is_told(pets: Path, tmp_path: Path) -> None:
    shards = packed(pets, tmp_path / "shards")
    splits, _ = loaded(shards)
    path = str(splits.train.path(0).relative_to(shards))
    name = path.partition(":")[0]
    (shards / name).write_bytes((shards / name).read_bytes()[:100])
    with pytest.raises(OSError, match="ends before"):
        Shards().open(shards, path)
    member = rf"^\w+/\d+\.png in {re.escape(str(shards / name))}"
    with pytest.raises(ValueError, match=f"{member} could be read when it was checked, but not now: .* ends before"):
        list(epoch_batches(splits.train, views_of(SETTINGS, splits.train, seed=0), epoch=0, seed=0, batch_size=14))


def test_pictures_without_a_label_go_with_files_alone(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    settings = replace(SETTINGS, unlabelled=True)
    with pytest.raises(ValueError, match="are inside of shards or tables: write them to files"):
        load_pictures(settings, packed(pets, tmp_path / "shards"), unlabelled=tmp_path / "more")
