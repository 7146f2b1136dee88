"""Average precision of a detector, as MS-COCO defines it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from decant.detection.picture_set import PictureSet
from decant.engine.parallel import Parallel

SUMMARY = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
RECALLS = ("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")


@dataclass(frozen=True)
class DetectionScore:
    """How well a detector does on a set of pictures, in percent.

    Attributes:
        ap: average precision, mean over ten overlaps (IoU 0.50 to 0.95) and all classes.
        ap50: at IoU 0.50.
        ap75: at IoU 0.75.
        ap_small: of objects below 32 x 32 pixels; None where there are none.
        ap_medium: of objects from 32 x 32 to 96 x 96 pixels; likewise.
        ap_large: of larger ones; likewise.
        ar1: average recall with one detection a picture.
        ar10: with ten.
        ar100: with a hundred.
        ar_small: with a hundred, of small objects; None where there are none.
        ar_medium: of medium ones; likewise.
        ar_large: of large ones; likewise.
        per_class: ``ap`` of every class that occurs.
        pictures: how many pictures were counted.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar1: float | None
    ar10: float | None
    ar100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    per_class: Mapping[str, float]
    pictures: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a log."""
        return asdict(self)


def evaluate_detector(
    detector: nn.Module, pictures: PictureSet, parallel: Parallel | None = None, *, batch_size: int = 4
) -> DetectionScore:
    """The detector's score, in eval mode, every picture counted once over all processes.

    Args:
        detector: a torchvision detector over ``pictures.classes`` and the background.
        pictures: what it is judged on; boxes of crowds are neither right nor wrong.
        parallel: device, precision and processes; None for one process, where the detector is.
        batch_size: pictures per forward pass.

    Raises:
        ImportError: faster-coco-eval is missing.
    """
    require_evaluator()
    rank, world = (parallel.rank, parallel.world) if parallel is not None else (0, 1)
    own = detect(detector, pictures, range(rank, len(pictures), world), parallel, batch_size=batch_size)
    rows = list(own)
    if parallel is not None:
        rows = parallel.gathered(rows)
    return score_detections(dict(rows), pictures)


def detect(
    detector: nn.Module,
    pictures: PictureSet,
    indices: Iterable[int],
    parallel: Parallel | None = None,
    *,
    batch_size: int = 4,
) -> Iterable[tuple[int, dict[str, Tensor]]]:
    """What the detector finds, on the CPU: index of a picture -> ``boxes`` x1 y1 x2 y2, ``labels`` and ``scores``."""
    device = parallel.device if parallel is not None else next(detector.parameters()).device
    wanted = list(indices)
    training = {module: module.training for module in detector.modules()}
    detector.eval()
    try:
        for start in range(0, len(wanted), batch_size):
            part = wanted[start : start + batch_size]
            images = [pictures[index][0].to(device).float() / 255 for index in part]
            with torch.no_grad():
                if parallel is None:
                    found = detector([image.as_subclass(Tensor) for image in images])
                else:
                    with parallel.autocast():
                        found = detector([image.as_subclass(Tensor) for image in images])
            for index, one in zip(part, found, strict=True):
                yield index, {key: one[key].cpu() for key in ("boxes", "labels", "scores")}
    finally:
        for module, mode in training.items():
            module.training = mode


def score_detections(detections: Mapping[int, Mapping[str, Tensor]], pictures: PictureSet) -> DetectionScore:
    """The score of detections, picture index -> ``boxes`` x1 y1 x2 y2, ``labels`` and ``scores``."""
    require_evaluator()
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(_truth(pictures))
    rows = _rows(detections)
    if not len(rows):
        # The evaluator takes no empty list; a box that matches nothing is as good: it is of no picture's size.
        rows = np.array([[min(detections, default=0) + 1, -2.0, -2.0, 1.0, 1.0, 0.0, 1.0]])
    evaluation = COCOeval_faster(truth, truth.loadRes(rows), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    values = [_percent(value) for value in evaluation.stats[:12]]
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    each = {name: precision[:, :, number] for number, name in enumerate(pictures.classes)}
    return DetectionScore(
        **dict(zip(SUMMARY + RECALLS, values, strict=True)),
        per_class={name: round(100 * float(value.mean()), 4) for name, value in each.items() if (value > -1).any()},
        pictures=len(detections),
    )


def require_evaluator() -> None:
    """Raise ImportError unless average precision can be worked out here."""
    try:
        import faster_coco_eval  # noqa: F401
    except ImportError:
        raise ImportError(
            "average precision needs faster-coco-eval; install it with: pip install 'decant-kd[detection]'"
        ) from None


def _truth(pictures: PictureSet) -> dict[str, Any]:
    """The set in COCO's format, whatever it was read from; pictures and labels are numbered from 1."""
    annotations: list[dict[str, Any]] = []
    for number, objects in enumerate(pictures.objects, start=1):
        for box, label, crowd, area in zip(
            objects.boxes.tolist(),
            objects.labels.tolist(),
            objects.crowd.tolist(),
            objects.area.tolist(),
            strict=True,
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label,
                    "bbox": box,
                    "iscrowd": int(crowd),
                    "area": area,
                }
            )
    return {
        "images": [{"id": n, "height": h, "width": w} for n, (h, w) in enumerate(pictures.sizes, start=1)],
        "categories": [{"id": label, "name": name} for label, name in enumerate(pictures.classes, start=1)],
        "annotations": annotations,
    }


def _rows(detections: Mapping[int, Mapping[str, Tensor]]) -> Any:
    """Picture, x, y, width, height, score and label of every detection, as the evaluator takes them."""
    rows = []
    for index in sorted(detections):
        found = detections[index]
        corners = found["boxes"].double()
        number = torch.full((len(corners), 1), index + 1, dtype=torch.float64)
        boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1)
        rows.append(torch.cat([number, boxes, found["scores"].double()[:, None], found["labels"].double()[:, None]], 1))
    return torch.cat(rows).numpy() if rows else np.zeros((0, 7))


def _percent(value: float) -> float | None:
    """The evaluator says -1 where there is nothing to find."""
    return None if value < 0 else 100 * float(value)
