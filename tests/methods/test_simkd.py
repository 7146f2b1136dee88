"""The reused classifier: which network is trained, evaluated, saved and found again."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from decant import Distiller
from decant.engine import train
from decant.engine.evaluate import evaluate
from decant.engine.judge import evaluate_run
from decant.engine.run import find_teacher
from decant.interfaces import BuildContext
from decant.methods import KDSettings, SimKD, SimKDSettings
from decant.methods.adapters import projector
from decant.methods.classifiers import exchanged
from decant.models import ClassMap, Tapped, create, folded_classes, load_weights
from decant.recipe import TeacherSettings
from engine.tiny import CLASSES as FAKE_CLASSES
from engine.tiny import on_cpu, places, recipe, splits, untrained_teacher, weights_of
from methods.building import CLASSES, digits_context

IMAGES = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
TARGET = torch.arange(5)


def networks(teacher: str = "digits_teacher") -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return create("digits_student", num_classes=CLASSES), create(teacher, num_classes=CLASSES, in_channels=1)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_logits_are_the_teachers_classifier_on_the_projected_map() -> None:
    student, teacher = networks()
    distiller = Distiller(student, teacher, "simkd", example=IMAGES).eval()
    given = distiller(IMAGES, TARGET)
    projected = distiller.deployed().get_submodule("pool.map.projector")
    own, goal = (Tapped(network, {"map": "pool.map"})(IMAGES).taps["map"] for network in (student, teacher))
    classifier = teacher.get_submodule("classifier")
    torch.testing.assert_close(given.logits, classifier(projected(own).mean(dim=(2, 3))))
    torch.testing.assert_close(distiller.deployed()(IMAGES), given.logits)
    torch.testing.assert_close(given.terms["simkd"], (projected(own) - goal).square().mean())
    assert given.loss == given.terms["simkd"], "labels take no part"


def test_all_but_the_reused_classifier_is_trained_and_nothing_twice() -> None:
    student, teacher = networks()
    before, taught = copy.deepcopy(student.state_dict()), copy.deepcopy(teacher.state_dict())
    distiller = Distiller(student, teacher, SimKDSettings(), example=IMAGES)
    reused = {f"_student.network.classifier.{name}" for name in ("weight", "bias")}
    assert {key for key, value in distiller.named_parameters() if not value.requires_grad} == reused
    assert not list(distiller.method.parameters())
    assert len(distiller.state_dict()) == len(distiller.deployed().state_dict())
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.1)
    distiller(IMAGES, TARGET).loss.backward()
    assert all((value.grad is not None) == (key not in reused) for key, value in distiller.named_parameters())
    optimizer.step()
    trained = distiller.deployed().state_dict()
    assert all(torch.equal(value, taught[key]) for key, value in teacher.state_dict().items())
    assert torch.equal(trained["classifier.weight"], taught["classifier.weight"])
    moved = {key for key, value in student.state_dict().items() if not torch.equal(value, before[key])}
    assert "block0.0.weight" in moved
    assert not any(key.startswith("classifier") for key in moved), "the student's own classifier is out of use"
    assert torch.equal(student.state_dict()["block0.0.weight"], trained["block0.0.weight"])
    assert list(student.state_dict()) == list(before)


def test_copies_and_moves_take_all_parts_along() -> None:
    student, teacher = networks()
    distiller = Distiller(student, teacher, "simkd", example=IMAGES).eval()
    made = distiller.copy()
    torch.testing.assert_close(made(IMAGES, TARGET).loss, distiller(IMAGES, TARGET).loss)
    shared = {id(parameter) for parameter in distiller.parameters()} & {id(p) for p in made.parameters()}
    assert not shared
    made.double()
    assert made.deployed()(IMAGES.double()).dtype == torch.float64


def test_the_parameters_are_counted_as_they_are() -> None:
    student, teacher = networks()
    deployed = Distiller(student, teacher, SimKDSettings(factor=4), example=IMAGES).deployed()
    bridge, own, reused = projector(16, 64, 4), student.get_submodule("classifier"), teacher.get_submodule("classifier")
    assert parameters(deployed) == parameters(student) - parameters(own) + parameters(bridge) + parameters(reused)
    assert parameters(bridge) == 16 * 16 + 9 * 16 * 16 + 16 * 64 + 2 * (16 + 16 + 64)


@pytest.mark.parametrize(
    ("pair", "size"),
    [
        ("vgg8-MobileNetV2", (2, 2)),
        ("MobileNetV2-vgg8", (2, 2)),
        ("wrn_16_1-ShuffleNetV1", (4, 4)),
        ("vgg8-resnet8", (4, 4)),
    ],
)
def test_of_two_sizes_the_smaller_is_compared(pair: str, size: tuple[int, int]) -> None:
    images = torch.randn(2, 3, 32, 32)
    teacher, student = (create(name, num_classes=CLASSES) for name in pair.split("-"))
    distiller = Distiller(student, teacher, "simkd", example=images).eval()
    given = distiller(images)
    own = Tapped(distiller.student, {"map": "pool.map"})(images).taps["map"]
    goal = nn.functional.adaptive_avg_pool2d(Tapped(teacher, {"map": "pool.map"})(images).taps["map"], size)
    assert own.shape == goal.shape
    torch.testing.assert_close(given.terms["simkd"], (own - goal).square().mean())


@pytest.mark.parametrize("ema", [None, 0.9])
def test_what_a_run_saves_is_what_it_judged_and_is_found_again(ema: float | None, tmp_path: Path) -> None:
    teacher = untrained_teacher()
    summary = train(recipe(SimKDSettings(), ema=ema), tmp_path / "run", places(tmp_path), teacher=teacher)
    weights = weights_of(tmp_path / "run")
    plain = create("digits_student", num_classes=FAKE_CLASSES, in_channels=3)
    assert summary["parameters"] == parameters(plain) - 8 * 17 + parameters(projector(16, 64, 2)) + 8 * 65
    assert torch.equal(weights["classifier.weight"], teacher.network.state_dict()["classifier.weight"])
    assert evaluate_run(tmp_path / "run", places(tmp_path)).score.top1 == summary["last"]["top1"]
    with pytest.raises(ValueError, match="weights do not fit the network"):
        load_weights(plain, tmp_path / "run" / "student.safetensors")

    # As the page says.
    student, other = (create(f"digits_{role}", num_classes=8, in_channels=3) for role in ("student", "teacher"))
    network = Distiller(student, other, "simkd", example=torch.zeros(2, 3, 8, 8)).deployed()
    load_weights(network, tmp_path / "run" / "student.safetensors")
    score = evaluate(network, splits().test, on_cpu())
    assert (score.top1, score.loss) == pytest.approx((summary["last"]["top1"], summary["last"]["loss"]))


def test_such_a_student_can_teach(tmp_path: Path) -> None:
    taught = recipe(SimKDSettings(), epochs=1)
    planned = replace(recipe(KDSettings()), teacher=TeacherSettings(recipe=taught))
    found = find_teacher(planned, splits(), places(tmp_path))
    assert found is not None
    (folder,) = (tmp_path / "teachers").glob("digits_student-*")
    assert all(torch.equal(found.network.state_dict()[key], value) for key, value in weights_of(folder).items())
    assert train(planned, tmp_path / "run", places(tmp_path))["finished"]


def test_a_map_that_nobody_named_is_asked_for() -> None:
    student, teacher = networks()
    with pytest.raises(
        ValueError, match=r"simkd needs the student's features \['map'\], but the student names \['pooled"
    ):
        Distiller(student, teacher, "simkd", example=IMAGES, student_taps={"pooled": "pool"})
    with pytest.raises(ValueError, match="simkd learns from a teacher, but there is none"):
        SimKDSettings().build(BuildContext(student))


class Deep(nn.Module):
    """A classifier of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.classifier = nn.Conv2d(1, 7, 3), nn.Sequential(nn.Linear(7, 5), nn.Linear(5, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.map(images).mean(dim=(2, 3)))
        return logits


def test_a_network_without_such_a_classifier_is_refused() -> None:
    student, teacher = networks()
    message = r"simkd needs the teacher's classifier by itself: one linear layer from the 7 channels .* has none"
    with pytest.raises(ValueError, match=message):
        Distiller(student, Deep(), "simkd", example=IMAGES, teacher_taps={"map": "map"})
    two = Deep()
    two.classifier = nn.Sequential(nn.Linear(7, 6), nn.ReLU())
    two.other = nn.Linear(7, 6)
    with pytest.raises(ValueError, match=r"the student's classifier .* this student has 'classifier.0', 'other'"):
        Distiller(two, teacher, "simkd", example=IMAGES, student_taps={"map": "map"})
    with pytest.raises(ValueError, match="factor divides the channels of the teacher's last map, 64, got 65"):
        SimKDSettings(factor=65).build(digits_context())
    with pytest.raises(ValueError, match="factor must be at least 1, got 0"):
        SimKDSettings(factor=0)


@pytest.mark.parametrize("method", ["simkd", "sdd"])
def test_a_classifier_that_does_not_give_the_logits_is_refused(method: str) -> None:
    student, teacher = networks()
    mapped = folded_classes(teacher, ClassMap((1, 0, *range(2, CLASSES)), ()), CLASSES)
    message = rf"{method} needs the teacher's classifier .* not 'network.classifier' on the mean .* in another order"
    with pytest.raises(ValueError, match=message):
        Distiller(student, mapped, method, example=IMAGES)
    with pytest.raises(
        ValueError, match=r"the student's classifier .* name as tap 'map' what is averaged before 'clas"
    ):
        Distiller(student, teacher, method, example=IMAGES, student_taps={"map": "block1.0"})
    for network in (student, teacher):
        network.bfloat16()
    assert Distiller(student, teacher, method, example=IMAGES.bfloat16()), "rounding is no other classifier"


def test_a_teacher_over_the_same_classes_in_another_order_is_refused(tmp_path: Path) -> None:
    theirs = untrained_teacher().network
    save_file(theirs.state_dict(), tmp_path / "teacher.safetensors")
    named = splits().train.classes
    settings = TeacherSettings(
        name="digits_teacher", weights=str(tmp_path / "teacher.safetensors"), classes=(*named[1:], named[0])
    )
    planned = replace(recipe(SimKDSettings()), teacher=settings)
    with pytest.raises(ValueError, match="whose classes are in another order than the data's cannot take part"):
        train(planned, tmp_path / "run", places(tmp_path), announce=False)
    same = replace(planned, teacher=replace(settings, classes=named))
    assert train(same, tmp_path / "run", places(tmp_path), announce=False)["finished"]


def test_networks_of_ones_own_name_their_map() -> None:
    _, teacher = networks()
    student = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, CLASSES))
    distiller = Distiller(student, teacher, "simkd", example=IMAGES, student_taps={"map": "1"}).eval()
    own, goal = student[:2](IMAGES), Tapped(teacher, {"map": "pool.map"})(IMAGES).taps["map"]
    projected = distiller.deployed().get_submodule("1.projector")(
        nn.functional.adaptive_avg_pool2d(own, goal.shape[2:])
    )
    torch.testing.assert_close(distiller(IMAGES).terms["simkd"], (projected - goal).square().mean())


