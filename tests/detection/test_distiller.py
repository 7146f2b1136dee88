"""What a distilled detector is promised: it trains as it would alone, is run once, and learns from what it sampled."""

import copy
import gc
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.ops import MultiScaleRoIAlign

from decant.detection import (
    DETECTION_METHODS,
    PyramidFitNetSettings,
    PyramidReviewKDSettings,
    RCNNDistiller,
    RegionDKDSettings,
    RegionKDSettings,
)
from decant.detection.observe import observed, sampled_classes
from decant.interfaces import Outputs
from decant.losses import dkd_loss, kd_loss
from detection.toy_detectors import CLASSES, detector, frozen_statistics, pictures, step, student, teacher

ALL = tuple(DETECTION_METHODS)
WITHOUT_WEIGHT = (
    RegionKDSettings(weight=0.0),
    RegionDKDSettings(alpha=0.0, beta=0.0),
    PyramidFitNetSettings(weight=0.0),
    PyramidReviewKDSettings(weight=0.0),
)


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


def recorded(network: Any) -> dict[str, Any]:
    """What the detector uses, taken from inside its RoI heads in a way that the package does not."""
    seen: dict[str, Any] = {}
    heads = network.roi_heads
    select, predict = heads.select_training_samples, heads.box_predictor.forward

    def selecting(*arguments: Any) -> Any:
        seen["boxes"], _, seen["labels"], _ = found = select(*arguments)
        return found

    def predicting(features: Tensor) -> Any:
        seen["runs"] = seen.get("runs", 0) + 1
        seen["logits"], _ = found = predict(features)
        return found

    heads.select_training_samples, heads.box_predictor.forward = selecting, predicting
    return seen


def test_what_is_observed_is_what_the_detector_used() -> None:
    network = student()
    used = recorded(network)
    with observed(network) as seen:
        network(*pictures())
    assert len(seen.boxes) == 3
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(seen.boxes, used["boxes"], strict=True))
    assert seen.logits is used["logits"]
    classes = sampled_classes(network, seen)
    assert torch.equal(classes, torch.cat(used["labels"]))
    assert set(classes.tolist()) == {0, 1, 2, 3}


def test_the_student_is_run_once() -> None:
    distiller = RCNNDistiller(student(), teacher(), ALL)
    used = recorded(distiller.student)
    step(distiller)
    assert used["runs"] == 1
    counts = {key: int(value) for key, value in distiller.student.state_dict().items() if key.endswith("tracked")}
    assert set(counts.values()) == {1}, "statistics of BatchNorm were gathered once"


def test_neither_making_a_distiller_nor_a_step_changes_the_teacher() -> None:
    network = teacher()
    before = copy.deepcopy(network.state_dict())
    distiller = RCNNDistiller(student(), network, ALL)
    network.train().requires_grad_(True)  # as somebody else who holds it may do
    loss, _ = step(distiller)
    loss.backward()
    assert not network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_teacher_is_no_part_of_it_but_moves_along() -> None:
    network = teacher()
    distiller = RCNNDistiller(student(), network, ["dkd"])
    assert set(distiller.state_dict()) == {f"student.{key}" for key in distiller.student.state_dict()}
    assert not {id(parameter) for parameter in network.parameters()} & {id(own) for own in distiller.parameters()}
    distiller.double()
    assert next(network.parameters()).dtype == torch.float64


@pytest.mark.parametrize("methods", [(), WITHOUT_WEIGHT], ids=["no method", "every weight 0"])
def test_without_weights_it_is_the_training_of_the_student_alone(methods: tuple[Any, ...]) -> None:
    alone, network = student(), student()
    distiller = RCNNDistiller(network, teacher() if methods else None, methods)
    trained = [torch.optim.SGD(own.parameters(), lr=0.1, momentum=0.9) for own in (alone, network)]
    for seed in range(3):
        torch.manual_seed(seed)
        ours = sum(alone(*pictures(seed)).values())
        torch.manual_seed(seed)
        theirs, terms = distiller(*pictures(seed))
        assert torch.equal(ours, theirs)
        assert len(terms) == 4 + len([name for method in distiller._methods for name in method.weights(0)])
        for optimizer, loss in zip(trained, (ours, theirs), strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    left, right = alone.state_dict(), network.state_dict()
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_the_detectors_own_losses_are_as_they_were() -> None:
    torch.manual_seed(0)
    own = student()(*pictures(0))
    _, terms = step(RCNNDistiller(student(), teacher(), ALL))
    assert all(torch.equal(own[name], terms[name]) for name in own)


def test_a_copy_of_the_student_teaches_it_nothing() -> None:
    network = student()
    frozen_statistics(network)
    distiller = RCNNDistiller(network, copy.deepcopy(network), ["kd", "dkd"])
    _, terms = step(distiller)
    distilled = {name: value for name, value in terms.items() if "ground" in name}
    assert len(distilled) == 6
    assert all(float(value.abs()) < 1e-7 for value in distilled.values())
    _, other = step(RCNNDistiller(network, teacher(), ["kd", "dkd"]))
    assert all(float(other[name]) > 1e-6 for name in distilled)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 2.0)])
