"""Every method takes a step on every pair of networks: unlike ones always, those of the protocol in the slow tests."""

import copy

import pytest
import torch

from decant import Distiller
from decant.engine.optim import make_optimizer
from decant.methods import METHODS
from decant.models import create
from decant.recipe import TrainSettings
from methods.building import CLASSES, LOGIT_TERMS, TWO_VIEW_TERMS, facts, settings_of

UNLIKE = ["resnet14-resnet8", "wrn_16_2-wrn_16_1", "vgg11-vgg8", "vgg8-MobileNetV2", "wrn_16_1-ShuffleNetV1"]
PROTOCOL = [
    *("resnet56-resnet20", "resnet110-resnet32", "resnet32x4-resnet8x4", "wrn_40_2-wrn_16_2", "wrn_40_2-wrn_40_1"),
    *("vgg13-vgg8", "resnet32x4-ShuffleNetV1", "wrn_40_2-ShuffleNetV1", "vgg13-MobileNetV2", "ResNet50-MobileNetV2"),
    "resnet32x4-ShuffleNetV2",
]
TERMS = {
    "dkd": {"tckd", "nckd"},
    "ctkd": {"kd", "adversary", "temperature"},
    "sdd": {"consistent", "complementary"},
    **LOGIT_TERMS,
    **TWO_VIEW_TERMS,
}
TAUGHT = [name for name in METHODS if name != "supervised"]


def take_a_step(name: str, pair: str, device: str = "cpu") -> None:
    torch.manual_seed(0)
    images, index = torch.randn(4, 3, 32, 32), torch.tensor([3, 47, 8, 18])
    target = facts().targets[index]
    teacher, student = (create(network, num_classes=CLASSES) for network in pair.split("-"))
    taught = copy.deepcopy(teacher.state_dict())
    names = student.state_dict().keys()
    distiller = Distiller(student, teacher, settings_of(name), example=images, facts=facts())
    distiller.to(device)
    images, index, target = images.to(device), index.to(device), target.to(device)
    distiller.prepare([(images, target)])
    optimizer = make_optimizer(distiller, TrainSettings(learning_rate=1e-2))
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert (distiller.student is student) == (name != "simkd")
    trained = {key: value for key, value in distiller.student.named_parameters() if value.requires_grad}
    parameters = {**trained, **dict(distiller.method.named_parameters(prefix="method"))}
    assert held == {id(parameter) for parameter in parameters.values()}
    before = {key: parameter.detach().clone() for key, parameter in parameters.items()}

    views = images if distiller.method.views == 1 else (images, images.flip(3))
    loss, terms, logits = distiller(views, target, index=index, epoch=30.0)
    assert terms.keys() == distiller.method.weights(30.0).keys()
    assert all(term.isfinite() for term in terms.values())
    assert terms.keys() == {"hard", *TERMS.get(name, {name})}
    assert logits.shape == (4, CLASSES)
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters.values())
    optimizer.step()
    moved = [key for key, parameter in parameters.items() if not torch.equal(parameter, before[key])]
    assert {key for key in parameters if key.startswith("method.")} <= set(moved)

    assert student.state_dict().keys() == names, "a bridge is no part of the student"
    assert all(torch.equal(value.cpu(), taught[key]) for key, value in teacher.state_dict().items())


@pytest.mark.parametrize("name", TAUGHT)
@pytest.mark.parametrize("pair", UNLIKE)
def test_a_step_on_an_unlike_pair(name: str, pair: str) -> None:
    take_a_step(name, pair)


@pytest.mark.slow
@pytest.mark.parametrize("name", TAUGHT)
@pytest.mark.parametrize("pair", PROTOCOL)
def test_a_step_on_a_pair_of_the_protocol(name: str, pair: str) -> None:
    take_a_step(name, pair)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", TAUGHT)
def test_a_step_on_a_gpu(name: str) -> None:
    take_a_step(name, "resnet14-resnet8", "cuda")
