"""Mixed images and labels: what is drawn, what is seen of each image, and that it depends on counters alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from decant.data import EpochOrder, Mixing, Views, epoch_order
from decant.data.symmetric_beta import SymmetricBeta
from decant.interfaces import Batch

CLASSES, SIDE = 5, 8


def order(epoch: int = 0, size: int = 4000, batch_size: int = 50) -> EpochOrder:
    views = Views(mean=(0.0,), std=(1.0,), padding=0, flip=False, seed=0)
    return epoch_order(size, views, epoch=epoch, seed=0, batch_size=batch_size)


def mixing(*, mixup: float = 0.0, cutmix: float = 0.0, label_smoothing: float = 0.0, seed: int = 0) -> Mixing:
    return Mixing(mixup=mixup, cutmix=cutmix, label_smoothing=label_smoothing, classes=CLASSES, seed=seed)


def plain(of: EpochOrder, step: int = 0) -> Batch:
    """A batch in which every pixel of an image is the image's position."""
    index = of.index[of.part(step)]
    images = index.float()[:, None, None, None].expand(-1, 3, SIDE, SIDE).contiguous()
    return Batch((images,), index % CLASSES, index)


@pytest.mark.parametrize("a", [0.05, 0.2, 0.7, 1.0, 2.0, 30.0])
def test_quantiles_are_those_of_the_beta_distribution(a: float) -> None:
    special = pytest.importorskip("scipy.special")
    uniform = (np.arange(5000) + 0.5) / 5000
    np.testing.assert_allclose(SymmetricBeta(a)(uniform), special.betaincinv(a, a, uniform), atol=1e-5)


@pytest.mark.parametrize("a", [0.2, 1.0, 4.0])
def test_draws_have_the_mean_and_variance_of_the_beta_distribution(a: float) -> None:
    uniform = (np.arange(20000) + 0.5) / 20000
    drawn = SymmetricBeta(a)(uniform)
    assert drawn.mean() == pytest.approx(0.5, abs=1e-6)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * a + 1)), rel=1e-3)
    assert drawn.min() >= 0
    assert drawn.max() <= 1


@pytest.mark.parametrize("a", [0.0, -1.0, 101.0, float("nan")])
def test_a_concentration_out_of_range_is_refused(a: float) -> None:
    with pytest.raises(ValueError, match="concentration is above 0 and at most 100"):
        SymmetricBeta(a)


