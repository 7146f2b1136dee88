"""From a folder to batches: checked, split, and the same whoever reads the files."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data.made_pictures import folder, save
from decant.data import (
    DataSettings,
    PictureSet,
    PictureSettings,
    PictureSplits,
    PictureViews,
    Views,
    epoch_batches,
    load,
    load_pictures,
    plain_batches,
    views_of,
)
from decant.data.pictures import picture_set
from decant.data.pictures.cut import centre, draws, view
from decant.data.pictures.decode import decode
from decant.interfaces import Batch

PICTURES = PictureSettings(size=8, test=0.3)


def settings(**changes: Any) -> DataSettings:
    return DataSettings(name="pictures", pictures=PICTURES, **changes)


def loaded(root: Path, **changes: Any) -> PictureSplits:
    places = {key: changes.pop(key) for key in ("workers", "cache", "say") if key in changes}
    return load_pictures(settings(**changes), root, **places)


def files(part: PictureSet | None) -> list[str]:
    assert part is not None
    return [os.fsdecode(file) for file in part.files]


def batches(part: PictureSet, **changes: Any) -> list[Batch]:
    views = views_of(settings(), part, seed=3)
    return list(epoch_batches(part, views, **{"epoch": 1, "seed": 5, "batch_size": 4, **changes}))


def equal(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(one, other)
        for mine, theirs in zip(first, second, strict=True)
        for one, other in zip(
            (mine.index, *mine.images, *mine.view_ids), (theirs.index, *theirs.images, *theirs.view_ids), strict=True
        )
    )


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return folder(tmp_path / "pets", {"cat": 10, "dog": 7, "hamster": 3})


def test_each_class_is_split_the_same_way_every_time(pets: Path) -> None:
    splits = loaded(pets)
    assert splits.train.classes == ("cat", "dog", "hamster")
    assert splits.test.target.bincount().tolist() == [3, 2, 1]
    assert splits.train.target.bincount().tolist() == [7, 5, 2]
    assert sorted(files(splits.train) + files(splits.test)) == sorted(
        str(path.relative_to(pets)) for path in pets.rglob("*.png")
    )
    again = loaded(pets, view_seed=4)
    assert again.test.fingerprint() == splits.test.fingerprint()
    assert again.train.fingerprint() == splits.train.fingerprint()
    assert splits.validation is None


def test_the_drawn_pictures_are_not_the_first_ones(tmp_path: Path) -> None:
    # Names often count what was taken one after the other.
    places = [int(Path(file).stem) for file in files(loaded(folder(tmp_path, {"a": 40, "b": 40})).test)]
    assert 10 < sum(places) / len(places) < 30
    assert max(places) > 30


def test_a_new_picture_moves_hardly_any_other(pets: Path) -> None:
    before = set(files(loaded(pets).test))
    save(pets / "cat" / "0005.png", seed=0)
    assert len(set(files(loaded(pets).test)) ^ before) <= 2


def test_parts_that_the_folder_names(tmp_path: Path) -> None:
    folder(tmp_path / "two", {"train/a": 4, "train/b": 4, "val/a": 2, "val/b": 1})
    splits = loaded(tmp_path / "two", validation=0.25)
    assert [part.size for part in (splits.train, splits.test) if part] == [6, 3]
    assert splits.validation is not None
    assert splits.validation.size == 2
    folder(tmp_path / "three", {"train/a": 4, "train/b": 4, "val/a": 2, "val/b": 1, "test/a": 1})
    heard: list[str] = []
    splits = loaded(tmp_path / "three", say=heard.append)
    assert (splits.train.size, splits.test.size, splits.validation) == (8, 1, None)
    assert any("are not used: data.validation above 0 asks for them" in line for line in heard)
    assert "  without a picture to test on: 'b'" in heard
    splits = loaded(tmp_path / "three", validation=0.1, train_per_class=2)
    assert (splits.train.size, splits.test.size) == (4, 1)
    assert files(splits.validation) == ["val/a/000.png", "val/a/001.png", "val/b/000.png"]


def test_what_is_found_is_said_and_what_is_broken_left_out(pets: Path, tmp_path: Path) -> None:
    (pets / "cat" / "broken.jpg").write_bytes(b"no picture")
    cut = save(pets / "cat" / "cut.png", seed=0, size=(300, 300))
    cut.write_bytes(cut.read_bytes()[:500])
    (pets / "cat" / "gone.png").symlink_to(tmp_path / "nowhere")
    save(pets / "dog" / "grey.png", seed=1, mode="L", size=(30, 40))
    save(pets / "dog" / "cmyk.jpg", seed=1, mode="CMYK")
    (pets / "empty").mkdir()
    folder(pets, {"single": 1})
    before = {path: path.read_bytes() for path in pets.rglob("*") if path.is_file()}
    heard: list[str] = []
    splits = loaded(pets, say=heard.append, cache=tmp_path / "cache")
    text = "\n".join(heard)
    assert heard[0] == f"{pets}: 4 classes, 16 to train on, 7 to test on; 1 to 7 of a class to train on"
    assert heard[1] == "  shorter side 16 to 30 pixels, median 16; 21 RGB, 1 CMYK, 1 grey"
    assert "3 unreadable, left out:" in text
    assert "cat/broken.jpg: cannot identify image file" in text
    assert "cat/cut.png: " in text
    assert "cat/gone.png: a link to nothing" in text
    assert "without a picture to train on, left out: 'empty'" in text
    assert "of one picture, trained on but not tested: 'single'" in text
    assert "cat/broken.jpg" not in files(splits.train) + files(splits.test)
    assert {path: path.read_bytes() for path in pets.rglob("*") if path.is_file()} == before


def test_a_check_is_made_once(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pets / "cat" / "broken.jpg").write_bytes(b"no picture")
    first, second = list[str](), list[str]()
    cache = tmp_path / "new" / "cache"
    splits = loaded(pets, cache=cache, say=first.append)
    monkeypatch.setattr("decant.data.pictures.check.decode", lambda path: pytest.fail(f"decoded {path} again"))
    assert loaded(pets, cache=cache, say=second.append).train.fingerprint() == splits.train.fingerprint()
    assert first == second
    (pets / "cat" / "broken.jpg").write_bytes(b"another file now")
    with pytest.raises(pytest.fail.Exception, match="decoded"):
        loaded(pets, cache=cache)


def test_workers_find_the_same(pets: Path) -> None:
    (pets / "cat" / "broken.jpg").write_bytes(b"no picture")
    alone, helped = list[str](), list[str]()
    assert (
        loaded(pets, say=alone.append).train.fingerprint()
        == loaded(pets, workers=2, say=helped.append).train.fingerprint()
    )
    assert alone == helped


def test_classes_that_cannot_be_trained_on(tmp_path: Path) -> None:
    folder(tmp_path / "other", {"train/a": 2, "train/b": 2, "val/images": 2})
    with pytest.raises(
        ValueError, match=r"have classes that none to train on has: 'images'; the folders of both parts"
    ):
        loaded(tmp_path / "other")
    folder(tmp_path / "one", {"a": 3, "b": 1})
    (tmp_path / "one/b/000.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match="two or more classes with readable pictures to train on, found 'a'"):
        loaded(tmp_path / "one")
    folder(tmp_path / "few", {"a": 1, "b": 1})
    with pytest.raises(ValueError, match="no picture that can be read is left to test on"):
        loaded(tmp_path / "few")
    with pytest.raises(ValueError, match="takes 0 of the 2 images of class 'a'"):
        loaded(folder(tmp_path / "two", {"a": 3, "b": 3}), validation=0.1)
    with pytest.raises(ValueError, match="pictures are read from a folder: pass root"):
        load_pictures(settings(), None)
    with pytest.raises(ValueError, match="load_pictures"):
        load(settings())


def test_a_batch_is_windows_of_its_pictures(pets: Path) -> None:
    train = loaded(pets).train
    met: list[int] = []
    for step, batch in enumerate(batches(train, views_per_sample=2)):
        assert batch.epoch == 1 + step / 4
        assert isinstance(batch.target, torch.Tensor)
        assert torch.equal(batch.target, train.target[batch.index])
        for images, ids in zip(batch.images, batch.view_ids, strict=True):
            assert images.dtype == torch.float32
            for image, place, drawn in zip(images, batch.index.tolist(), draws(ids), strict=True):
                pixels = np.asarray(view(decode(train.path(place)).image, drawn, PICTURES, flip=True)) / 255
                expected = torch.tensor((pixels - PICTURES.mean) / PICTURES.std).permute(2, 0, 1)
                assert torch.allclose(image, expected.float(), atol=1e-5)
        assert not torch.equal(*batch.images)
        met += batch.index.tolist()
    assert sorted(met) == list(range(train.size))


def test_strong_views_are_windows_with_changes_of_their_own(pets: Path) -> None:
    train = loaded(pets).train
    views = views_of(settings(), train, seed=3)
    assert isinstance(views, PictureViews)
    for batch in batches(train, views_per_sample=2, strong_views=1):
        assert isinstance(batch.target, torch.Tensor)
        ids = batch.view_ids[1]
        drawn = draws(ids)
        pixels = [
            torch.from_numpy(np.array(view(decode(train.path(place)).image, numbers, PICTURES, flip=True)))
            for place, numbers in zip(batch.index.tolist(), drawn, strict=True)
        ]
        changed = views.strong(torch.stack(pixels).permute(0, 3, 1, 2), ids % views.strong.count)
        assert torch.equal(batch.images[1], views.normalise(changed))
        expected = views.strong.numbers(batch.index, seed=3, epoch=1, view=1)
        assert torch.equal(ids % views.strong.count, expected)
        assert int(ids.min()) >= 0
    with pytest.raises(ValueError, match="these views have no strong ones"):
        PictureViews(PICTURES, flip=True, seed=0).view_ids(torch.arange(3), 0, strong=True)


def test_workers_change_no_batch(pets: Path) -> None:
    for changes in ({}, {"start": 2}, {"views_per_sample": 2}, {"rank": 1, "world": 2}):
        alone, helped = (batches(loaded(pets, workers=workers).train, **changes) for workers in (0, 2))
        assert alone
        assert equal(alone, helped)
    whole, rest = batches(loaded(pets).train), batches(loaded(pets).train, start=2)
    assert equal(whole[2:], rest)
    assert not equal(whole, batches(loaded(pets).train, epoch=2))


@pytest.mark.parametrize("workers", [0, 2])
def test_global_randomness_is_left_alone(pets: Path, workers: int) -> None:
    before = torch.get_rng_state()
    train = loaded(pets, workers=workers).train
    batches(train)
    list(plain_batches(train, 4))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_meets_the_centre_of_every_picture_once(pets: Path, world: int) -> None:
    test = loaded(pets).test
    met: list[int] = []
    for rank in range(world):
        for batch in plain_batches(test, 2, rank=rank, world=world):
            for image, place in zip(batch.images[0], batch.index.tolist(), strict=True):
                pixels = np.asarray(centre(decode(test.path(place)).image, PICTURES)) / 255
                expected = torch.tensor((pixels - PICTURES.mean) / PICTURES.std).permute(2, 0, 1)
                assert torch.allclose(image, expected.float(), atol=1e-5)
            met += batch.index.tolist()
    assert met == list(range(test.size))


def test_evaluation_in_channels_last(pets: Path) -> None:
    batch = next(plain_batches(loaded(pets).test, 4, memory_format=torch.channels_last))
    assert batch.images[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_breaks_later_is_named(pets: Path, workers: int) -> None:
    train = loaded(pets, workers=workers).train
    train.path(3).write_bytes(b"not any more")
    with pytest.raises(ValueError, match=f"{train.path(3)} could be read when it was checked, but not now: cannot"):
        batches(train)


def test_a_worker_that_dies_is_no_riddle(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = loaded(pets, workers=2).train
    main = os.getpid()

    def killed(*_: object) -> None:
        assert os.getpid() != main
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(picture_set, "decode", killed)
    with pytest.raises(ChildProcessError, match=r"a process that reads pictures died .* Take fewer with --workers"):
        batches(train)


def test_views_must_be_those_of_the_set(pets: Path) -> None:
    views = Views(mean=(0.0,) * 3, std=(1.0,) * 3, padding=0, flip=False, seed=0)
    with pytest.raises(TypeError, match="the views are of another kind of set; views_of makes those of this one"):
        epoch_batches(loaded(pets).train, views, epoch=0, seed=0, batch_size=4)


def test_a_set_says_what_it_is(pets: Path) -> None:
    train = loaded(pets).train
    facts = train.facts()
    assert (facts.size, facts.classes, train.shape) == (14, ("cat", "dog", "hamster"), (14, 3, 8, 8))
    part = train.subset(torch.tensor([5, 1]), "part")
    assert files(part) == [files(train)[5], files(train)[1]]
    assert part.fingerprint() != train.subset(torch.tensor([1, 5]), "part").fingerprint()


def test_pictures_of_any_size_and_mode_make_one_batch(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 0, "b": 0})
    for place, (size, mode) in enumerate([((3, 50), "RGB"), ((50, 3), "L"), ((1, 1), "RGB"), ((64, 48), "P")]):
        save(tmp_path / "ab"[place % 2] / f"{place}.png", seed=place, size=size, mode=mode)
        Image.new("RGB", (9, 9)).save(tmp_path / "ab"[place % 2] / f"plain{place}.bmp")
    splits = loaded(tmp_path)
    assert all(
        batch.images[0].shape[1:] == (3, 8, 8) for part in (splits.train, splits.test) for batch in batches(part)
    )


def test_views_grow_by_epoch_and_show_the_same_windows(pets: Path) -> None:
    growing = replace(PICTURES, sizes=((1, 4), (3, 16)))
    train = load_pictures(DataSettings(name="pictures", pictures=growing), pets).train
    even = loaded(pets).train
    views = views_of(settings(), train, seed=0)
    for epoch, size in enumerate((8, 4, 4, 16)):
        batch = next(epoch_batches(train, views, epoch=epoch, seed=0, batch_size=4))
        assert batch.images[0].shape == (4, 3, size, size)
        same = next(epoch_batches(even, views_of(settings(), even, seed=0), epoch=epoch, seed=0, batch_size=4))
        assert torch.equal(batch.view_ids[0], same.view_ids[0])
        if size != 8:  # a window in another size has nearly the same mean
            shrunk = batch.images[0].mean((1, 2, 3)) - same.images[0].mean((1, 2, 3))
            assert shrunk.abs().max() < 0.1
        else:
            assert torch.equal(batch.images[0], same.images[0])
    assert next(plain_batches(train, 4)).images[0].shape == (4, 3, 8, 8), "evaluation is at the one size"
    with pytest.raises(ValueError, match="strong views are made for one size"):
        next(epoch_batches(train, views, epoch=1, seed=0, batch_size=4, strong_views=1))


@pytest.mark.parametrize("sizes", [((3, 8), (1, 8)), ((0, 8), (0, 9)), ((-1, 8),), ((0, 0),)])
def test_sizes_that_no_training_has_are_refused(sizes: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="sizes are pairs of an epoch, rising from 0 on"):
        PictureSettings(sizes=sizes)
