import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant import Distiller
from decant.interfaces import BuildContext, MethodSettings, Outputs
from decant.losses import dkd_terms
from decant.methods import DKDSettings, KDSettings
from engine.toy_methods import Remembers, batch, hinting, network, same, state, train


@pytest.mark.parametrize("method", ["supervised", "kd", "dkd"])
def test_a_plain_loop_trains_the_student_and_leaves_the_teacher_alone(
    student: nn.Module, teacher: nn.Module, method: str
) -> None:
    before, taught = state(student), state(teacher)
    loss_before, loss_after = train(Distiller(student, teacher, method))
    assert loss_after < 0.9 * loss_before
    assert not same(state(student), before)
    assert same(state(teacher), taught), "weights or BatchNorm statistics of the teacher moved"
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_loss_is_the_method_s_and_the_terms_are_raw(student: nn.Module, teacher: nn.Module) -> None:
    settings = DKDSettings(alpha=2.0, beta=3.0, warmup=10)
    images, target = batch()
    distiller = Distiller(student, teacher, settings).eval()  # eval: dropout would draw anew for what is compared
    loss, terms, logits = distiller(images, target, epoch=4.5)
    tckd, nckd = dkd_terms(student(images), teacher(images), target)
    hard = F.cross_entropy(student(images), target)
    torch.testing.assert_close(terms, {"hard": hard, "tckd": tckd, "nckd": nckd})
    torch.testing.assert_close(loss, hard + 0.5 * (2.0 * tckd + 3.0 * nckd))
    torch.testing.assert_close(logits, student(images))


def test_a_method_by_name_has_its_defaults(student: nn.Module, teacher: nn.Module) -> None:
    images, target = batch()
    by_name, by_settings = (Distiller(student, teacher, method).eval() for method in ("kd", KDSettings()))
    assert torch.equal(by_name(images, target).loss, by_settings(images, target).loss)


def test_a_list_of_methods_is_composed(student: nn.Module, teacher: nn.Module) -> None:
    images, target = batch()
    settings = DKDSettings(beta=2.0, warmup=0)
    lists: list[Sequence[str | MethodSettings]] = [["ttm", settings], ("ttm", settings)]
    for methods in lists:
        distiller = Distiller(student, teacher, methods).eval()
        loss, terms, _ = distiller(images, target)
        assert terms.keys() == {"hard", "ttm", "tckd", "nckd"}
        alone = [Distiller(student, teacher, method).eval()(images, target).loss for method in methods]
        torch.testing.assert_close(loss, alone[0] + alone[1] - terms["hard"])
    with pytest.raises(ValueError, match=r"one task_weight; got dkd 1, kd 0\.1"):
        Distiller(student, teacher, ["dkd", "kd"])
    wrong: Any = [settings, KDSettings]
    with pytest.raises(TypeError, match="method is a name, settings, a list of these or a built Method, got <class"):
        Distiller(student, teacher, wrong)


def test_the_teacher_is_no_part_of_the_module(student: nn.Module, teacher: nn.Module) -> None:
    teacher.train()
    distiller = Distiller(student, teacher, "dkd")
    assert {id(parameter) for parameter in distiller.parameters()} == {id(p) for p in student.parameters()}
    assert len(distiller.state_dict()) == len(student.state_dict())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    distiller.train()
    assert student.training
    assert not any(module.training for module in teacher.modules())
    assert (distiller.student, distiller.teacher, distiller.deployed()) == (student, teacher, student)


def test_a_teacher_that_somebody_switched_to_training_is_switched_back(student: nn.Module, teacher: nn.Module) -> None:
    distiller = Distiller(student, teacher, "kd")
    before = state(teacher)
    teacher.train()
    distiller(*batch())
    assert same(state(teacher), before), "BatchNorm statistics of the teacher moved"
    assert not teacher.training


