"""Training samples without a label: hidden on purpose, or pictures of another folder."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from data.made_pictures import folder, save
from decant.data import (
    DataSettings,
    PictureSettings,
    PictureSplits,
    Views,
    epoch_batches,
    epoch_order,
    labelled_positions,
    load,
    load_pictures,
    views_of,
)
from decant.interfaces import UNLABELLED

PICTURES = DataSettings(name="pictures", pictures=PictureSettings(size=8), unlabelled=True)


def target(share: float, split_seed: int = 0) -> Tensor:
    data = DataSettings(name="fake", fake_train=200, fake_classes=5, hidden_labels=share, split_seed=split_seed)
    return load(data).train.target


def test_a_share_of_every_class_is_hidden_and_a_smaller_one_is_part_of_a_larger() -> None:
    right, few, many = target(0.0), target(0.25), target(0.9)
    for hidden, share in ((few, 0.25), (many, 0.9)):
        shown = hidden != UNLABELLED
        assert torch.equal(hidden[shown], right[shown])
        count = right.bincount()
        assert torch.equal(right[~shown].bincount(minlength=5), (count * share).round().long())
    assert bool((many[few == UNLABELLED] == UNLABELLED).all())
    assert torch.equal(target(0.25), few)
    assert not torch.equal(target(0.25, split_seed=1), few)
    assert torch.equal(labelled_positions(few), (few != UNLABELLED).nonzero()[:, 0])


def test_one_label_of_each_class_stays() -> None:
    assert target(0.999)[target(0.999) != UNLABELLED].bincount().tolist() == [1] * 5


def test_test_and_validation_labels_are_shown() -> None:
    splits = load(DataSettings(name="fake", validation=0.2, hidden_labels=0.5))
    assert splits.validation is not None
    assert bool((splits.test.target >= 0).all())
    assert bool((splits.validation.target >= 0).all())
    assert bool((splits.train.target == UNLABELLED).any())


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="hidden_labels is a share of the training labels, at least 0 and below 1"):
        DataSettings(hidden_labels=share)


def test_unlabelled_pictures_are_for_pictures() -> None:
    with pytest.raises(ValueError, match="unlabelled is for one's own pictures; hidden_labels hides those of cifar10"):
        DataSettings(name="cifar10", unlabelled=True)


def loaded(root: Path, unlabelled: Path | None, settings: DataSettings = PICTURES) -> tuple[PictureSplits, list[str]]:
    said: list[str] = []
    return load_pictures(settings, root, unlabelled=unlabelled, say=said.append), said


def test_pictures_of_a_folder_come_behind_the_labelled_ones(tmp_path: Path) -> None:
    pets = folder(tmp_path / "pets", {"cat": 5, "dog": 5})
    more = tmp_path / "more"
    save(more / "a.png", seed=1)
    save(more / "deep" / "er" / "ü.png", seed=2)
    (more / "broken.jpg").write_bytes(b"no picture")
    alone, _ = loaded(pets, None, replace(PICTURES, unlabelled=False))
    both, said = loaded(pets, more)
    assert both.train.size == alone.train.size + 2
    assert both.train.target.tolist() == [*alone.train.target.tolist(), UNLABELLED, UNLABELLED]
    last = [both.train.path(both.train.size - back) for back in (2, 1)]
    assert [path.samefile(more / name) for path, name in zip(last, ("a.png", "deep/er/ü.png"), strict=True)] == [
        True
    ] * 2
    assert both.test.fingerprint() == alone.test.fingerprint()
    assert both.train.fingerprint() != alone.train.fingerprint()
    assert f"{more}: 2 pictures without a label, beside 8 with one to train on" in said
    assert any("broken.jpg" in line for line in said)
    views = views_of(PICTURES, both.train, seed=0)
    batches = list(epoch_batches(both.train, views, epoch=0, seed=0, batch_size=4))
    assert sorted(torch.cat([batch.index for batch in batches]).tolist()) == list(range(10))
    met = torch.cat([batch.target for batch in batches if batch.target is not None])
    assert int((met == UNLABELLED).sum()) == 2


def test_a_root_that_is_a_link(tmp_path: Path) -> None:
    pets = folder(tmp_path / "far" / "away" / "pets", {"cat": 3, "dog": 3})
    (tmp_path / "link").symlink_to(pets)
    save(tmp_path / "more" / "a.png", seed=1)
    both, _ = loaded(tmp_path / "link", tmp_path / "more")
    assert both.train.path(both.train.size - 1).is_file()


def test_what_is_no_unlabelled_folder_is_refused(tmp_path: Path) -> None:
    pets = folder(tmp_path / "pets", {"cat": 3, "dog": 3})
    with pytest.raises(ValueError, match=r"data.unlabelled asks for pictures without a label.*--unlabelled FOLDER"):
        loaded(pets, None)
    with pytest.raises(FileNotFoundError, match="there is no such folder; give a folder of pictures without labels"):
        loaded(pets, tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"is cat/000.png of the pictures with labels, some of which are tested on"):
        loaded(pets, pets)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="expected pictures without a label, found none that can be read"):
        loaded(pets, tmp_path / "empty")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "innocent.png").symlink_to(pets / "dog" / "001.png")
    with pytest.raises(ValueError, match=r"innocent.png is dog/001.png of the pictures with labels"):
        loaded(pets, tmp_path / "linked")


def test_without_being_asked_for_the_folder_is_not_looked_at(tmp_path: Path) -> None:
    pets = folder(tmp_path / "pets", {"cat": 3, "dog": 3})
    splits, _ = loaded(pets, tmp_path / "nowhere", replace(PICTURES, unlabelled=False))
    assert bool((splits.train.target >= 0).all())


@pytest.mark.parametrize("world", [1, 3])
def test_an_order_among_some_meets_these_alone_each_time_in_views_of_its_own(world: int) -> None:
    views = Views(mean=(0.0,), std=(1.0,), padding=4, flip=True, seed=0)
    among = torch.tensor([3, 7, 8, 30])
    orders = [
        epoch_order(20, views, epoch=2, seed=1, batch_size=2, rank=rank, world=world, views_per_sample=2, among=among)
        for rank in range(world)
    ]
    index = torch.cat([order.index for order in orders])
    if world == 1:
        assert index.bincount(minlength=31)[among].tolist() == [5] * 4
        assert index[:4].sort().values.tolist() == among.tolist(), "all of them before one again"
    assert set(index.tolist()) == set(among.tolist())
    assert {order.steps for order in orders} == {-(-20 // (2 * world))}
    ids = torch.stack([torch.cat([order.view_ids[view] for order in orders]) for view in (0, 1)])
    assert len(ids[:, index == 7].unique()) > 5, "ten numbers out of 162"
    whole = epoch_order(20, views, epoch=2, seed=1, batch_size=2, among=among)
    again = epoch_order(20, views, epoch=3, seed=1, batch_size=2, among=among)
    assert not torch.equal(whole.index, again.index)
