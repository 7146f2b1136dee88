"""Real pictures and annotations of MS-COCO: our reader and our numbers, held against pycocotools on the file itself.

They need the folders coco8 and coco85 below data/, and skip without them.
"""

import contextlib
import io
import json
from pathlib import Path

import pytest

from decant.detection.data_settings import DetectionDataSettings, load_pictures
from decant.detection.evaluation import RECALLS, SUMMARY, score_detections
from decant.detection.picture_set import PictureSet
from detection.test_evaluation import near_misses

pytest.importorskip("faster_coco_eval", reason="needs the extra [detection]")

DATA = Path(__file__).parents[2] / "data"
PARTS = {"coco8": "coco8/instances_train.json", "coco85": "coco85/instances.json"}


def real(name: str) -> tuple[PictureSet, Path]:
    """The training pictures of a set, and the file that they were read from."""
    file = DATA / PARTS[name]
    if not file.is_file():
        pytest.skip(f"needs {file}")
    return load_pictures(DetectionDataSettings(name), DATA).train, file


@pytest.mark.parametrize("name", PARTS)
def test_all_twelve_numbers_on_real_annotations_are_those_of_pycocotools(name: str) -> None:
    tools = pytest.importorskip("pycocotools.coco", reason="needs pycocotools, the reference")
    from pycocotools.cocoeval import COCOeval

    pictures, file = real(name)
    found = near_misses(pictures)
    score = score_detections(found, pictures)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = tools.COCO(str(file))
        images, categories = sorted(truth.getImgIds()), sorted(truth.getCatIds())
        rows = [
            {
                "image_id": images[index],
                "category_id": categories[label - 1],
                "bbox": [left, top, right - left, bottom - top],
                "score": mark,
            }
            for index, each in found.items()
            for (left, top, right, bottom), label, mark in zip(
                each["boxes"].tolist(), each["labels"].tolist(), each["scores"].tolist(), strict=True
            )
        ]
        wanted = COCOeval(truth, truth.loadRes(rows), "bbox")
        wanted.evaluate()
        wanted.accumulate()
        wanted.summarize()
    ours = {key: getattr(score, key) for key in SUMMARY + RECALLS}
    theirs = [None if value < 0 else 100 * value for value in wanted.stats]
    assert list(ours.values()) == pytest.approx(theirs, abs=1e-9)
    assert score.pictures == len(images)


@pytest.mark.parametrize("name", PARTS)
def test_a_real_picture_comes_with_its_objects(name: str) -> None:
    pictures, file = real(name)
    content = json.loads(file.read_text())
    assert sum(len(objects.labels) for objects in pictures.objects) == len(content["annotations"])
    for index in range(len(pictures)):
        image, target = pictures[index]
        assert tuple(image.shape[1:]) == pictures.sizes[index]
        assert bool((target["boxes"][:, 2:] > target["boxes"][:, :2]).all())
