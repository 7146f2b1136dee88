"""Windows and centres: torchvision's transforms in value, and counters instead of random state."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from decant.data import PictureSettings, PictureViews
from decant.data.pictures.cut import centre, draws, view, window

MODES = {"bilinear": v2.InterpolationMode.BILINEAR, "bicubic": v2.InterpolationMode.BICUBIC}


def picture(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def numbers(count: int, seed: int = 0) -> torch.Tensor:
    return PictureViews(PictureSettings(), flip=True, seed=seed).view_ids(torch.arange(count), 0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(37, 53), (53, 37), (40, 40), (301, 90)])
def test_the_centre_is_torchvisions(interpolation: Any, size: tuple[int, int]) -> None:
    settings = PictureSettings(size=24, interpolation=interpolation)
    theirs = v2.Compose([v2.Resize(27, MODES[interpolation]), v2.CenterCrop(24)])
    assert settings.evaluation_resize == 27
    assert np.array_equal(np.asarray(centre(picture(*size), settings)), np.asarray(theirs(picture(*size))))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_window_is_cut_and_resized_as_torchvision_does(interpolation: Any) -> None:
    settings, image = PictureSettings(size=24, interpolation=interpolation), picture(50, 41)
    for drawn in draws(numbers(20)):
        left, top, width, height = window(50, 41, drawn, settings)
        theirs = v2.functional.resized_crop(image, top, left, height, width, [24, 24], MODES[interpolation])
        if drawn[-1] < 0.5:
            theirs = v2.functional.horizontal_flip(theirs)
        assert np.array_equal(np.asarray(view(image, drawn, settings, flip=True)), np.asarray(theirs))


def test_windows_are_distributed_as_torchvisions() -> None:
    settings, width, height = PictureSettings(), 60, 40
    ours = np.array([window(width, height, drawn, settings) for drawn in draws(numbers(4000))], dtype=float)
    torch.manual_seed(0)
    example = torch.zeros(3, height, width)
    theirs = np.array([_torchvision_window(example) for _ in range(4000)], dtype=float)
    deviation = np.sqrt(ours.var(0) / 4000 + theirs.var(0) / 4000)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 4 * deviation).all()
    assert np.allclose(ours.std(0), theirs.std(0), rtol=0.06)


def _torchvision_window(example: torch.Tensor) -> tuple[int, int, int, int]:
    drawn = v2.RandomResizedCrop(8).make_params([example])
    return drawn["left"], drawn["top"], drawn["width"], drawn["height"]


def test_windows_lie_inside_and_may_be_all_of_it() -> None:
    all_of_it = PictureSettings(scale=(1.0, 1.0), ratio=(1.0, 1.0))
    for drawn in draws(numbers(50)):
        assert window(30, 30, drawn, all_of_it) == (0, 0, 30, 30)
        left, top, width, height = window(9, 200, drawn, PictureSettings())
        assert 0 <= left <= 9 - width
        assert 0 <= top <= 200 - height
        assert min(width, height) >= 1
    # Nothing fits: the largest central part within the ratios, as torchvision has it.
    one = draws(numbers(1))[0]
    assert window(10, 1000, one, PictureSettings(scale=(1, 1))) == (0, 493, 10, 13)
    assert window(1000, 10, one, PictureSettings(scale=(1, 1))) == (493, 0, 13, 10)
    assert window(1, 1, one, PictureSettings()) == (0, 0, 1, 1)


def test_half_are_mirrored_and_the_windows_do_not_depend_on_it() -> None:
    settings, image = PictureSettings(size=8), picture(30, 30)
    mirrored = 0
    for drawn in draws(numbers(200)):
        with_flip, without = (np.asarray(view(image, drawn, settings, flip=flip)) for flip in (True, False))
        same = np.array_equal(with_flip, without)
        assert same or np.array_equal(with_flip, without[:, ::-1])
        mirrored += not same
    assert 70 < mirrored < 130


def test_a_view_is_of_seed_epoch_index_and_view_alone() -> None:
    views = PictureViews(PictureSettings(), flip=True, seed=3)
    index = torch.arange(100)
    ids = views.view_ids(index, 2)
    assert ids.dtype == torch.int64
    assert int(ids.min()) >= 0
    assert torch.equal(ids[40:], views.view_ids(index[40:], 2))
    others = [views.view_ids(index, 3), views.view_ids(index, 2, 1), numbers(100, seed=4)]
    assert not any((ids == other).any() for other in others)
    assert draws(ids)[7] == draws(ids[7:8])[0]
    assert len({tuple(drawn) for drawn in draws(ids)}) == 100


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 0}, "size is 1 to"),
        ({"size": 64, "resize": 63}, "resize is at least size, 64 pixels, got 63"),
        ({"scale": (0.0, 1.0)}, "scale is"),
        ({"scale": (0.5, 0.4)}, "scale is"),
        ({"ratio": (0.0, 1.0)}, "ratio is"),
        ({"std": (1.0, 0.0, 1.0)}, "std above 0"),
        ({"mean": (float("nan"), 0.0, 1.0)}, "mean and std are finite"),
        ({"test": 1.0}, "test is the share"),
    ],
)
def test_settings_refuse(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PictureSettings(**wrong)


def test_views_refuse_a_seed_out_of_range() -> None:
    with pytest.raises(ValueError, match="the seed of the views is 0 to"):
        PictureViews(PictureSettings(), flip=True, seed=-1)
