"""Every recipe that comes along: it loads, it builds, and it is what its folder's name says."""

import pytest
import torch
from torch import Tensor

from decant.data import DATASETS, PictureSettings
from decant.interfaces import Method
from decant.methods import DKDSettings, KDSettings
from decant.models import IMAGENET, TINY, ZOO
from decant.recipe import DOTSettings, MultiStep, Recipe, SGDSettings, load_recipe, shipped_recipes, task_of
from methods.building import context

SHIPPED = {name: path for name, path in shipped_recipes().items() if task_of(path) == "classification"}
PROTOCOL = [name for name in SHIPPED if name.startswith("cifar100/")]


IMAGENET_RECIPES = [name for name in SHIPPED if name.startswith("imagenet/")]


def classes_channels_pixels(recipe: Recipe) -> tuple[int, int, int]:
    if recipe.data.name == "pictures":
        return 1000, 3, 64  # fewer pixels than it trains on: the same stages, sooner
    facts = DATASETS[recipe.data.name]
    return facts.classes, facts.channels, facts.pixels


def example(recipe: Recipe) -> Tensor:
    _, channels, pixels = classes_channels_pixels(recipe)
    return torch.zeros(2, channels, pixels, pixels)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_loads_and_its_method_builds(name: str) -> None:
    recipe = load_recipe(SHIPPED[name])
    networks = [recipe.student.name]
    teacher, (classes, channels, _) = None, classes_channels_pixels(recipe)
    if recipe.teacher is not None:
        own = recipe.teacher.recipe is not None
        assert own or name in IMAGENET_RECIPES, "shipped recipes train their teachers: no weights are shipped"
        networks.append(recipe.teacher.network)
        teacher = recipe.teacher.build(classes=classes, channels=channels)
    assert {each for each in networks if "/" not in each} <= ZOO.keys() | IMAGENET.keys() | TINY.keys()
    method = recipe.method.build(
        context(recipe.student.build(classes=classes, channels=channels), teacher, example(recipe))
    )
    assert isinstance(method, Method)
    assert method.needs_teacher == (recipe.teacher is not None)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_opens_with_what_it_is_and_its_command(name: str) -> None:
    lines = SHIPPED[name].read_text().splitlines()
    assert lines[0].startswith("# ")
    header = [line for line in lines if line.startswith("#")]
    assert any(f"decant {verb} {name}" in line for line in header for verb in ("train", "compare"))


def test_the_pairs_of_the_published_tables_are_all_there() -> None:
    pairs = "resnet56-resnet20 resnet110-resnet32 resnet32x4-resnet8x4 wrn_40_2-wrn_16_2 wrn_40_2-wrn_40_1 vgg13-vgg8"
    pairs += " resnet32x4-ShuffleNetV1 wrn_40_2-ShuffleNetV1 vgg13-MobileNetV2 ResNet50-MobileNetV2"
    pairs += " resnet32x4-ShuffleNetV2"
    for method in ("kd", "dkd"):
        assert {f"cifar100/{method}/{pair}" for pair in pairs.split()} <= SHIPPED.keys()
    assert len(pairs.split()) == 11


@pytest.mark.parametrize("name", PROTOCOL)
def test_it_is_the_protocol_and_what_its_name_says(name: str) -> None:
    recipe = load_recipe(SHIPPED[name])
    train, light = recipe.train, recipe.student.name.startswith(("MobileNet", "ShuffleNet"))
    assert (train.epochs, train.batch_size, train.momentum, train.weight_decay) == (240, 64, 0.9, 5e-4)
    assert train.learning_rate == (0.01 if light else 0.05)
    assert train.schedule == MultiStep(milestones=(150, 180, 210), factor=0.1)
    assert (recipe.data.padding, recipe.data.flip, recipe.data.validation) == (4, True, 0.0)
    _, kind, pair = name.removesuffix("-standardised").split("/")
    if kind == "teachers":
        assert (recipe.student.name, recipe.method.name, recipe.teacher) == (pair, "supervised", None)
        return
    assert recipe.train.optimizer == (DOTSettings(delta=0.075) if kind == "dot" else SGDSettings())
    assert recipe.method.name == {"dot": "kd"}.get(kind, kind)
    assert getattr(recipe.method, "standardise", False) == name.endswith("-standardised")
    assert recipe.teacher is not None
    assert f"{recipe.teacher.network}-{recipe.student.name}" == pair