def test_the_teacher_follows_type_and_device(student: nn.Module, teacher: nn.Module) -> None:
    distiller = Distiller(student, teacher, DKDSettings(warmup=0)).to(torch.float64)
    assert {parameter.dtype for parameter in teacher.parameters()} == {torch.float64}
    images, target = batch()
    assert distiller(images.double(), target).loss.dtype == torch.float64
    distiller.to("meta")
    assert {parameter.device.type for parameter in teacher.parameters()} == {"meta"}


def test_a_method_that_needs_no_teacher_does_not_run_it(student: nn.Module) -> None:
    class Explodes(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise AssertionError("the teacher was run")

    distiller = Distiller(student, Explodes(), "supervised")
    distiller(*batch())
    assert distiller.teacher is None
    assert Distiller(student, None, "supervised")(*batch()).loss > 0


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        ("dkdd", ValueError, "there is no method 'dkdd'; there are: supervised, kd, fitnet, at, "),
        (3, TypeError, "method is a name, settings, a list of these or a built Method, got 3"),
        (
            DKDSettings,
            TypeError,
            r"method is a name, settings, a list of these or a built Method, got <class .*DKDSettings'>; call it",
        ),
    ],
)
def test_what_is_no_method_is_refused(
    student: nn.Module, teacher: nn.Module, method: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Distiller(student, teacher, method)


def test_a_method_without_its_teacher_is_refused(student: nn.Module) -> None:
    with pytest.raises(ValueError, match="DKD learns from a teacher, but teacher is None"):
        Distiller(student, None, "dkd")


def test_a_student_cannot_teach_itself(student: nn.Module) -> None:
    with pytest.raises(ValueError, match="the teacher must be a network of its own"):
        Distiller(student, student, "kd")
    assert all(parameter.requires_grad for parameter in student.parameters()), "refused, and yet frozen"


def test_unlabelled_batches_are_enough_where_the_labels_do_not_count(student: nn.Module, teacher: nn.Module) -> None:
    images, _ = batch()
    for settings in (KDSettings(task_weight=0.0), DKDSettings(task_weight=0.0, warmup=0)):
        loss, terms, _ = Distiller(student, teacher, settings)(images)
        assert loss > 0
        assert terms["hard"] == 0
    with pytest.raises(ValueError, match="needs labels"):
        Distiller(student, teacher, "kd")(images)


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (("resnet20", None), r"student must be a torch module, got str; see decant\.models\.create"),
        ((None, nn.Linear(2, 2)), "student must be a torch module, got NoneType"),
        ((nn.Linear(2, 2), "resnet20"), "teacher must be a torch module, got str"),
    ],
)
def test_what_is_no_network_is_refused(networks: tuple[Any, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Distiller(*networks, "supervised")


def test_images_are_a_tensor_or_a_tuple_of_them(student: nn.Module, teacher: nn.Module) -> None:
    wrong: Any = [batch()[0]]
    with pytest.raises(TypeError, match="images must be a tensor, or a tuple of one tensor per view, got list"):
        Distiller(student, teacher, "kd")(wrong)


def test_a_warm_up_cannot_be_forgotten(student: nn.Module, teacher: nn.Module) -> None:
    images, target = batch()
    distiller = Distiller(student, teacher, "dkd")
    with pytest.raises(ValueError, match=r"the weights of DKD change with the epoch \(a warm-up\): give epoch="):
        distiller(images, target)
    assert distiller(images, target, epoch=0.0).loss > 0
    assert Distiller(student, teacher, DKDSettings(warmup=0))(images, target).loss > 0


def test_a_method_sees_index_and_epoch(student: nn.Module, teacher: nn.Module) -> None:
    method = Remembers()
    distiller = Distiller(student, teacher, method)
    images, target = batch(4)
    distiller(images, target, epoch=0.0)
    assert method.batch.index.tolist() == [0, 1, 2, 3]
    assert method.batch.epoch == 0.0
    loss, terms, _ = distiller(images, target, index=torch.tensor([7, 5, 3, 1]), epoch=2.5)
    assert method.batch.index.tolist() == [7, 5, 3, 1]
    torch.testing.assert_close(loss, 3.5 * terms["hard"])


def test_a_method_that_remembers_samples_is_given_no_made_up_positions(student: nn.Module, teacher: nn.Module) -> None:
    method = DKDSettings(warmup=0).build(BuildContext(student))
    method.needs_index = True
    distiller = Distiller(student, teacher, method)
    images, target = batch(4)
    with pytest.raises(ValueError, match="DKD remembers samples: give index="):
        distiller(images, target)
    distiller(images, target, index=torch.arange(4))


def test_a_copy_has_its_own_student_and_shares_the_teacher(student: nn.Module, teacher: nn.Module) -> None:
    distiller = Distiller(student, teacher, "dkd")
    other = distiller.copy()
    assert other.teacher is teacher
    assert other.student is not student
    assert same(state(other), state(distiller))
    train(other, steps=2)
    assert not same(state(other), state(distiller))
    assert len(dict(teacher.named_modules())) == len(dict(network(9, seed=2).named_modules()))


def test_a_deep_copy_shares_nothing(student: nn.Module, teacher: nn.Module) -> None:
    distiller = hinting(student, teacher)
    other = copy.deepcopy(distiller)
    assert other.teacher is not None
    assert other.teacher is not teacher
    assert same(state(other.teacher), state(teacher))
    before = state(distiller)
    train(other, steps=2)
    assert same(state(distiller), before)
    other.to(torch.float64)
    assert {parameter.dtype for parameter in teacher.parameters()} == {torch.float32}


def test_the_state_of_one_distiller_is_taken_up_by_another(student: nn.Module, teacher: nn.Module) -> None:
    distiller = hinting(student, teacher)
    train(distiller, steps=3)
    other = hinting(network(5, seed=8), teacher)
    other.load_state_dict(distiller.state_dict())
    images, target = batch()
    assert torch.equal(distiller.eval()(images, target).loss, other.eval()(images, target).loss)


def test_a_student_left_in_eval_mode_is_told_of_once(student: nn.Sequential, teacher: nn.Sequential) -> None:
    distiller = Distiller(student, teacher, KDSettings())
    images, target = batch()
    student.eval()
    with pytest.warns(UserWarning, match=r"eval mode while it is trained .*distiller\.train\(\)"):
        distiller(images, target)
    distiller(images, target)
    with torch.no_grad():
        Distiller(student, teacher, KDSettings())(images, target)
    distiller.train()
    assert student.training


def test_terms_are_for_logs(student: nn.Sequential, teacher: nn.Sequential) -> None:
    images, target = batch()
    loss, terms, _ = Distiller(student, teacher, KDSettings())(images, target)
    assert loss.requires_grad
    assert not any(term.requires_grad for term in terms.values())


@pytest.mark.parametrize("epoch", [-1.0, float("nan")])
def test_an_epoch_that_is_no_count_is_refused(student: nn.Sequential, teacher: nn.Sequential, epoch: float) -> None:
    images, target = batch()
    with pytest.raises(ValueError, match="epoch counts completed epochs"):
        Distiller(student, teacher, KDSettings())(images, target, epoch=epoch)


def test_a_teacher_whose_outputs_are_known_is_not_run(student: nn.Module, teacher: nn.Module) -> None:
    images, target = batch()
    distiller = Distiller(student, teacher, DKDSettings(warmup=0)).eval()
    live = distiller(images, target)
    known = Outputs(teacher(images))

    def explode(*args: object) -> None:
        raise AssertionError("the teacher was run")

    teacher.register_forward_pre_hook(explode)
    given = distiller(images, target, teacher_outputs=known)
    assert torch.equal(given.loss, live.loss)
    with pytest.raises(AssertionError, match="the teacher was run"):
        distiller(images, target)
