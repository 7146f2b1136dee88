"""Strong views: torchvision's operations to the pixel, each sample with its own, and a function of counters alone."""

from functools import partial

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torchvision.transforms import v2

from data.test_views import grey_views, noise
from decant.data import DataSettings, ImageSet, RandAugment, RandAugmentSettings, Views, epoch_batches, epoch_order
from decant.data.randaugment import CHANGES

TORCHVISION = {
    "identity": "Identity",
    "autocontrast": "AutoContrast",
    "equalize": "Equalize",
    "posterize": "Posterize",
    "solarize": "Solarize",
    "brightness": "Brightness",
    "color": "Color",
    "contrast": "Contrast",
    "sharpness": "Sharpness",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
    "rotate": "Rotate",
}


def randaugment(operations: int = 1, magnitude: int = 10, height: int = 32, width: int = 32) -> RandAugment:
    return RandAugment(operations=operations, magnitude=magnitude, height=height, width=width)


def strong_views(padding: int = 4, flip: bool = True) -> Views:
    """Of RGB images of 32 x 32 pixels, whose normalised pixels are the pixels themselves."""
    return Views(mean=(0.0,) * 3, std=(1 / 255,) * 3, padding=padding, flip=flip, seed=0, strong=randaugment(2))


def by_torchvision(image: Tensor, change: str, magnitude: int) -> Tensor:
    """One image through torchvision's own RandAugment with the dice taken out."""
    augment = v2.RandAugment(num_ops=1, magnitude=magnitude)
    name = TORCHVISION[change.lstrip("+-")]
    table, signed = augment._AUGMENTATION_SPACE[name]
    magnitudes = table(augment.num_magnitude_bins, *image.shape[-2:])
    strength = float(magnitudes[magnitude]) if magnitudes is not None else 0.0
    assert signed == (change[0] in "+-")
    if change[0] == "-":
        strength *= -1
    changed: Tensor = augment._apply_image_or_video_transform(
        image, name, strength, interpolation=augment.interpolation, fill=augment._fill
    )
    return changed


def smooth(channels: int, height: int, width: int) -> Tensor:
    """A dull image, of few and close values, which autocontrast and equalize change much."""
    places = torch.arange(height * width).view(1, height, width) % 61
    return (places + 40 * torch.arange(1, channels + 1).view(-1, 1, 1)).to(torch.uint8)


def test_the_operations_are_those_of_torchvision() -> None:
    assert set(TORCHVISION.values()) == v2.RandAugment._AUGMENTATION_SPACE.keys()
    assert {change.lstrip("+-") for change in CHANGES} == TORCHVISION.keys()
    assert len(set(CHANGES)) == len(CHANGES) == 5 + 2 * 9


@pytest.mark.parametrize("magnitude", [0, 4, 10, 17, 30])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 9, 14)])
def test_every_change_is_torchvision_s_to_the_pixel(shape: tuple[int, int, int], magnitude: int) -> None:
    augment = randaugment(1, magnitude, *shape[1:])
    for image in (noise(1, *shape)[0], smooth(*shape)):
        ours = augment(image.expand(len(CHANGES), *shape), torch.arange(len(CHANGES)))
        for change, changed in zip(CHANGES, ours, strict=True):
            assert torch.equal(changed, by_torchvision(image, change, magnitude)), change


def test_changes_that_have_a_strength_change_something() -> None:
    images = smooth(3, 32, 32).expand(len(CHANGES), -1, -1, -1)
    changed = randaugment()(images, torch.arange(len(CHANGES)))
    same = [change for change, image in zip(CHANGES, changed, strict=True) if torch.equal(image, images[0])]
    assert same == ["identity"]
    assert len({image.numpy().tobytes() for image in changed}) == len(CHANGES)