BETA = {
    "resnet56-resnet20": 2.0,
    "resnet110-resnet32": 2.0,
    "resnet32x4-resnet8x4": 8.0,
    "wrn_40_2-wrn_16_2": 6.0,
    "wrn_40_2-wrn_40_1": 6.0,
    "vgg13-vgg8": 6.0,
    "resnet32x4-ShuffleNetV1": 8.0,
    "wrn_40_2-ShuffleNetV1": 8.0,
    "vgg13-MobileNetV2": 6.0,
    "ResNet50-MobileNetV2": 8.0,
    "resnet32x4-ShuffleNetV2": 8.0,
}


@pytest.mark.parametrize("pair", BETA)
def test_dkd_has_the_published_settings_of_the_pair(pair: str) -> None:
    assert load_recipe(SHIPPED[f"cifar100/dkd/{pair}"]).method == DKDSettings(
        task_weight=1.0, alpha=1.0, beta=BETA[pair], temperature=4.0, warmup=20
    )


@pytest.mark.parametrize("name", IMAGENET_RECIPES)
def test_it_is_imagenet_s_protocol(name: str) -> None:
    recipe = load_recipe(SHIPPED[name])
    train, pictures = recipe.train, recipe.data.pictures
    assert (pictures.size, pictures.evaluation_resize, pictures.scale) == (224, 256, (0.08, 1.0))
    assert pictures == PictureSettings(resize=256, sizes=pictures.sizes), "torchvision's and everybody's normalisation"
    _, kind, pair = name.split("/")
    teacher, student = pair.removesuffix("-growing").split("-")
    assert recipe.teacher is not None
    assert recipe.teacher.pretrained
    assert recipe.teacher.network.startswith(f"torchvision/{teacher}.IMAGENET1K_V")
    assert recipe.student.name.removeprefix("torchvision/") == student
    assert recipe.method.name == {"dot": "kd"}.get(kind, kind)
    if name.endswith("-growing"):
        return
    assert recipe.teacher.network.endswith("_V1"), "the teachers of the published numbers"
    assert (train.epochs, train.momentum, train.weight_decay) == (100, 0.9, 1e-4)
    assert train.schedule == MultiStep(milestones=(30, 60, 90), factor=0.1)
    assert train.learning_rate == pytest.approx(0.2 * train.batch_size / 512), "or a batch and rate smaller alike"
    assert train.batch_size == {"crd": 256, "reviewkd": 256, "ofd": 128}.get(kind, 512)
    assert train.optimizer == (DOTSettings(delta=0.09) if kind == "dot" else SGDSettings())


@pytest.mark.parametrize(("pair", "beta"), [("resnet34-resnet18", 0.5), ("resnet50-MobileNetV1", 2.0)])
def test_dkd_has_the_paper_s_settings_on_imagenet(pair: str, beta: float) -> None:
    recipe = load_recipe(SHIPPED[f"imagenet/dkd/{pair}"])
    assert recipe.method == DKDSettings(task_weight=1.0, alpha=0.5, beta=beta, temperature=1.0, warmup=1)
    kd = KDSettings(task_weight=0.5, weight=0.5, temperature=1.0)
    assert load_recipe(SHIPPED[f"imagenet/kd/{pair}"]).method == recipe.compare.methods["kd"] == kd


def test_the_control_of_dot_has_the_weights_that_its_momenta_amount_to() -> None:
    recipe = load_recipe(SHIPPED["cifar100/dot/resnet32x4-resnet8x4"])
    compared, momentum = recipe.compare, recipe.train.momentum
    task, rest = DOTSettings(delta=0.075).equal_weights(momentum)
    # So much does a gradient of 1, in the first of many steps, move its parameter in the end.
    assert task == pytest.approx(sum(0.825**n for n in range(5000)) / sum(0.9**n for n in range(5000)))
    assert rest == pytest.approx(sum(0.975**n for n in range(5000)) / sum(0.9**n for n in range(5000)))
    control = compared.methods["kd-weighted"]
    assert isinstance(control, KDSettings)
    assert (control.task_weight, control.weight) == pytest.approx((0.1 * task, 0.9 * rest))
    assert compared.methods["kd-dot"] == recipe.method == KDSettings()
    assert compared.optimizers == dict.fromkeys(("supervised", "kd", "kd-weighted"), SGDSettings())
