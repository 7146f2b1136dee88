"""Average precision: that of pycocotools, and what a detector is owed."""

import contextlib
import io
import sys

import pytest
import torch
from torch import Tensor

from decant.detection.drawn_shapes import draw_shapes
from decant.detection.evaluation import (
    RECALLS,
    SUMMARY,
    DetectionScore,
    _truth,
    evaluate_detector,
    score_detections,
)
from decant.detection.picture_set import Objects, PictureSet
from detection.toy_detectors import detector
from engine.tiny import on_cpu

pytest.importorskip("faster_coco_eval", reason="needs the extra [detection]")

Found = dict[int, dict[str, Tensor]]


def some_set() -> PictureSet:
    """Drawn pictures, some of their boxes made crowds, some areas made large."""
    drawn = draw_shapes(30, seed=3)
    generator = torch.Generator().manual_seed(0)
    objects = tuple(
        Objects(each.boxes, each.labels, torch.rand(len(each.labels), generator=generator) < 0.15, each.area * 4)
        for each in drawn.objects
    )
    return PictureSet("some", drawn.classes, drawn.pictures, drawn.sizes, objects)


def near_misses(pictures: PictureSet) -> Found:
    """Boxes around the true ones, a third with another label, with random scores."""
    generator = torch.Generator().manual_seed(1)
    found = {}
    for index, objects in enumerate(pictures.objects):
        boxes = objects.boxes.repeat(4, 1)
        boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
        boxes = boxes + torch.randn(boxes.shape, generator=generator) * 2
        labels = objects.labels.repeat(4)
        guessed = torch.randint(1, len(pictures.classes) + 1, labels.shape, generator=generator)
        found[index] = {
            "boxes": boxes.float(),
            "labels": torch.where(torch.rand(labels.shape, generator=generator) < 0.3, guessed, labels),
            "scores": torch.rand(labels.shape, generator=generator),
        }
    return found


def test_all_twelve_numbers_are_those_of_pycocotools() -> None:
    tools = pytest.importorskip("pycocotools.coco", reason="needs pycocotools, the reference")
    from pycocotools.cocoeval import COCOeval

    pictures = some_set()
    found = near_misses(pictures)
    score = score_detections(found, pictures)
    rows = [
        {
            "image_id": index + 1,
            "category_id": label,
            "bbox": [left, top, right - left, bottom - top],
            "score": mark,
        }
        for index, each in found.items()
        for (left, top, right, bottom), label, mark in zip(
            each["boxes"].tolist(), each["labels"].tolist(), each["scores"].tolist(), strict=True
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = tools.COCO()
        truth.dataset = _truth(pictures)
        truth.createIndex()
        wanted = COCOeval(truth, truth.loadRes(rows), "bbox")
        wanted.evaluate()
        wanted.accumulate()
        wanted.summarize()
    ours = [getattr(score, name) for name in SUMMARY + RECALLS]
    assert ours == pytest.approx([None if value < 0 else 100 * value for value in wanted.stats], abs=1e-9)
    assert 5 < ours[0] < 60, "neither all right nor all wrong"
    mean = sum(score.per_class.values()) / len(score.per_class)
    assert mean == pytest.approx(ours[0], abs=1e-3)


def test_the_truth_itself_is_perfect_and_nothing_is_nothing() -> None:
    pictures = draw_shapes(12, seed=0)
    truth = {index: {**pictures[index][1]} for index in range(len(pictures))}
    for target in truth.values():
        target["scores"] = torch.ones(len(target["labels"]))
    assert score_detections(truth, pictures).ap == pytest.approx(100)
    none = {index: {key: value[:0] for key, value in target.items()} for index, target in truth.items()}
    for empty in (none, {}):
        score = score_detections(empty, pictures)
        assert (score.ap, score.ar100) == (0.0, 0.0)
        assert set(score.per_class.values()) == {0.0}


def test_a_crowd_is_neither_right_nor_wrong() -> None:
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    objects = Objects.of([[0, 0, 20, 20], [30, 30, 30, 30]], [1, 1], crowd=[False, True])
    pictures = PictureSet("crowd", ("a",), (image,), ((64, 64),), (objects,))
    both = {
        "boxes": torch.tensor([[0.0, 0, 20, 20], [35, 35, 50, 50]]),
        "labels": torch.tensor([1, 1]),
        "scores": torch.tensor([0.5, 0.9]),
    }
    assert score_detections({0: both}, pictures).ap == pytest.approx(100)


def test_a_detector_is_evaluated_as_it_is_and_left_as_it_was() -> None:
    network = detector(0, num_classes=13)
    network.train()
    network.backbone.body.eval()
    modes = [module.training for module in network.modules()]
    pictures = draw_shapes(5, seed=0)
    score = evaluate_detector(network, pictures, batch_size=2)
    assert isinstance(score, DetectionScore)
    assert score.pictures == 5
    assert [module.training for module in network.modules()] == modes
    whole = evaluate_detector(network, pictures, on_cpu(), batch_size=5)
    assert whole.to_dict().keys() == score.to_dict().keys()
    assert whole.ap == pytest.approx(score.ap, abs=0.5)


def test_without_the_extra_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(ImportError, match=r"pip install 'decant-kd\[detection\]'"):
        score_detections({}, draw_shapes(1, seed=0))


def test_drawn_shapes_are_the_same_for_everybody() -> None:
    left, right = (draw_shapes(6, seed=5) for _ in range(2))
    assert left.fingerprint() == right.fingerprint() != draw_shapes(6, seed=6).fingerprint()
    more = draw_shapes(8, seed=5)
    assert all(torch.equal(left[index][0], more[index][0]) for index in range(6))
    _, target = left[0]
    assert float(target["boxes"].min()) >= 0
    assert float(target["boxes"].max()) <= 96
