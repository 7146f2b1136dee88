"""Detectors that differ: in normalisation, pyramids and classes."""

import pytest
import torch
from torch import Tensor

from decant.detection import ClassMap, Level, RCNNDistiller, create_detector
from decant.detection.anatomy import anatomy, common_levels
from decant.detection.method import IGNORED
from decant.detection.observe import renormalised
from detection.toy_detectors import detector, pictures, step, student, teacher

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]


def test_the_teacher_sees_its_own_normalisation() -> None:
    ours, theirs = student().transform, detector(2, image_mean=MEAN, image_std=STD).transform
    images, _ = pictures()
    batch, _ = ours(images)
    wanted, _ = theirs(images)
    found = renormalised(batch.tensors, batch.image_sizes, ours, theirs)
    torch.testing.assert_close(found, wanted.tensors, atol=1e-5, rtol=1e-5)
    assert torch.equal(found == 0, wanted.tensors == 0), "the border stays 0"
    assert renormalised(batch.tensors, batch.image_sizes, ours, ours) is batch.tensors


def test_another_normalisation_is_another_input() -> None:
    other = detector(2, "fasterrcnn_tiny_wide_fpn", image_mean=MEAN, image_std=STD)
    other.load_state_dict(detector(2, "fasterrcnn_tiny_wide_fpn").state_dict())
    _, here = step(RCNNDistiller(student(), detector(2, "fasterrcnn_tiny_wide_fpn"), ["reviewkd"]))
    _, there = step(RCNNDistiller(student(), other, ["reviewkd"]))
    assert not torch.isclose(here["reviewkd"], there["reviewkd"], rtol=1e-3)


def test_levels_are_paired_by_stride() -> None:
    levels = common_levels(anatomy(student()), anatomy(create_detector("fasterrcnn_mobilenet_v2_fpn", num_classes=3)))
    assert levels == (
        Level(4, "0", "0", 16, 256),
        Level(8, "1", "1", 16, 256),
        Level(16, "2", "2", 16, 256),
        Level(32, "pool", "3", 16, 256),
    )


def test_a_dry_pass_leaves_the_detector_as_it_was() -> None:
    network = student()
    network.backbone.body.stage3.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modes = {name: module.training for name, module in network.named_modules()}
    state = torch.get_rng_state()
    found = anatomy(network)
    assert (found.classes, found.strides) == (4, {"0": 4, "1": 8, "2": 16, "pool": 32})
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert network.roi_heads.box_roi_pool.scales is None


def test_pyramids_without_a_common_level_can_still_teach_logits() -> None:
    ours, theirs = student(), teacher()
    ours.backbone.body.stem[0].stride = (16, 16)  # strides from 32 on
    theirs.backbone.body.stem[0].stride = (1, 1)  # strides 2 to 16
    assert common_levels(anatomy(ours), anatomy(theirs)) == ()
    RCNNDistiller(ours, theirs, ["dkd"])
    with pytest.raises(ValueError, match="reviewkd compares levels of equal stride"):
        RCNNDistiller(ours, theirs, ["reviewkd"])


def probabilities(classes: ClassMap, teacher_logits: Tensor) -> Tensor:
    rows = torch.zeros(len(teacher_logits), classes.classes)
    _, logits, _ = classes.paired(rows, teacher_logits, torch.zeros(len(rows), dtype=torch.int64))
    return logits.softmax(1)


def test_folded_classes_add_their_probabilities() -> None:
    classes = ClassMap.by_name(["dog", "vehicle"], ["car", "cat", "bus", "dog"], {"car": "vehicle", "bus": "vehicle"})
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    before = logits.softmax(1)
    wanted = torch.stack([before[:, 0] + before[:, 2], before[:, 4], before[:, 1] + before[:, 3]], dim=1)
    torch.testing.assert_close(probabilities(classes, logits), wanted)


def test_an_unknown_class_is_left_out_of_both() -> None:
    classes = ClassMap.by_name(["dog", "ufo", "cat"], ["cat", "dog"])
    assert classes.unknown == (2,)
    own, logits = torch.randn(3, 4), torch.randn(3, 3)
    mine, theirs, target = classes.paired(own, logits, torch.tensor([0, 2, 3]))
    assert torch.equal(mine, own[:, [0, 1, 3]])
    assert torch.equal(theirs, logits[:, [0, 2, 1]])
    assert target.tolist() == [0, IGNORED, 2]


def test_classes_in_another_order_teach_the_same() -> None:
    plain, shuffled = teacher(), teacher()
    predictor = shuffled.roi_heads.box_predictor.cls_score
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.copy_(parameter[[0, 3, 1, 2]])
    _, here = step(RCNNDistiller(student(), plain, ["dkd"]))
    named = RCNNDistiller(
        student(), shuffled, ["dkd"], student_classes=["a", "b", "c"], teacher_classes=["__background__", "c", "a", "b"]
    )
    _, there = step(named)
    torch.testing.assert_close(here, there)
    _, wrong = step(RCNNDistiller(student(), shuffled, ["dkd"]))
    assert not torch.isclose(here["nckd_background"], wrong["nckd_background"], rtol=1e-2)


@pytest.mark.parametrize(
    ("student_names", "teacher_names", "folded", "message"),
    [
        (["a", "a"], ["a"], None, "several"),
        (["a"], ["b"], None, "no class in common"),
        (["a"], ["b"], {"c": "a"}, r"name \['c'\], which the teacher does not have: b"),
        (["a"], ["b"], {"b": "z"}, r"name \['z'\], which the student does not have: a"),
    ],
)
def test_names_that_cannot_be_matched(
    student_names: list[str], teacher_names: list[str], folded: dict[str, str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ClassMap.by_name(student_names, teacher_names, folded)
