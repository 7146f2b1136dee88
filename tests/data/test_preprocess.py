"""What a network is shown of a picture is what it was evaluated on."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from data.made_pictures import folder, save
from decant.data import DataSettings, PictureSettings, Preprocess, load_pictures, plain_batches, preprocess_from
from decant.data.pictures.decode import UnreadablePictureError
from decant.engine.student_file import preprocess_of
from engine.tiny import splits

BICUBIC = PictureSettings(size=12, resize=14, interpolation="bicubic", mean=(0.1, 0.5, 0.9), std=(0.2, 0.3, 0.4))


@pytest.mark.parametrize("settings", [PictureSettings(size=8), BICUBIC], ids=["defaults", "all else"])
def test_pictures_are_seen_as_in_evaluation_to_the_bit(tmp_path: Path, settings: PictureSettings) -> None:
    folder(tmp_path / "pictures", {"a": 3, "b": 3})
    save(tmp_path / "pictures" / "a" / "grey.png", seed=7, mode="L")
    test = load_pictures(DataSettings(name="pictures", pictures=settings), tmp_path / "pictures").train
    preprocess = preprocess_of(test)
    (batch,) = plain_batches(test, 100)
    for number in range(test.size):
        assert torch.equal(preprocess(test.path(number)), batch.images[0][number])


def test_images_of_a_data_set_are_seen_as_in_evaluation_to_the_bit(tmp_path: Path) -> None:
    test = splits().test
    (batch,) = plain_batches(test, 100)
    preprocess = preprocess_of(test)
    for number in range(5):
        Image.fromarray(test.images[number].permute(1, 2, 0).numpy()).save(tmp_path / "one.png")
        assert torch.equal(preprocess(tmp_path / "one.png"), batch.images[0][number])


def test_a_picture_in_memory_is_the_one_in_its_file(tmp_path: Path) -> None:
    path = save(tmp_path / "one.png", seed=1, mode="RGBA")
    preprocess = Preprocess(size=8, resize=9, mean=(0.5,) * 3, std=(0.25,) * 3)
    with Image.open(path) as image:
        assert torch.equal(preprocess(image), preprocess(path))


def test_a_network_of_one_channel_is_shown_grey(tmp_path: Path) -> None:
    preprocess = Preprocess(size=8, resize=8, mean=(0.5,), std=(0.5,))
    seen = preprocess(save(tmp_path / "one.png", seed=1))
    assert seen.shape == (1, 8, 8)
    assert preprocess(Image.new("RGB", (9, 8), (0, 255, 0)))[0, 0, 0].item() == pytest.approx(2 * 150 / 255 - 1)


def test_it_is_told_in_plain_values_and_made_from_them() -> None:
    preprocess = Preprocess(12, 14, (0.1, 0.5, 0.9), (0.2, 0.3, 0.4), "bicubic")
    assert preprocess_from(preprocess.to_dict()) == preprocess


def test_what_no_picture_can_serve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resize is at least size, 8"):
        Preprocess(size=8, resize=7, mean=(0.5,), std=(0.5,))
    with pytest.raises(ValueError, match="1 or 3 numbers each"):
        Preprocess(size=8, resize=8, mean=(0.5, 0.5), std=(0.5, 0.5))
    (tmp_path / "not.png").write_bytes(b"no picture")
    with pytest.raises(UnreadablePictureError, match="cannot identify"):
        Preprocess(size=8, resize=8, mean=(0.5,), std=(0.5,))(tmp_path / "not.png")