def test_mixup_blends_each_image_and_label_with_the_one_before_it() -> None:
    of, mixer = order(), mixing(mixup=1.0)
    mixes = mixer.draw(of, SIDE, SIDE)
    batch = plain(of, step=3)
    mixed = mixer(batch, mixes, of.part(3))
    assert batch.target is not None
    assert mixed.target is not None
    own = mixes.share[of.part(3)]
    before = torch.arange(-1, 49)
    expected = own * batch.index + (1 - own) * batch.index[before]
    torch.testing.assert_close(mixed.images[0], expected[:, None, None, None].expand(-1, 3, SIDE, SIDE))
    for place in range(50):
        label = torch.zeros(CLASSES)
        label[batch.target[place]] += own[place]
        label[batch.target[place - 1]] += 1 - own[place]
        torch.testing.assert_close(mixed.target[place], label)
    assert len(own.unique()) > 45, "each sample draws its own"
    assert float(mixes.share.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(mixes.share.var()) == pytest.approx(1 / 12, abs=0.005)


def test_cutmix_labels_by_the_pixels_that_are_left() -> None:
    of, mixer = order(), mixing(cutmix=1.0)
    mixes = mixer.draw(of, SIDE, SIDE)
    batch = plain(of)
    mixed = mixer(batch, mixes, of.part(0))
    assert mixed.target is not None
    own = mixed.images[0] == batch.images[0]
    other = mixed.images[0] == batch.images[0].roll(1, 0)
    assert bool((own | other).all()), "a pixel is of one image or of the other, to the bit"
    left = own.float().mean((1, 2, 3))
    torch.testing.assert_close(left, mixes.share[:50])
    assert len(left.unique()) > 10
    for place in range(50):  # one rectangle
        rows, columns = (~own[place, 0]).any(1), (~own[place, 0]).any(0)
        assert int((~own[place, 0]).sum()) == int(rows.sum()) * int(columns.sum())
    centres = mixes.box[(1 - mixes.share) > 0].float()
    assert float(centres[:, :2].mean()) == pytest.approx(SIDE / 2, abs=0.2)
    assert float(centres[:, 2:].mean()) == pytest.approx(SIDE / 2, abs=0.2)


def test_with_both_half_of_the_samples_get_each() -> None:
    mixes = mixing(mixup=1.0, cutmix=1.0).draw(order(), SIDE, SIDE)
    blended = mixes.blended < 1
    assert float(blended.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert bool((mixes.box[blended] == 0).all()), "never both"
    torch.testing.assert_close(mixes.share[blended], mixes.blended[blended])


def test_smoothing_spreads_a_share_over_all_classes() -> None:
    of, mixer = order(), mixing(label_smoothing=0.2)
    batch = plain(of)
    smooth = mixer(batch, mixer.draw(of, SIDE, SIDE), of.part(0))
    assert batch.target is not None
    assert smooth.target is not None
    assert smooth.images[0] is batch.images[0]
    torch.testing.assert_close(smooth.target[torch.arange(50), batch.target], torch.full((50,), 0.84))
    torch.testing.assert_close(smooth.target.sum(1), torch.ones(50))
    logits = torch.randn(50, CLASSES, generator=torch.Generator().manual_seed(0))
    ours = torch.nn.functional.cross_entropy(logits, smooth.target)
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(logits, batch.target, label_smoothing=0.2))


def test_labels_sum_to_1_and_views_share_what_is_drawn() -> None:
    of, mixer = order(), mixing(mixup=0.4, cutmix=1.0, label_smoothing=0.1)
    batch = plain(of)
    twice = mixer(replace(batch, images=batch.images * 2), mixer.draw(of, SIDE, SIDE), of.part(0))
    assert twice.target is not None
    assert torch.equal(*twice.images)
    torch.testing.assert_close(twice.target.sum(1), torch.ones(50))


def test_what_a_sample_draws_is_of_seed_epoch_and_position_alone() -> None:
    def shares(of: EpochOrder, seed: int = 0) -> Tensor:
        return mixing(mixup=1.0, seed=seed).draw(of, SIDE, SIDE).share[of.index.argsort()]

    whole = shares(order())
    assert torch.equal(whole, shares(order(batch_size=7)))
    assert torch.equal(whole[:100], shares(order(size=100)))
    assert not torch.equal(whole, shares(order(epoch=1)))
    assert not torch.equal(whole, shares(order(), seed=1))


def test_the_memory_layout_is_kept() -> None:
    of, mixer = order(), mixing(mixup=1.0)
    batch = plain(of)
    last = replace(batch, images=(batch.images[0].contiguous(memory_format=torch.channels_last),))
    mixed = mixer(last, mixer.draw(of, SIDE, SIDE), of.part(0))
    assert mixed.images[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_gives_the_same_bits() -> None:
    of, mixer = order(), mixing(mixup=0.4, cutmix=1.0, label_smoothing=0.1)
    batch, mixes = plain(of), mixer.draw(of, SIDE, SIDE)
    assert batch.target is not None
    there = Batch((batch.images[0].cuda(),), batch.target.cuda(), batch.index.cuda())
    here, made = mixer(batch, mixes, of.part(0)), mixer(there, mixes, of.part(0))
    assert here.target is not None
    assert made.target is not None
    assert torch.equal(made.images[0].cpu(), here.images[0])
    assert torch.equal(made.target.cpu(), here.target)
