"""Reading COCO and VOC: what is read, and what a faulty file is told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from decant.detection.coco_format import read_coco
from decant.detection.picture_set import Objects, PictureSet
from decant.detection.voc_format import read_voc

COCO = {
    "images": [
        {"id": 20, "file_name": "b.png", "width": 40, "height": 30},
        {"id": 10, "file_name": "sub/a.png", "width": 50, "height": 60},
    ],
    "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 10, "category_id": 7, "bbox": [10, 20.5, 5, 6], "area": 12.5, "iscrowd": 0},
        {"id": 2, "image_id": 10, "category_id": 3, "bbox": [0, 0, 30, 30], "area": 900, "iscrowd": 1},
        {"id": 3, "image_id": 10, "category_id": 3, "bbox": [40, 50, 20, 20]},
        {"id": 4, "image_id": 10, "category_id": 3, "bbox": [4, 5, 0, 20]},
    ],
}


def picture(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def coco(folder: Path, **changes: Any) -> Path:
    picture(folder / "images" / "b.png", 40, 30)
    picture(folder / "images" / "sub" / "a.png", 50, 60)
    (folder / "instances.json").write_text(json.dumps({**COCO, **changes}))
    return folder / "instances.json"


def test_coco_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    read = read_coco(coco(tmp_path), tmp_path / "images")
    assert read.classes == ("cat", "dog")
    assert read.sizes == ((60, 50), (30, 40))
    assert read.objects[0].labels.tolist() == [2, 1, 1, 1]
    assert read.objects[0].area.tolist() == [12.5, 900.0, 400.0, 0.0]
    image, target = read[0]
    assert image.shape == (3, 60, 50)
    assert image.dtype == torch.uint8
    assert target["boxes"].tolist() == [[10.0, 20.5, 15.0, 26.5], [40.0, 50.0, 50.0, 60.0]]
    assert target["labels"].tolist() == [2, 1]
    _, empty = read[1]
    assert empty["boxes"].shape == (0, 4)
    assert empty["labels"].dtype == torch.int64


def test_what_is_peculiar_is_counted(tmp_path: Path) -> None:
    read = read_coco(coco(tmp_path), tmp_path / "images", name="pets")
    assert read.remarks == (
        "pets: 1 boxes of crowds, which are not trained on",
        "pets: 1 boxes reach outside their picture and are cut off in training",
        "pets: 1 boxes without area are left out of training",
        "pets: 1 of 2 pictures show no object",
    )
    assert read.with_objects().sizes == ((60, 50),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": {}}, "lists images, annotations, categories"),
        ({"images": [{"id": 1, "width": 3, "height": 3}]}, r"images\[0\]: file_name must be of type str, got nothing"),
        ({"categories": [{"id": 7, "name": "dog"}] * 2}, r"categories\[1\]: the id 7 is there twice"),
        ({"annotations": [{"image_id": 9, "category_id": 7, "bbox": [0, 0, 1, 1]}]}, "there is no image 9"),
        ({"annotations": [{"image_id": 10, "category_id": 9, "bbox": [0, 0, 1, 1]}]}, "there is no category 9"),
        ({"annotations": [{"image_id": 10, "category_id": 7, "bbox": [0, 0, 1]}]}, "bbox is x, y, width, height"),
        ({"annotations": [{}] * 9}, "and 4 more"),
    ],
)
def test_a_bad_file_is_told_what_is_wrong(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_coco(coco(tmp_path, **changes), tmp_path / "images")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file of annotations"):
        read_coco(tmp_path / "none.json", tmp_path)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        read_coco(tmp_path / "broken.json", tmp_path)
    path = coco(tmp_path)
    (tmp_path / "images" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 2 pictures are not there, such as .*b\.png"):
        read_coco(path, tmp_path / "images")


def test_a_picture_that_is_none_or_of_another_size(tmp_path: Path) -> None:
    read = read_coco(coco(tmp_path), tmp_path / "images")
    (tmp_path / "images" / "b.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"b\.png cannot be read as a picture"):
        read[1]
    picture(tmp_path / "images" / "b.png", 41, 30)
    with pytest.raises(ValueError, match="is 41 x 30 pixels, but its annotations are for 40 x 30"):
        read[1]


VOC = """<annotation><filename>one.png</filename><size><width>40</width><height>30</height><depth>3</depth></size>
<object><name>sheep</name><difficult>0</difficult>
  <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>40</xmax><ymax>30</ymax></bndbox></object>
<object><name>cow</name><difficult>1</difficult>
  <bndbox><xmin>5</xmin><ymin>6</ymin><xmax>8</xmax><ymax>10</ymax></bndbox></object>
</annotation>"""


def voc(folder: Path, text: str = VOC) -> Path:
    picture(folder / "JPEGImages" / "one.png", 40, 30)
    for name, content in (("Annotations/one.xml", text), ("ImageSets/Main/train.txt", "one 1\n\n")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_voc_counts_pixels_from_one(tmp_path: Path) -> None:
    read = read_voc(voc(tmp_path), "train")
    assert read.classes == ("cow", "sheep")
    assert read.objects[0].boxes.tolist() == [[0.0, 0.0, 40.0, 30.0], [4.0, 5.0, 4.0, 5.0]]
    assert read.objects[0].crowd.tolist() == [False, True]
    _, target = read[0]
    assert target["boxes"].tolist() == [[0.0, 0.0, 40.0, 30.0]]
    assert target["labels"].tolist() == [2]


def test_a_faulty_voc_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no list of pictures .*val\.txt"):
        read_voc(voc(tmp_path), "val")
    with pytest.raises(ValueError, match=r"objects of the classes \['cow'\]"):
        read_voc(tmp_path, "train", classes=["sheep"])
    with pytest.raises(ValueError, match="is not XML"):
        read_voc(voc(tmp_path, "<annotation>"), "train")
    with pytest.raises(ValueError, match="no size/height"):
        read_voc(voc(tmp_path, "<annotation></annotation>"), "train")
    (tmp_path / "Annotations" / "one.xml").unlink()
    with pytest.raises(FileNotFoundError, match="no annotation"):
        read_voc(tmp_path, "train")


def test_labels_are_within_the_classes() -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"labels are 1 to 1, picture 0 has \[2\]"):
        PictureSet("toys", ("a",), (image,), ((8, 8),), (Objects.of([[0, 0, 4, 4]], [2]),))
    with pytest.raises(ValueError, match="as many of each"):
        PictureSet("toys", ("a",), (image,), (), ())