def test_exchanging_a_part_leaves_the_network_as_it_is() -> None:
    network = networks()[0]
    first, second = nn.Identity(), nn.Linear(16, 3)
    other = exchanged(network, {"pool.map": first, "classifier": second})
    assert type(other) is type(network)
    assert other.get_submodule("pool.map") is first
    assert network.get_submodule("pool.map") is not first
    assert other.get_submodule("block0.0") is network.get_submodule("block0.0")
    assert (other(IMAGES).shape, network(IMAGES).shape) == ((5, 3), (5, CLASSES))
    other.eval()
    assert network.training
    handle = other.register_forward_hook(lambda *_: pytest.fail("the hook is of the other network"))
    network(IMAGES)
    handle.remove()


def test_the_terms_are_those_of_its_weights() -> None:
    made = digits_context()
    method = SimKDSettings(task_weight=0.5, weight=2.0).build(made)
    assert isinstance(method, SimKD)
    assert (method.taps, method.task, method.gather) == (("map",), "hard", False)
    assert method.weights(0.0) == method.weights(300.0) == {"hard": 0.5, "simkd": 2.0}
    assert vars(SimKDSettings()) == {"name": "simkd", "task_weight": 0.0, "weight": 1.0, "factor": 2}
    with pytest.raises(ValueError, match=r"weight must be a finite number of at least 0, got -1\.0"):
        SimKDSettings(weight=-1.0)