def test_foreground_and_background_add_up(weights: tuple[float, float]) -> None:
    foreground, background = weights
    settings = RegionDKDSettings(alpha=1.5, beta=0.25, temperature=2.0, foreground=foreground, background=background)
    network, other = student(), teacher()
    distiller = RCNNDistiller(network, other, [settings])
    frozen_statistics(network)
    torch.manual_seed(0)
    with observed(network) as seen:
        own = sum(network(*pictures(0)).values())
    target = sampled_classes(network, seen)
    assert seen.logits is not None
    assert seen.images is not None
    levels = other.backbone(seen.images)
    pooled = other.roi_heads.box_roi_pool(levels, seen.boxes, seen.sizes)
    logits, _ = other.roi_heads.box_predictor(other.roi_heads.box_head(pooled))
    each = dkd_loss(seen.logits, logits, target, alpha=1.5, beta=0.25, temperature=2.0, reduction="none")
    wanted = own + (each * torch.where(target > 0, foreground, background)).mean()
    loss, _ = step(distiller)
    torch.testing.assert_close(loss, wanted)


def test_kd_is_the_mean_over_all_regions() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(50, CLASSES, generator=generator) for _ in range(2))
    target = torch.randint(0, CLASSES, (50,), generator=generator)
    terms = RegionKDSettings(temperature=3.0).build(())(Outputs(ours), Outputs(theirs), target)
    torch.testing.assert_close(sum(terms.values()), kd_loss(ours, theirs, temperature=3.0))


def test_background_is_a_class_like_any_other() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(50, CLASSES, generator=generator) for _ in range(2))
    target = torch.randint(0, CLASSES, (50,), generator=generator)
    method = RegionDKDSettings().build(())
    here = method(Outputs(ours), Outputs(theirs), target)
    there = method(Outputs(ours.roll(1, 1)), Outputs(theirs.roll(1, 1)), (target + 1) % CLASSES)
    for term in ("tckd", "nckd"):
        sums = [terms[f"{term}_foreground"] + terms[f"{term}_background"] for terms in (here, there)]
        torch.testing.assert_close(*sums)


def test_pictures_without_objects_are_background() -> None:
    distiller = RCNNDistiller(student(), teacher(), ALL)
    images, targets = pictures()
    loss, terms = distiller(images[2:] * 2, targets[2:] * 2, epoch=0.0)
    loss.backward()
    assert float(terms["tckd_foreground"]) == 0
    assert float(terms["tckd_background"]) > 0
    assert all(torch.isfinite(value) for value in terms.values())


def test_every_parameter_learns() -> None:
    distiller = RCNNDistiller(student(), teacher(), ["dkd", "fitnet", "reviewkd"])
    loss, _ = step(distiller)
    loss.backward()
    missing = [name for name, parameter in distiller.named_parameters() if parameter.grad is None]
    assert not missing
    assert any(name.startswith("methods.") for name, _ in distiller.named_parameters())


def test_half_precision() -> None:
    distiller = RCNNDistiller(student(), teacher(), ALL)
    _, full = step(distiller)
    with torch.autocast("cpu", torch.bfloat16):
        loss, terms = step(RCNNDistiller(student(), teacher(), ALL))
    loss.backward()
    for name, value in terms.items():
        assert torch.isfinite(value)
        assert float(value) == pytest.approx(float(full[name]), rel=0.2, abs=0.05), name


def test_an_exception_leaves_no_hooks() -> None:
    distiller = RCNNDistiller(student(), teacher(), ALL)
    images, targets = pictures()
    targets[0]["boxes"][0] = torch.tensor([40.0, 8.0, 8.0, 40.0])
    before = hooks(distiller.student)
    with pytest.raises(AssertionError, match="positive height and width"):
        distiller(images, targets)
    assert hooks(distiller.student) == before
    step(distiller)
    assert hooks(distiller.student) == before


def test_nothing_of_a_step_is_kept() -> None:
    distiller = RCNNDistiller(student(), teacher(), ["dkd"])
    step(distiller)
    gc.collect()
    kept = [thing for thing in gc.get_objects() if type(thing) is Tensor and thing.grad_fn is not None]
    assert not kept


@pytest.mark.parametrize("head", ["version 2", "masks"])
def test_other_heads(head: str) -> None:
    ours, theirs = (_with_head(head, seed) for seed in (1, 2))
    distiller = RCNNDistiller(ours, theirs, ["dkd", "reviewkd"])
    images, targets = pictures()
    if head == "masks":
        for image, target in zip(images, targets, strict=True):
            target["masks"] = torch.zeros(len(target["boxes"]), *image.shape[1:], dtype=torch.uint8)
    loss, terms = distiller(images, targets)
    loss.backward()
    assert ("loss_mask" in terms) == (head == "masks")
    assert float(terms["nckd_background"]) > 0


def _with_head(head: str, seed: int) -> FasterRCNN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        plain = detector(seed)
        pool = MultiScaleRoIAlign(["0", "1", "2"], output_size=7, sampling_ratio=2)
        if head == "masks":
            anchors = plain.rpn.anchor_generator
            return MaskRCNN(plain.backbone, CLASSES, min_size=64, rpn_anchor_generator=anchors, box_roi_pool=pool)
        channels = plain.backbone.out_channels
        box_head = FastRCNNConvFCHead((channels, 7, 7), [channels] * 2, [1024], norm_layer=nn.BatchNorm2d)
        return FasterRCNN(
            plain.backbone,
            CLASSES,
            min_size=64,
            rpn_anchor_generator=plain.rpn.anchor_generator,
            box_roi_pool=pool,
            box_head=box_head,
        )
