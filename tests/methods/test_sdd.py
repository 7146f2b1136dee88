"""Scale decoupling: both classifiers on the regions of both maps, the student's own among them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant import Distiller
from decant.losses import dkd_loss, kd_loss, nkd_loss, region_means, sdd_terms
from decant.methods import SDD, SDDSettings, weighted_total
from decant.models import Tapped, create, fold_batchnorm
from methods.building import CLASSES

IMAGES = 2 * torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
TARGET = torch.arange(12) % CLASSES
ALONE: dict[str, Any] = {"task_weight": 0.0, "warmup": 0}

BASES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "kd": lambda s, t, y: kd_loss(s, t, temperature=3.0, reduction="none"),
    "dkd": lambda s, t, y: dkd_loss(s, t, y, alpha=2.0, beta=5.0, temperature=3.0, reduction="none"),
    "nkd": lambda s, t, y: nkd_loss(s, t, y, gamma=0.7, temperature=3.0, reduction="none"),
}
CHANGED: dict[str, Any] = {"alpha": 2.0, "beta": 5.0, "gamma": 0.7, "temperature": 3.0, "scales": (1, 2)}


def networks() -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student, teacher = (create(f"digits_{role}", num_classes=CLASSES) for role in ("student", "teacher"))
        for network in (student, teacher):  # statistics of the data, or all logits are nearly equal
            for _ in range(30):
                network(IMAGES)
        return student, teacher


def regions(network: nn.Module, scales: tuple[int, ...]) -> Tensor:
    maps = Tapped(network, {"map": "pool.map"})(IMAGES).taps["map"]
    classifier = network.get_submodule("classifier")
    return torch.stack([classifier(region) for region in region_means(maps, scales).unbind(2)], dim=2)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("labelled", [True, False])
def test_every_region_is_a_sample_of_the_base_loss(base: Any, labelled: bool) -> None:
    student, teacher = networks()
    distiller = Distiller(student, teacher, SDDSettings(base=base, **ALONE, **CHANGED), example=IMAGES).eval()
    terms = distiller(IMAGES, TARGET if labelled else None).terms
    own, goal = regions(student, (1, 2)), regions(teacher, (1, 2))
    target = TARGET if labelled else teacher(IMAGES).argmax(dim=1)
    losses = BASES[base](own, goal, target.unsqueeze(1).expand(-1, 5))
    torch.testing.assert_close(terms, {"hard": terms["hard"], **sdd_terms(losses, goal, target)._asdict()})
    assert terms["complementary"] > 0
    torch.testing.assert_close(terms["hard"], F.cross_entropy(student(IMAGES), TARGET) if labelled else torch.zeros(()))


def test_mixed_labels_are_the_expectation_of_dkd() -> None:
    student, teacher = networks()
    distiller = Distiller(student, teacher, SDDSettings(**ALONE), example=IMAGES).eval()
    first, second = (F.one_hot(target, CLASSES).float() for target in (TARGET, (TARGET + 1) % CLASSES))
    mixed, plain, other = (
        distiller(IMAGES, target).terms for target in (0.75 * first + 0.25 * second, TARGET, (TARGET + 1) % CLASSES)
    )
    total = sum(mixed[name] for name in ("consistent", "complementary"))
    expected = sum(0.75 * plain[name] + 0.25 * other[name] for name in ("consistent", "complementary"))
    torch.testing.assert_close(total, expected)


def test_one_scale_is_the_base_alone() -> None:
    student, teacher = networks()
    distiller = Distiller(student, teacher, SDDSettings(scales=(1,), **ALONE), example=IMAGES).eval()
    loss, terms, _ = distiller(IMAGES, TARGET)
    torch.testing.assert_close(loss, dkd_loss(student(IMAGES), teacher(IMAGES), TARGET))
    assert terms["complementary"] == 0


def test_a_copy_of_the_teacher_has_nothing_to_learn() -> None:
    _, teacher = networks()
    _, student = networks()
    distiller = Distiller(student, teacher, SDDSettings(**ALONE), example=IMAGES).eval()
    loss = distiller(IMAGES, TARGET).loss
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert all(parameter.grad is not None and parameter.grad.abs().max() < 1e-5 for parameter in student.parameters())


def test_the_regions_train_the_students_own_classifier() -> None:
    student, teacher = networks()
    method = SDDSettings(**ALONE, scales=(1, 2))
    distiller = Distiller(student, teacher, method, example=IMAGES).eval()
    (gradient,) = torch.autograd.grad(distiller(IMAGES, TARGET).loss, student.get_parameter("classifier.weight"))
    own, goal = regions(student, (1, 2)), regions(teacher, (1, 2)).detach()
    losses = dkd_loss(own, goal, TARGET.unsqueeze(1).expand(-1, 5), reduction="none")
    consistent, complementary = sdd_terms(losses, goal, TARGET)
    (expected,) = torch.autograd.grad(consistent + 2 * complementary, student.get_parameter("classifier.weight"))
    torch.testing.assert_close(gradient, expected)


def test_the_classifier_is_the_students_alone_also_in_copies() -> None:
    student, teacher = networks()
    distiller = Distiller(student, teacher, SDDSettings(**ALONE), example=IMAGES).eval()
    assert not list(distiller.method.parameters())
    assert not distiller.method.state_dict()
    assert len(list(distiller.parameters())) == len(list(student.parameters()))
    made = distiller.copy()
    assert isinstance(made.method, SDD)
    assert made.method._classifier[0] is made.student.get_submodule("classifier")
    assert made.method._classifier[0] is not student.get_submodule("classifier")
    before = made(IMAGES, TARGET).loss
    torch.testing.assert_close(before, distiller(IMAGES, TARGET).loss)
    with torch.no_grad():
        student.get_parameter("classifier.weight").zero_()
    assert torch.equal(made(IMAGES, TARGET).loss, before)
    assert not torch.equal(distiller(IMAGES, TARGET).loss, before)
    made.load_state_dict(distiller.state_dict())
    torch.testing.assert_close(made(IMAGES, TARGET).loss, distiller(IMAGES, TARGET).loss)
    made.double()
    assert made(IMAGES.double(), TARGET).loss.dtype == torch.float64


def test_a_folded_teacher_teaches_the_same() -> None:
    student, teacher = networks()
    settings = SDDSettings(**ALONE)
    method = Distiller(student, teacher, settings, example=IMAGES).method
    folded = fold_batchnorm(teacher, IMAGES, taps={"map": "pool.map"})
    assert folded.layers
    ours, theirs = (Distiller(student, of, method).eval()(IMAGES, TARGET).loss for of in (folded.network, teacher))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # hidden by the tracer, unless an error
def test_a_compiled_step_is_the_plain_one() -> None:
    student, teacher = networks()
    distiller = Distiller(student, teacher, SDDSettings(**ALONE), example=IMAGES).eval()
    plain = distiller(IMAGES, TARGET).loss
    expected = torch.autograd.grad(plain, list(student.parameters()))
    torch.compiler.reset()
    distiller.compile(dynamic=False, backend="aot_eager", fullgraph=True)
    for _ in range(2):
        loss = distiller(IMAGES, TARGET).loss
        torch.testing.assert_close(loss, plain)
        gradients = torch.autograd.grad(loss, list(student.parameters()))
        torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        student.get_parameter("classifier.weight").mul_(2.0)
    moved = distiller(IMAGES, TARGET).loss  # what is compiled sees the weights of now
    distiller.compile(disable=True)
    torch.testing.assert_close(moved, distiller(IMAGES, TARGET).loss)
    torch.compiler.reset()


@pytest.mark.parametrize("mixed", [False, True])
def test_the_student_comes_to_agree_with_its_own_teacher_and_not_with_mixed_up_rows(mixed: bool) -> None:
    student, teacher = networks()
    torch.manual_seed(0)
    images = 1.5 * F.interpolate(torch.randn(96, 1, 4, 4), scale_factor=2)
    with torch.no_grad():
        teacher.get_parameter("classifier.weight").mul_(20)  # sure of what it says
        teacher.train()
        for _ in range(30):
            teacher(images)
        right = Tapped(teacher.eval(), {"map": "pool.map"})(images)
    order = torch.randperm(96) if mixed else torch.arange(96)
    distiller = Distiller(student, teacher, SDDSettings(base="kd", weight=1.0, **ALONE), example=images)
    taught = type(right)(right.logits[order], {"map": right.taps["map"][order]})

    def agreement() -> float:
        with torch.no_grad():
            chosen: Tensor = student.eval()(images).argmax(dim=1)
        return float((chosen == right.logits.argmax(dim=1)).double().mean())

    before = agreement()
    optimizer = torch.optim.Adam(student.parameters(), lr=0.03)
    for _ in range(100):
        distiller.train()
        loss = distiller(images, None, teacher_outputs=taught).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = agreement()
    assert (after < before + 0.3) if mixed else (after > 0.8), (before, after)


def test_another_classifier_than_the_networks_own_is_found_out() -> None:
    student, teacher = networks()
    method = Distiller(student, teacher, SDDSettings(**ALONE), example=IMAGES).method
    stranger, other = networks()
    for network in (stranger, other):
        nn.init.normal_(network.get_parameter("classifier.weight"))
    with pytest.raises(
        ValueError, match="by the student's classifier, but its logits are not that classifier on the mean"
    ):
        Distiller(stranger, teacher, method)(IMAGES, TARGET)
    with pytest.raises(ValueError, match="by the teacher's classifier, but its logits are not that classifier"):
        Distiller(student, other, method)(IMAGES, TARGET)
    with pytest.raises(ValueError, match="sdd needs the student's classifier by itself: one linear layer from the 16"):
        Distiller(create("digits_teacher"), teacher, "sdd", example=IMAGES, student_taps={"map": "relu0"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base": "rld"}, "base is 'kd', 'dkd' or 'nkd', got 'rld'"),
        ({"scales": ()}, r"scales rise from 1, the whole, such as \(1, 2, 4\), got \(\)"),
        ({"scales": (2, 4)}, "scales rise from 1, the whole"),
        ({"scales": (1, 4, 2)}, "scales rise from 1, the whole"),
        ({"scales": (1, 0)}, r"scales\[1\] must be at least 1, got 0"),
        ({"complementary_weight": -1.0}, "complementary_weight must be a finite number of at least 0"),
        ({"temperature": 0.0}, "temperature must be a finite number above 0"),
        ({"warmup": -1}, "warmup is a number of epochs of at least 0"),
    ],
)
def test_values_that_no_training_can_use_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SDDSettings(**values)


def test_the_weights_are_those_of_its_terms() -> None:
    student, teacher = networks()
    settings = SDDSettings(task_weight=0.5, weight=3.0, complementary_weight=4.0, warmup=10)
    method = Distiller(student, teacher, settings, example=IMAGES).method
    assert method.weights(4.0) == {"hard": 0.5, "consistent": 1.5, "complementary": 6.0}
    assert method.weights(90.0) == {"hard": 0.5, "consistent": 3.0, "complementary": 12.0}
    terms = Distiller(student, teacher, method)(IMAGES, TARGET, epoch=90.0).terms
    assert weighted_total(terms, method.weights(90.0)).isfinite()
