import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import logit_references
import references
from decant.interfaces import Batch, Method, Outputs
from decant.losses import dkd_terms, kd_loss
from decant.methods import DKD, KD, DKDSettings, KDSettings, Supervised
from decant.methods.warmup import linear_warmup

STUDENT = torch.tensor([[0.5, -1.0, 2.0, 0.0], [1.5, 0.3, -0.7, 0.2], [-2.0, 0.0, 1.0, 0.5]], dtype=torch.float64)
TEACHER = torch.tensor([[3.0, -1.0, 1.0, 0.5], [0.5, 2.5, -0.2, 0.1], [-1.0, 0.4, 4.0, 0.0]], dtype=torch.float64)
TARGET = torch.tensor([0, 1, 3])
EVERY = [Supervised(), KD(KDSettings()), DKD(DKDSettings())]


def terms(method: Method, target: Tensor | None) -> dict[str, Tensor]:
    images = torch.zeros(3, 1, 2, 2)
    return method.forward(Outputs(STUDENT), Outputs(TEACHER), Batch((images,), target, torch.arange(3)))


def test_standardised_logits_come_before_the_equations() -> None:
    student, teacher = (logit_references.standardised(logits) for logits in (STUDENT, TEACHER))
    kd = terms(KD(KDSettings(temperature=2.0, standardise=True)), TARGET)
    torch.testing.assert_close(kd["kd"], references.kd(student, teacher, 2.0).mean())
    dkd = terms(DKD(DKDSettings(temperature=2.0, standardise=True)), TARGET)
    torch.testing.assert_close(dkd["tckd"], references.tckd(student, teacher, TARGET, 2.0).mean())
    torch.testing.assert_close(dkd["nckd"], references.nckd(student, teacher, TARGET, 2.0).mean())
    assert kd["hard"] == dkd["hard"] == F.cross_entropy(STUDENT, TARGET), "the task sees the logits as they are"


def test_without_the_option_the_terms_are_to_the_bit_what_they_were() -> None:
    assert terms(KD(KDSettings()), TARGET)["kd"] == kd_loss(STUDENT, TEACHER, temperature=4.0)
    assert terms(DKD(DKDSettings()), TARGET)["nckd"] == dkd_terms(STUDENT, TEACHER, TARGET, temperature=4.0).nckd


@pytest.mark.parametrize("method", EVERY, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("epoch", [0.0, 7.5, 300.0])
def test_every_term_has_a_weight_and_every_weight_a_term(method: Method, epoch: float) -> None:
    assert terms(method, TARGET).keys() == method.weights(epoch).keys()
    assert method.task in method.weights(epoch)


def test_the_terms_are_the_equations_of_the_papers_unweighted() -> None:
    soft = DKD(DKDSettings(alpha=3.0, beta=5.0, temperature=2.5))
    expected = {
        "hard": F.cross_entropy(STUDENT, TARGET),
        "tckd": references.tckd(STUDENT, TEACHER, TARGET, 2.5).mean(),
        "nckd": references.nckd(STUDENT, TEACHER, TARGET, 2.5).mean(),
    }
    torch.testing.assert_close(terms(soft, TARGET), expected)
    kd = KD(KDSettings(weight=7.0, temperature=3.0))
    expected = {"hard": F.cross_entropy(STUDENT, TARGET), "kd": references.kd(STUDENT, TEACHER, 3.0).mean()}
    torch.testing.assert_close(terms(kd, TARGET), expected)
    torch.testing.assert_close(terms(Supervised(), TARGET), {"hard": F.cross_entropy(STUDENT, TARGET)})


@pytest.mark.parametrize("method", EVERY, ids=lambda method: type(method).__name__)
def test_probabilities_serve_as_labels(method: Method) -> None:
    torch.testing.assert_close(terms(method, F.one_hot(TARGET, 4).double()), terms(method, TARGET))


@pytest.mark.parametrize("epoch", [0.0, 0.99, 1.0, 10.25, 18.9, 19.0, 500.0])
def test_the_warm_up_is_that_of_the_protocol(epoch: float) -> None:
    published = min((int(epoch) + 1) / 20, 1.0)
    assert linear_warmup(epoch, 20) == published
    dkd = DKD(DKDSettings(task_weight=0.7, alpha=0.5, beta=8.0, warmup=20))
    assert dkd.weights(epoch) == {"hard": 0.7, "tckd": 0.5 * published, "nckd": 8.0 * published}
    kd = KD(KDSettings(task_weight=0.7, weight=4.0, warmup=20))
    assert kd.weights(epoch) == {"hard": 0.7, "kd": 4.0 * published}
    assert Supervised().weights(epoch) == {"hard": 1.0}


def test_without_a_warm_up_the_weights_are_whole_from_the_start() -> None:
    assert linear_warmup(0.0, 0) == 1.0
    assert KD(KDSettings()).weights(0.0) == {"hard": 0.1, "kd": 0.9}


def test_samples_without_labels_are_enough_where_the_task_term_is_off() -> None:
    kd = terms(KD(KDSettings(task_weight=0.0)), None)
    torch.testing.assert_close(kd["kd"], references.kd(STUDENT, TEACHER).mean())
    assert kd["hard"] == 0
    dkd = terms(DKD(DKDSettings(task_weight=0.0)), None)
    torch.testing.assert_close(dkd["nckd"], references.nckd(STUDENT, TEACHER, TEACHER.argmax(dim=1)).mean())
    assert dkd["hard"] == 0


@pytest.mark.parametrize("method", EVERY, ids=lambda method: type(method).__name__)
def test_a_task_term_that_counts_asks_for_labels(method: Method) -> None:
    with pytest.raises(ValueError, match=r"needs labels, but the batch has none .* weight of the task term to 0"):
        terms(method, None)
