"""Views: equal to crops and flips made one by one, and a function of (seed, epoch, index, view) alone."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from decant.data import DataSettings, ImageSet, Views, load

PIXEL = ((0.0,), (1 / 255,))
"""Mean and std under which a normalised pixel is the pixel itself."""


def grey_views(padding: int = 4, flip: bool = True, seed: int = 0) -> Views:
    return Views(mean=PIXEL[0], std=PIXEL[1], padding=padding, flip=flip, seed=seed)


def noise(size: int, channels: int = 1, height: int = 8, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(size)
    return torch.randint(0, 256, (size, channels, height, width), generator=generator).to(torch.uint8)


def one_by_one(images: Tensor, view_ids: Tensor, padding: int, flip: bool) -> Tensor:
    """The same views by a loop over samples in numpy; pixels, not normalised."""
    side, flips = 2 * padding + 1, 1 + flip
    height, width = images.shape[2:]
    views = []
    for image, view in zip(images.numpy(), view_ids.tolist(), strict=True):
        row, column = divmod(view // flips, side)
        oriented = image[:, :, ::-1] if view % flips else image
        canvas = np.zeros((image.shape[0], height + 2 * padding, width + 2 * padding), dtype=np.float32)
        canvas[:, padding : padding + height, padding : padding + width] = oriented
        views.append(canvas[:, row : row + height, column : column + width])
    return torch.from_numpy(np.stack(views))


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(("padding", "height", "width"), [(0, 8, 8), (1, 8, 8), (4, 8, 6), (4, 32, 32)])
def test_equal_to_views_made_one_by_one(padding: int, height: int, width: int, flip: bool) -> None:
    views = grey_views(padding, flip)
    view_ids = torch.arange(views.count)
    images = noise(views.count, height=height, width=width)
    assert torch.equal(views.render(images, view_ids), one_by_one(images, view_ids, padding, flip))


def test_all_162_views_differ() -> None:
    views = grey_views()
    assert views.count == 162
    rendered = views.render(noise(1, height=32, width=32).expand(162, -1, -1, -1), torch.arange(162))
    assert len({view.numpy().tobytes() for view in rendered}) == 162


def test_normalised_per_channel_and_black_outside() -> None:
    mean, std = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
    views = Views(mean=mean, std=std, padding=2, flip=True, seed=0)
    images, view_ids = noise(50, channels=3), torch.arange(50)
    expected = torch.from_numpy(
        (one_by_one(images, view_ids, 2, True).double().numpy() / 255 - np.reshape(mean, (3, 1, 1)))
        / np.reshape(std, (3, 1, 1))
    )
    torch.testing.assert_close(views.render(images, view_ids).double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        views.plain(images).double(),
        (images.double() / 255 - torch.tensor(mean).double().view(3, 1, 1)) / torch.tensor(std).double().view(3, 1, 1),
        rtol=1e-6,
        atol=1e-6,
    )


def test_middle_window_is_the_plain_image() -> None:
    images = noise(5)
    middle = torch.full((5,), (4 * 9 + 4) * 2)
    assert torch.equal(grey_views().render(images, middle), grey_views().plain(images))


def test_no_augmentation_is_the_plain_image() -> None:
    views, images, index = grey_views(padding=0, flip=False), noise(20), torch.arange(20)
    assert views.count == 1
    assert torch.equal(views(images, index, epoch=3), views.plain(images))


def test_same_view_in_any_batch_and_order() -> None:
    views, images, index = grey_views(), noise(64), torch.arange(100, 164)
    whole = views(images, index, epoch=5)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(views(images[order], index[order], epoch=5), whole[order])
    for sample in range(0, 64, 9):
        alone = views(images[sample : sample + 1], index[sample : sample + 1], epoch=5)
        assert torch.equal(alone[0], whole[sample])
    assert torch.equal(views.view_ids(index.reshape(8, 8), 5).flatten(), views.view_ids(index, 5))


def test_equal_images_in_one_batch_get_views_of_their_own() -> None:
    twins = noise(1).expand(200, -1, -1, -1)
    rendered = grey_views()(twins, torch.arange(200), epoch=0)
    assert len({view.numpy().tobytes() for view in rendered}) > 100


def test_every_view_is_equally_likely() -> None:
    for padding, flip in ((4, True), (4, False), (0, True), (1, True)):
        views = grey_views(padding, flip)
        counts = views.view_ids(torch.arange(50_000), epoch=0).bincount(minlength=views.count)
        assert len(counts) == views.count
        assert chisquare(counts.numpy()).pvalue > 0.001


def test_every_view_is_equally_likely_for_one_sample_over_epochs() -> None:
    views, index = grey_views(padding=1), torch.arange(16)
    drawn = torch.stack([views.view_ids(index, epoch) for epoch in range(240)])
    assert chisquare(drawn.flatten().bincount(minlength=18).numpy()).pvalue > 0.001
    # 240 draws of 18: none is missing but once in 50,000 samples.
    assert all(len(set(of_sample.tolist())) == 18 for of_sample in drawn.T)


def test_epoch_seed_and_view_number_draw_anew() -> None:
    index = torch.arange(20_000)
    base = grey_views(seed=1).view_ids(index, epoch=1, view=0)
    others = (
        grey_views(seed=2).view_ids(index, epoch=1),
        grey_views(seed=1).view_ids(index, epoch=2),
        grey_views(seed=1).view_ids(index, epoch=1, view=1),
        grey_views(seed=1).view_ids(index + 1, epoch=1),
    )
    for other in others:
        # Independent draws agree once in 162; 20,000 of them 123 times, give or take 11.
        assert 70 < int((base == other).sum()) < 180


def test_crops_do_not_depend_on_flip() -> None:
    index = torch.arange(1000)
    assert torch.equal(grey_views(flip=True).view_ids(index, 3) // 2, grey_views(flip=False).view_ids(index, 3))


def test_call_renders_the_view_that_it_names() -> None:
    views, images, index = grey_views(), noise(30), torch.arange(30)
    for view in (0, 1):
        expected = views.render(images, views.view_ids(index, 4, view))
        assert torch.equal(views(images, index, 4, view=view), expected)
    assert not torch.equal(views(images, index, 4, view=0), views(images, index, 4, view=1))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_view_numbers_may_be_stored_small(dtype: torch.dtype) -> None:
    images, view_ids = noise(162), torch.arange(162)
    assert torch.equal(grey_views().render(images, view_ids.to(dtype)), grey_views().render(images, view_ids))


def test_channels_last_has_the_same_values() -> None:
    images, index = noise(8, channels=3), torch.arange(8)
    mean, std = (0.4,) * 3, (0.2,) * 3
    first = Views(mean=mean, std=std, padding=1, flip=True, seed=0)
    last = Views(mean=mean, std=std, padding=1, flip=True, seed=0, memory_format=torch.channels_last)
    assert torch.equal(first(images, index, 0), last(images, index, 0))
    assert last(images, index, 0).is_contiguous(memory_format=torch.channels_last)
    assert last.plain(images).is_contiguous(memory_format=torch.channels_last)
    assert first(images, index, 0).is_contiguous()


def test_images_are_left_as_they_are() -> None:
    images = noise(10)
    before = images.clone()
    grey_views()(images, torch.arange(10), 0)
    grey_views().plain(images)
    assert torch.equal(images, before)


def test_settings_decide() -> None:
    train = load(DataSettings()).train
    follows = Views.of(DataSettings(padding=2, flip=False), train, seed=11)
    assert (follows.padding, follows.flip, follows.seed, follows.count) == (2, False, 11, 25)
    assert Views.of(DataSettings(view_seed=0), train, seed=11).seed == 0
    plain = follows.plain(train.images)
    assert plain.mean().item() == pytest.approx(0, abs=1e-3)
    assert plain.std().item() == pytest.approx(1, abs=1e-3)


def test_refuses() -> None:
    views, images, index = grey_views(), noise(3), torch.arange(3)
    with pytest.raises(ValueError, match="view numbers are 0 to 161; got -1 to 162"):
        views.render(images, torch.tensor([-1, 0, 162]))
    with pytest.raises(ValueError, match="one view number for each of 3 images"):
        views.render(images, torch.tensor([0]))
    with pytest.raises(ValueError, match=r"uint8 \(N, 1, H, W\); got torch.float32"):
        views.plain(images.float())
    with pytest.raises(ValueError, match=r"uint8 \(N, 1, H, W\); got torch.uint8 \(3, 3, 8, 8\)"):
        views.plain(images.expand(3, 3, 8, 8))
    with pytest.raises(TypeError, match=r"index is int64; got torch\.int32"):
        views.view_ids(index.int(), 0)
    with pytest.raises(TypeError, match=r"epoch is a whole number; got 0\.5"):
        views.view_ids(index, 0.5)  # type: ignore[arg-type]  # the mistake itself: batch.epoch has fractions
    with pytest.raises(ValueError, match="view is at least 0; got -1"):
        views.view_ids(index, 0, -1)
    with pytest.raises(ValueError, match="seed of the views"):
        grey_views(seed=-1)
    with pytest.raises(ValueError, match="padding is at least 0"):
        grey_views(padding=-1)


def test_padding_as_large_as_the_image_is_refused() -> None:
    small = ImageSet(noise(2), torch.tensor([0, 1]), ("a", "b"), *PIXEL, name="small")
    with pytest.raises(ValueError, match="padding = 8 leaves views of small without any of its 8 pixels"):
        Views.of(DataSettings(padding=8), small, seed=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_gives_the_same_bits() -> None:
    mean, std = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
    images, index = noise(500, channels=3, height=32, width=32), torch.arange(500) + 2**33
    here = Views(mean=mean, std=std, padding=4, flip=True, seed=2**62)
    there = Views(mean=mean, std=std, padding=4, flip=True, seed=2**62, device="cuda")
    assert torch.equal(there.view_ids(index.cuda(), 239).cpu(), here.view_ids(index, 239))
    assert torch.equal(there(images.cuda(), index.cuda(), 239).cpu(), here(images, index, 239))
