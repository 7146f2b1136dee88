"""One-stage detectors: both ways to read a sigmoid head, and the promises of two-stage ones."""

import copy
import math
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator

from decant.detection.experimental import DenseDistiller, DenseDKDSettings, _matched_classes, _observed, dense_terms
from detection.test_distiller import hooks
from detection.toy_detectors import CLASSES, detector, frozen_statistics, pictures

Form = Literal["background", "bernoulli"]
FORMS: tuple[Form, ...] = ("background", "bernoulli")
KINDS = ("retinanet", "fcos")


def dense(kind: str, seed: int, louder: float = 4.0) -> Any:
    """A tiny one-stage detector on the tiny backbone; heads begin almost silent, these speak up."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = detector(seed, "fasterrcnn_tiny_wide_fpn").backbone  # 32 channels, as FCOS needs them
        sizes = ((8,), (16,), (32,), (64,))
        aspects = (0.5, 1.0, 2.0) if kind == "retinanet" else (1.0,)
        anchors = AnchorGenerator(sizes, (aspects,) * len(sizes))
        made: Any = (RetinaNet if kind == "retinanet" else FCOS)(
            backbone, CLASSES, min_size=64, max_size=128, anchor_generator=anchors
        )
        with torch.no_grad():
            for module in made.head.classification_head.modules():
                if isinstance(module, nn.Conv2d):
                    module.weight.mul_(louder)
    return made


def step(distiller: DenseDistiller, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        loss, terms = distiller(*pictures(seed))
    return loss, terms


def in_loops(student: Tensor, teacher: Tensor, target: Tensor, temperature: float, form: Form) -> tuple[float, float]:
    """The two terms as sums over positions and classes, in Python's own numbers."""
    whole, rest, objects = 0.0, 0.0, 0
    for ours, theirs, wanted in zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True):
        if wanted == -100:
            continue
        objects += wanted >= 0
        if form == "bernoulli":
            for label, (own, other) in enumerate(zip(ours, theirs, strict=True)):
                q, p = (1 / (1 + math.exp(-value / temperature)) for value in (own, other))
                value = temperature**2 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
                whole, rest = (whole + value, rest) if label == wanted else (whole, rest + value)
            continue
        odds = [[1.0, *(math.exp(value / temperature) for value in row)] for row in (ours, theirs)]
        student_share, teacher_share = ([value / sum(row) for value in row] for row in odds)
        t = wanted + 1
        q, p = student_share[t], teacher_share[t]
        whole += temperature**2 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
        for label in range(len(teacher_share)):
            if label != t:
                a, b = teacher_share[label] / (1 - p), student_share[label] / (1 - q)
                rest += temperature**2 * a * math.log(a / b)
    return whole / max(1, objects), rest / max(1, objects)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("kept", [slice(None), slice(2, 4)], ids=["objects", "none"])
