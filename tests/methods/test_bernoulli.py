"""Methods for yes/no outputs: their terms, and that a student learns from a teacher by them."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant import Distiller
from decant.interfaces import Batch, MethodSettings, Outputs
from decant.losses import bernoulli_dkd_terms, bernoulli_kd_loss
from decant.methods import MULTILABEL_METHODS, BernoulliDKDSettings, BernoulliKDSettings, BernoulliSettings
from methods.building import digits_context

CLASSES = 5
TAUGHT: list[MethodSettings] = [
    BernoulliKDSettings(task_weight=0.0),
    BernoulliDKDSettings(task_weight=0.0, alpha=4.0, beta=0.5),
]


def logits(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_terms_are_the_equations_unweighted() -> None:
    own, goal = logits(0, 6, CLASSES), logits(1, 6, CLASSES)
    target = (logits(2, 6, CLASSES) > 0.5).long()
    hard = F.binary_cross_entropy_with_logits(own, target.float())
    parts = bernoulli_dkd_terms(own, goal, target, temperature=2.0)
    expected: dict[str, dict[str, Tensor]] = {
        "bernoulli": {"hard": hard},
        "bernoulli_kd": {"hard": hard, "kd": bernoulli_kd_loss(own, goal, temperature=2.0)},
        "bernoulli_dkd": {"hard": hard, **parts._asdict()},
    }
    batch = Batch((torch.zeros(6, 1),), target, torch.arange(6))
    for settings in (BernoulliSettings(), BernoulliKDSettings(temperature=2.0), BernoulliDKDSettings(temperature=2.0)):
        method = settings.build(digits_context())
        terms = method.forward(Outputs(own), Outputs(goal), batch)
        assert terms.keys() == method.weights(0.0).keys()
        for name, value in expected[settings.name].items():
            assert torch.equal(terms[name], value)


def networks() -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(8, CLASSES), nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, CLASSES))


def distance(student: nn.Module, teacher: nn.Module, images: Tensor) -> float:
    with torch.no_grad():
        return float((student(images).sigmoid() - teacher(images).sigmoid()).abs().mean())


@pytest.mark.parametrize("settings", TAUGHT, ids=lambda settings: settings.name)
@pytest.mark.parametrize("labels", [True, False], ids=["labels", "the teacher's choice"])
def test_without_the_task_the_student_comes_near_its_teacher_and_not_near_a_shuffled_one(
    settings: MethodSettings, labels: bool
) -> None:
    images = logits(5, 64, 8)
    came = {}
    for shuffled in (False, True):
        student, teacher = networks()
        distiller = Distiller(student, teacher, settings)
        target = (teacher(images) > 0).float() if labels else None
        said = Outputs(teacher(images).detach()[torch.randperm(64, generator=torch.Generator().manual_seed(1))])
        optimizer = torch.optim.SGD(distiller.parameters(), lr=2.0)
        before = distance(student, teacher, images)
        for _ in range(100):
            loss = distiller(images, target, epoch=0.0, teacher_outputs=said if shuffled else None).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        came[shuffled] = distance(student, teacher, images) / before
    assert came[False] < 0.3
    assert came[True] > 2 * came[False]


@pytest.mark.parametrize("classes", [1, CLASSES])
@pytest.mark.parametrize("name", MULTILABEL_METHODS)
def test_by_name_for_one_class_and_for_several(name: str, classes: int) -> None:
    student, teacher = nn.Linear(3, classes), nn.Linear(3, classes)
    target = torch.ones(2, classes)
    loss = Distiller(student, teacher, name)(torch.randn(2, 3), target).loss
    loss.backward()
    assert bool(loss.isfinite())
    with pytest.raises(ValueError, match=r"the shape of the logits"):
        Distiller(student, teacher, name)(torch.randn(2, 3), torch.tensor([0, 1]))


def test_an_unknown_name_tells_of_both_kinds() -> None:
    with pytest.raises(ValueError, match=r"there is no method 'dkdd'.*for yes/no outputs bernoulli, bernoulli_kd"):
        Distiller(nn.Linear(1, 1), nn.Linear(1, 1), "dkdd")


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha must be a finite number of at least 0"):
        BernoulliDKDSettings(alpha=-1.0)
    with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
        BernoulliKDSettings(temperature=0.0)


def test_the_weights_are_those_of_the_settings_times_the_warm_up() -> None:
    context = digits_context()
    dkd = BernoulliDKDSettings(task_weight=0.5, alpha=4.0, beta=2.0, warmup=4).build(context)
    assert dkd.weights(0.0) == {"hard": 0.5, "positives": 1.0, "negatives": 0.5}
    assert dkd.weights(9.0) == {"hard": 0.5, "positives": 4.0, "negatives": 2.0}
    kd = BernoulliKDSettings(task_weight=0.5, weight=3.0, warmup=3).build(context)
    assert [kd.weights(epoch)["kd"] for epoch in (0.0, 1.0, 5.0)] == [1.0, 2.0, 3.0]
    assert BernoulliSettings().build(context).weights(0.0) == {"hard": 1.0}
