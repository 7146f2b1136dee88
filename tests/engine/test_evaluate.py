import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant.data import DataSettings, ImageSet, load, plain_batches
from decant.engine.evaluate import choices, evaluate
from decant.models import create
from engine.tiny import on_cpu


def images(classes: int) -> ImageSet:
    settings = DataSettings(name="fake", padding=0, fake_train=20, fake_test=37, fake_classes=classes, fake_pixels=8)
    return load(settings).test


def network(classes: int, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = create("digits_student", num_classes=classes, in_channels=3)
        network(next(plain_batches(images(classes), 37)).images[0])  # statistics that are not 0 and 1
        return network


def logits_one_by_one(network: nn.Module, given: ImageSet) -> list[Tensor]:
    network.eval()
    with torch.no_grad():
        return [network(batch.images[0])[0].double() for batch in plain_batches(given, 1)]


@pytest.mark.parametrize("batch_size", [1, 7, 500])
def test_every_sample_counts_once(batch_size: int) -> None:
    given, student = images(8), network(8)
    answers = torch.randint(8, (37,), generator=torch.Generator().manual_seed(0))  # of an erratic teacher
    score = evaluate(student, given, on_cpu(), batch_size=batch_size, teacher_choice=answers)
    first = fifth = agreed = loss = 0.0
    for logits, label, answer in zip(
        logits_one_by_one(student, given), given.target.tolist(), answers.tolist(), strict=True
    ):
        order = logits.argsort(descending=True).tolist()
        first += order[0] == label
        fifth += label in order[:5]
        agreed += order[0] == answer
        loss += F.cross_entropy(logits, torch.tensor(label)).item()
    assert (score.samples, given.size) == (37, 37)
    assert score.top1 == pytest.approx(100 * first / 37)
    assert score.top5 == pytest.approx(100 * fifth / 37)
    assert score.agreement == pytest.approx(100 * agreed / 37)
    assert score.loss == pytest.approx(loss / 37, rel=1e-5)
    assert 0 < first < fifth < 37, "the numbers above tell nothing apart"


@pytest.mark.parametrize(("classes", "there"), [(5, False), (6, True)])
def test_top_5_needs_more_than_five_classes(classes: int, there: bool) -> None:
    score = evaluate(network(classes), images(classes), on_cpu())
    assert (score.top5 is not None) == there
    assert score.agreement is None
    assert score.to_dict()["top5"] == score.top5


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_network_as_it_was(training: bool) -> None:
    student = network(8).train(training)
    before = {key: value.clone() for key, value in student.state_dict().items()}
    evaluate(student, images(8), on_cpu())
    assert all(torch.equal(before[key], value) for key, value in student.state_dict().items())
    assert student.training == training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in student.parameters())


def test_choices_are_in_the_order_of_the_data() -> None:
    given, teacher = images(8), network(8)
    expected = [int(logits.argmax()) for logits in logits_one_by_one(teacher, given)]
    assert choices(teacher, given, on_cpu(), batch_size=5).tolist() == expected