def test_the_terms_are_their_sums(form: Form, temperature: float, kept: slice) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (2 * torch.randn(6, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    target = torch.tensor([3, 0, -1, -100, 4, -1])
    ours, theirs, target = ours[kept], theirs[kept], target[kept]
    terms = dense_terms(ours, theirs, target, temperature, form)
    wanted = in_loops(ours, theirs, target, temperature, form)
    assert [float(terms[name]) for name in ("dense_target", "dense_others")] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("target", [[0, 0, 0], [0, -1, -1]])
def test_for_a_single_class_the_forms_agree(target: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (2 * torch.randn(3, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    sums = []
    for form in FORMS:
        terms = dense_terms(ours, theirs, torch.tensor(target), 2.0, form)
        sums.append(terms["dense_target"] + terms["dense_others"])
    torch.testing.assert_close(*sums)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_and_confident_heads(form: Form) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(4, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    target = torch.tensor([2, -1, -100, 0])
    assert torch.autograd.gradcheck(
        lambda logits: tuple(dense_terms(logits, theirs, target, 2.0, form).values()), ours.requires_grad_()
    )
    loud = (1e4 * ours).detach().float().requires_grad_()
    terms = dense_terms(loud, -1e4 * theirs.float(), target, 1.0, form)
    (terms["dense_target"] + terms["dense_others"]).backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert loud.grad is not None
    assert bool(torch.isfinite(loud.grad).all())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_observed_is_what_the_detector_used(kind: str) -> None:
    network = dense(kind, 1)
    used: dict[str, Any] = {}
    compute = network.head.compute_loss

    def computing(targets: Any, outputs: Any, anchors: Any, matches: Any) -> Any:
        used.update(outputs=outputs, matches=matches)
        return compute(targets, outputs, anchors, matches)

    network.head.compute_loss = computing
    images, targets = pictures()
    with _observed(network) as seen:
        network(images, targets)
    before = dict(used)
    classes = _matched_classes(network, seen).split([len(match) for match in before["matches"]])
    assert used["matches"] is before["matches"], "the detector's own head was not asked again"
    assert seen.outputs["cls_logits"] is before["outputs"]["cls_logits"]
    for found, match, target in zip(classes, before["matches"], targets, strict=True):
        for label, index in zip(found.tolist(), match.tolist(), strict=True):
            assert label == (int(target["labels"][index]) if index >= 0 else {-1: -1, -2: -100}[index])
    assert {label for found in classes for label in found.tolist()} >= {-1, 1, 2}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_without_weights_it_is_the_training_of_the_student_alone(kind: str, form: Form) -> None:
    alone, network = dense(kind, 1), dense(kind, 1)
    distiller = DenseDistiller(network, dense(kind, 2, 8), DenseDKDSettings(alpha=0.0, beta=0.0, form=form))
    trained = [torch.optim.SGD(own.parameters(), lr=0.01, momentum=0.9) for own in (alone, network)]
    for seed in range(3):
        ours = sum(alone(*pictures(seed)).values())
        theirs, terms = distiller(*pictures(seed))
        assert torch.equal(ours, theirs)
        assert float(terms["dense_target"]) > 0
        for optimizer, loss in zip(trained, (ours, theirs), strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    left, right = alone.state_dict(), network.state_dict()
    assert all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_it_follows_its_teacher_and_not_a_copy_of_itself(kind: str, form: Form) -> None:
    network = dense(kind, 1)
    frozen_statistics(network)
    settings = DenseDKDSettings(form=form, beta=1.0)
    _, same = step(DenseDistiller(network, copy.deepcopy(network), settings))
    assert all(float(same[name].abs()) < 1e-5 for name in ("dense_target", "dense_others"))
    distiller = DenseDistiller(network, dense(kind, 2, 8), settings)
    optimizer = torch.optim.Adam(distiller.parameters(), lr=1e-3)
    seen = []
    for _ in range(6):
        distilled = step(distiller)[0] - sum(network(*pictures(0)).values())
        seen.append(float(distilled.detach()))
        optimizer.zero_grad()
        distilled.backward()
        optimizer.step()
    assert seen[-1] < 0.9 * seen[0]


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_leaves_no_hooks_and_a_picture_without_objects_is_background(kind: str) -> None:
    distiller = DenseDistiller(dense(kind, 1), dense(kind, 2, 8))
    images, targets = pictures()
    before = hooks(distiller.student)
    targets[0]["boxes"][0] = torch.tensor([40.0, 8.0, 8.0, 40.0])
    with pytest.raises(AssertionError, match="positive height and width"):
        distiller(images, targets)
    assert hooks(distiller.student) == before
    loss, terms = distiller(images[2:], targets[2:])
    loss.backward()
    assert hooks(distiller.student) == before
    assert all(torch.isfinite(value) for value in terms.values())
    assert set(distiller.state_dict()) == {f"student.{key}" for key in distiller.student.state_dict()}


def test_what_cannot_be_distilled_is_told() -> None:
    unknown: Any = "softmax"
    with pytest.raises(TypeError, match="student must be torchvision's RetinaNet or FCOS; FasterRCNN has no"):
        DenseDistiller(detector(1), dense("fcos", 2))
    with pytest.raises(TypeError, match="teacher must be torchvision's RetinaNet or FCOS; Linear has no transform"):
        DenseDistiller(dense("fcos", 2), nn.Linear(1, 1))
    network = dense("fcos", 1)
    with pytest.raises(ValueError, match="the teacher must be a detector of its own"):
        DenseDistiller(network, network)
    with pytest.raises(ValueError, match=r"the same positions and classes \(images, positions, classes\)"):
        step(DenseDistiller(network, dense("retinanet", 2)))
    with pytest.raises(RuntimeError, match="the student is in eval mode"):
        DenseDistiller(network.eval(), dense("fcos", 2))(*pictures())
    with pytest.raises(ValueError, match="form must be 'background' or 'bernoulli', got 'softmax'"):
        DenseDKDSettings(form=unknown)