def test_several_changes_come_one_after_the_other() -> None:
    augment, image = randaugment(3, height=8, width=8), noise(1, 3)[0]
    numbers = torch.randint(augment.count, (50,), generator=torch.Generator().manual_seed(0))
    for number, ours in zip(numbers.tolist(), augment(image.expand(50, -1, -1, -1), numbers), strict=True):
        expected = image
        for change in augment.names(number):
            expected = by_torchvision(expected, change, 10)
        assert torch.equal(ours, expected)


def test_a_strong_view_is_a_crop_with_changes() -> None:
    views, images, index = strong_views(), noise(40, 3, 32, 32), torch.arange(40)
    numbers = views.view_ids(index, 3, view=1, strong=True)
    assert torch.equal(numbers % views.count, views.view_ids(index, 3, view=1))
    cropped = views.render(images, numbers % views.count).to(torch.uint8)
    expected = views.strong(cropped, numbers // views.count).float()
    assert torch.equal(views(images, index, 3, view=1, strong=True), expected)
    assert not torch.equal(expected, cropped.float())
    assert torch.equal(views.render(images, numbers % views.count, strong=True), cropped.float()), "0 changes nothing"


def test_without_crop_and_flip_the_changes_are_left() -> None:
    views = strong_views(padding=0, flip=False)
    images, index = noise(20, 3, 32, 32), torch.arange(20)
    numbers = views.view_ids(index, 0, strong=True)
    assert torch.equal(views.render(images, numbers, strong=True), views.strong(images, numbers).float())


def test_same_strong_view_in_any_batch_and_order() -> None:
    views, images, index = strong_views(), noise(64, 3, 32, 32), torch.arange(100, 164)
    whole = views(images, index, 5, view=1, strong=True)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(views(images[order], index[order], 5, view=1, strong=True), whole[order])
    for sample in range(64):
        part = slice(sample, sample + 1)
        assert torch.equal(views(images[part], index[part], 5, view=1, strong=True)[0], whole[sample])


def test_equal_images_in_one_batch_get_changes_of_their_own() -> None:
    twins = smooth(3, 32, 32).expand(300, -1, -1, -1)
    rendered = strong_views(padding=0, flip=False)(twins, torch.arange(300), 0, strong=True)
    assert len({view.numpy().tobytes() for view in rendered}) > 150


def test_every_operation_is_equally_likely_and_so_is_its_sign() -> None:
    augment = randaugment(2)
    numbers = augment.numbers(torch.arange(50_000), seed=0, epoch=1, view=1)
    expected = torch.tensor([2.0 if change[0] not in "+-" else 1.0 for change in CHANGES], dtype=torch.float64)
    pairs = expected.unsqueeze(1) * expected
    drawn = numbers.bincount(minlength=augment.count).view(len(CHANGES), -1)
    assert chisquare(drawn.flatten().numpy(), (50_000 * pairs / pairs.sum()).flatten().numpy()).pvalue > 0.001


def test_seed_epoch_view_and_sample_draw_anew() -> None:
    augment, index = randaugment(2), torch.arange(5000)
    base = augment.numbers(index, seed=0, epoch=0, view=1)
    others = (
        augment.numbers(index, seed=1, epoch=0, view=1),
        augment.numbers(index, seed=0, epoch=1, view=1),
        augment.numbers(index, seed=0, epoch=0, view=2),
        augment.numbers(index + 1, seed=0, epoch=0, view=1),
    )
    for other in others:
        # Two of the same operation and sign, twice: 1 in 286 of 5000, which is 17 give or take 4.
        assert 1 < int((base == other).sum()) < 40
    assert torch.equal(augment.numbers(index.view(50, 100), seed=0, epoch=0, view=1).flatten(), base)


def test_an_epoch_has_its_strong_views_last_and_the_weak_ones_as_before() -> None:
    images = noise(21, 3, 32, 32)
    data = ImageSet(images, torch.arange(21) % 3, ("a", "b", "c"), (0.0,) * 3, (1 / 255,) * 3, "noise")
    views = Views.of(DataSettings(name="fake"), data, seed=3)
    batches = partial(epoch_batches, data, views, epoch=2, seed=3, batch_size=8, views_per_sample=3)
    for mixed, weak in zip(batches(strong_views=1), batches(), strict=True):
        for view in (0, 1):
            assert torch.equal(mixed.images[view], weak.images[view])
        assert torch.equal(mixed.images[2], views(images[mixed.index], mixed.index, 2, view=2, strong=True))
        assert torch.equal(mixed.view_ids[2] % views.count, weak.view_ids[2])
        assert not torch.equal(mixed.images[2], weak.images[2])
    whole = list(batches(strong_views=1))
    for ours, expected in zip(batches(strong_views=1, start=1), whole[1:], strict=True):
        assert torch.equal(ours.images[2], expected.images[2]), "an interrupted epoch goes on with the same views"


def test_settings_decide() -> None:
    data = ImageSet(noise(4, 3, 32, 32), torch.arange(4) % 2, ("a", "b"), (0.0,) * 3, (1.0,) * 3, "noise")
    strong = Views.of(DataSettings(strong=RandAugmentSettings(operations=3, magnitude=7)), data, seed=0).strong
    assert (strong.operations, strong.magnitude, strong.count) == (3, 7, 23**3)
    assert (strong.height, strong.width) == (32, 32)
    standard = Views.of(DataSettings(), data, seed=0).strong
    assert (standard.operations, standard.magnitude) == (2, 10)


def test_images_are_left_as_they_are() -> None:
    views, images = strong_views(), noise(30, 3, 32, 32)
    before = images.clone()
    views(images, torch.arange(30), 0, strong=True)
    views.strong(images, torch.arange(30))
    assert torch.equal(images, before)


def test_refuses() -> None:
    for wrong in (0, 9):
        with pytest.raises(ValueError, match=f"operations is 1 to 8, got {wrong}"):
            randaugment(wrong)
    for wrong in (-1, 31):
        with pytest.raises(ValueError, match=f"magnitude is 0 to 30, got {wrong}"):
            RandAugmentSettings(magnitude=wrong)
    for shape in ((2, 32, 32), (3, 16, 32)):
        with pytest.raises(ValueError, match=r"grey or RGB images \(N, 1 or 3, 32, 32\); got \(1, "):
            randaugment()(noise(1, *shape), torch.zeros(1, dtype=torch.int64))
    views, index = strong_views(), torch.arange(3)
    with pytest.raises(ValueError, match=f"view numbers are 0 to {162 * 529 - 1}; got 0 to {162 * 529}"):
        views.render(noise(3, 3, 32, 32), torch.tensor([0, 1, 162 * 529]), strong=True)
    with pytest.raises(ValueError, match="view numbers are 0 to 161; got"):
        views.render(noise(3, 3, 32, 32), views.view_ids(index, 0, strong=True))
    with pytest.raises(ValueError, match=r"these views have no strong ones; make them with strong=RandAugment"):
        grey_views().view_ids(index, 0, strong=True)
    with pytest.raises(ValueError, match=r"these views have no strong ones; make them with strong=RandAugment"):
        grey_views().render(noise(3), index, strong=True)
    with pytest.raises(ValueError, match="strong_views is 0 to 2, the views of a sample; got 3"):
        epoch_order(9, views, epoch=0, seed=0, batch_size=3, views_per_sample=2, strong_views=3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_moves_the_same_pixels_and_colours_them_within_one_value() -> None:
    images = noise(len(CHANGES), 3, 32, 32)
    numbers = torch.arange(len(CHANGES))
    there = RandAugment(operations=1, magnitude=10, height=32, width=32, device="cuda")
    ours, expected = there(images.cuda(), numbers.cuda()).cpu().int(), randaugment()(images, numbers).int()
    assert torch.equal(ours[13:], expected[13:])
    assert (ours - expected).abs().max() <= 1
    index = torch.arange(500)
    on_gpu = there.numbers(index.cuda(), seed=0, epoch=3, view=1).cpu()
    assert torch.equal(on_gpu, there.numbers(index, seed=0, epoch=3, view=1))
