import pytest
import torch
import torch.nn.functional as F
from torch import nn

from decant import Distiller
from decant.interfaces import MethodSettings
from decant.methods import DKDSettings
from engine.toy_methods import CLASSES, FEATURES, Hint, HintSettings, TwoViews, batch, hinting, same, state, train


def test_a_method_gets_the_features_it_names_and_its_bridges_are_trained(
    student: nn.Sequential, teacher: nn.Sequential
) -> None:
    statistics = state(student)
    distiller = hinting(student, teacher)
    assert same(state(student), statistics), "the dry pass for the shapes moved BatchNorm statistics"
    assert student.training
    method = distiller.method
    assert isinstance(method, Hint)
    assert (method.bridge.in_features, method.bridge.out_features) == (5, 9)
    assert {id(p) for p in method.bridge.parameters()} <= {id(p) for p in distiller.parameters()}
    before, taught = state(method.bridge), state(teacher)
    loss_before, loss_after = train(distiller)
    assert loss_after < 0.9 * loss_before
    assert not same(state(method.bridge), before)
    assert same(state(teacher), taught)
    assert "method.bridge.weight" in distiller.state_dict()

    images, target = batch()
    distiller.eval()
    hidden = (student[:3](images), teacher[:3](images))
    torch.testing.assert_close(distiller(images, target).terms["hint"], F.mse_loss(method.bridge(hidden[0]), hidden[1]))


def test_no_gradient_reaches_the_teacher_even_if_it_could(student: nn.Module, teacher: nn.Module) -> None:
    distiller = hinting(student, teacher)
    teacher.requires_grad_(True)
    distiller(*batch()).loss.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in distiller.parameters())


def test_a_network_may_bring_its_taps_along(student: nn.Module, teacher: nn.Module) -> None:
    method = Hint(5, 9)
    for owner in (student, teacher):
        owner.taps = {"hidden": "2", "logits": "4"}  # type: ignore[assignment]  # as networks of the zoo have them
    assert "hint" in Distiller(student, teacher, method)(*batch()).terms


def test_features_that_nobody_named_are_asked_for_by_role(student: nn.Module, teacher: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"Hint needs the student's features \['hidden'\], but the student names none"):
        Distiller(student, teacher, Hint(5, 9))
    with pytest.raises(ValueError, match=r"the teacher's features \['hidden'\], but the teacher names \['other'\]"):
        Distiller(student, teacher, Hint(5, 9), student_taps={"hidden": "2"}, teacher_taps={"other": "2"})


def test_a_path_that_leads_nowhere_is_named_with_its_neighbours(student: nn.Module, teacher: nn.Module) -> None:
    with pytest.raises(ValueError, match="tap 'hidden': the network has no module 'layer2'; nearest: '0'"):
        hinting(student, teacher, path="layer2")


def test_several_views_are_separate_passes(student: nn.Module, teacher: nn.Module) -> None:
    distiller = Distiller(student, teacher, TwoViews()).eval()
    first, second = batch()[0], -batch()[0]
    terms = distiller((first, second)).terms
    expected = {str(view): F.mse_loss(student(x), teacher(x)) for view, x in enumerate((first, second))}
    torch.testing.assert_close(terms, expected)
    for images in (first, (first,), (first, second, first)):
        count = len(images) if isinstance(images, tuple) else 1
        with pytest.raises(ValueError, match=f"TwoViews wants 2 views per sample, got {count}"):
            distiller(images)


def test_the_message_says_how_views_are_given(student: nn.Module, teacher: nn.Module) -> None:
    images, target = batch()
    given = r"give images=\(first, second, ...\), a tensor \(N, ...\) of the same samples for each"
    with pytest.raises(ValueError, match=f"TwoViews wants 2 views per sample, got 1; {given}$"):
        Distiller(student, teacher, TwoViews())(images, target)
    with pytest.raises(ValueError, match=f"CRLD wants 2 .* got 1; {given}, the last 1 of them strongly augmented$"):
        Distiller(student, teacher, "crld")(images, target)
    with pytest.raises(ValueError, match=r"KD wants 1 views per sample, got 2; give one tensor of images \(N, ...\)$"):
        Distiller(student, teacher, "kd")((images, images), target)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("method", [DKDSettings(warmup=0), HintSettings()], ids=["dkd", "hint"])
def test_it_compiles_without_a_break(backend: str, method: MethodSettings) -> None:
    torch.compiler.reset()
    images, target = batch()
    student, teacher = (nn.Sequential(nn.Linear(FEATURES, 5), nn.Tanh(), nn.Linear(5, CLASSES)) for _ in range(2))
    taps = {"hidden": "1"}
    distiller = Distiller(student, teacher, method, student_taps=taps, teacher_taps=taps, example=images)
    plain = distiller(images, target)
    expected = torch.autograd.grad(plain.loss, list(distiller.parameters()))
    compiled = torch.compile(distiller, backend=backend, fullgraph=True)(images, target)
    got = torch.autograd.grad(compiled.loss, list(distiller.parameters()))
    torch.testing.assert_close(compiled.loss, plain.loss)
    torch.testing.assert_close(got, expected)
