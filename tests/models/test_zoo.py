import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from decant.models import IMAGENET, TINY, ZOO, Tapped, ZooNetwork, create

PARAMETERS_AT_100_CLASSES = {
    "resnet8": 83_892,
    "resnet14": 181_108,
    "resnet20": 278_324,
    "resnet32": 472_756,
    "resnet44": 667_188,
    "resnet56": 861_620,
    "resnet110": 1_736_564,
    "resnet8x4": 1_233_540,
    "resnet32x4": 7_433_860,
    "wrn_16_1": 180_916,
    "wrn_16_2": 703_284,
    "wrn_40_1": 569_780,
    "wrn_40_2": 2_255_156,
    "vgg8": 3_965_028,
    "vgg11": 9_277_284,
    "vgg13": 9_462_180,
    "vgg16": 14_774_436,
    "vgg19": 20_086_692,
    "ResNet18": 11_220_132,
    "ResNet50": 23_705_252,
    "MobileNetV2": 812_836,
    "ShuffleNetV1": 949_258,
    "ShuffleNetV2": 1_355_528,
    "MobileNetV1": 3_309_476,
}
ONE_PER_FAMILY = ["resnet8", "wrn_16_1", "vgg8", "ResNet18", "MobileNetV1", "MobileNetV2"]
ONE_PER_FAMILY += ["ShuffleNetV1", "ShuffleNetV2"]


@pytest.fixture(autouse=True)
def same_weights_every_time() -> None:
    torch.manual_seed(0)


def images_for(name: str, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn((count, 1, 8, 8) if name in TINY else (count, 3, 32, 32), generator=generator)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_zoo_is_complete() -> None:
    assert list(ZOO | IMAGENET) == list(PARAMETERS_AT_100_CLASSES)


@pytest.mark.parametrize("name", PARAMETERS_AT_100_CLASSES)
def test_parameter_counts(name: str) -> None:
    with torch.device("meta"):
        assert parameters(create(name)) == PARAMETERS_AT_100_CLASSES[name]


@pytest.mark.parametrize("name", [*ONE_PER_FAMILY, *TINY])
def test_classes_and_channels_are_what_was_asked_for(name: str) -> None:
    network = create(name, num_classes=7, in_channels=2).eval()
    size = images_for(name).shape[-1]
    assert network(torch.zeros(3, 2, size, size)).shape == (3, 7)


@pytest.mark.parametrize("name", [*ONE_PER_FAMILY, *TINY])
def test_stages_get_smaller_and_end_in_a_vector_that_makes_the_logits(name: str) -> None:
    network = create(name)
    outputs = Tapped(network, network.taps)(images_for(name))
    stages = [outputs.taps[tap] for tap in network.taps if tap.startswith("stage") and not tap.endswith(".pre")]
    assert len(stages) >= 3
    sizes = [stage.shape[-1] for stage in stages]
    assert sizes == sorted(sizes, reverse=True)
    classifier = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    assert torch.equal(classifier(outputs.taps["pooled"]), outputs.logits)
    torch.testing.assert_close(outputs.taps["map"].mean(dim=(2, 3)), outputs.taps["pooled"])


# Wide ResNets and MobileNetV2 have no ReLU between a stage and its end; the shuffle of ShuffleNetV2 comes after it.
@pytest.mark.parametrize("name", ["resnet8", "vgg8", "ResNet18", "MobileNetV1", "ShuffleNetV1", *TINY])
def test_a_relu_lies_between_pre_and_its_stage(name: str) -> None:
    network = create(name)
    taps = Tapped(network, network.taps)(images_for(name)).taps
    for tap in taps:
        if tap.endswith(".pre"):
            assert (taps[tap] < 0).any()
            assert torch.equal(taps[tap].relu(), taps[tap.removesuffix(".pre")])


@pytest.mark.parametrize("name", [*ONE_PER_FAMILY, *TINY])
def test_a_training_step_reaches_every_parameter_and_runs_every_batch_norm_once(name: str) -> None:
    network = create(name, num_classes=10)
    outputs = Tapped(network, network.taps)(images_for(name, count=4))
    torch.autograd.backward(F.cross_entropy(outputs.logits, torch.arange(4)))
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
    for key, value in network.state_dict().items():
        if key.endswith("num_batches_tracked"):
            assert value == 1, key


def test_nothing_works_in_place() -> None:
    for name in ZOO | IMAGENET | TINY:
        with torch.device("meta"):
            network = create(name)
        assert not any(getattr(module, "inplace", False) for module in network.modules())


@pytest.mark.parametrize("name", ["resnet20", "wrn_16_2", "vgg8", "ResNet18", "MobileNetV2", *TINY])
def test_convolutions_start_from_kaiming_fan_out(name: str) -> None:
    for key, module in create(name).named_modules():
        if isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            ratio = module.weight.std().item() / (2 / (height * width * module.out_channels)) ** 0.5
            assert ratio == pytest.approx(1, abs=5 / (2 * module.weight.numel()) ** 0.5), key  # five standard errors
            assert module.bias is None or not module.bias.any(), key


@pytest.mark.parametrize("name", ["ShuffleNetV1", "ShuffleNetV2"])
def test_shufflenets_start_from_bounded_uniform_weights(name: str) -> None:
    for key, module in create(name).named_modules():
        if isinstance(module, nn.Conv2d):
            bound = module.weight[0].numel() ** -0.5
            assert 0.9 * bound < module.weight.abs().max() <= bound, key


@pytest.mark.parametrize(("name", "bias", "std"), [("vgg8", 0, 0.01), ("MobileNetV2", 0, 0.01), ("wrn_16_1", 0, None)])
def test_classifiers_start_small(name: str, bias: float, std: float | None) -> None:
    classifier = [module for module in create(name).modules() if isinstance(module, nn.Linear)][-1]
    assert (classifier.bias == bias).all()
    if std is not None:
        assert classifier.weight.std().item() == pytest.approx(std, rel=0.02)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("resnet65", "resnet56"),
        ("shufflenetv2", "ShuffleNetV2"),
        ("wrn_16_4", "wrn_16_2"),
        ("MOBILENETV2", "MobileNetV2"),
    ],
)
def test_a_wrong_name_lists_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"no network is named '{name}'; nearest: {nearest}"):
        create(name)


def test_a_name_like_no_other_lists_all() -> None:
    with pytest.raises(
        ValueError, match=r"nearest: resnet8, .*ShuffleNetV2, MobileNetV1, digits_teacher, digits_student$"
    ):
        create("%")


@pytest.mark.parametrize(("num_classes", "in_channels", "what"), [(0, 3, "num_classes"), (10, -1, "in_channels")])
def test_counts_below_one_are_refused(num_classes: int, in_channels: int, what: str) -> None:
    with pytest.raises(ValueError, match=f"{what} must be at least 1, got"):
        create("resnet8", num_classes=num_classes, in_channels=in_channels)


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1"])
def test_depths_that_do_not_divide_into_stages_are_refused(name: str) -> None:
    family = type(create(name))
    widths: dict[str, object] = {"widths": (16, 16, 32, 64)} if name == "resnet8" else {"widen": 1}
    with pytest.raises(ValueError, match=r"depth must be 6n \+ [24].*got 21"):
        family(depth=21, **widths)


def test_the_digits_student_is_small() -> None:
    assert parameters(create("digits_student", num_classes=10)) == 3_778


def accuracy_on_digits(network: ZooNetwork, epochs: int) -> float:
    """Accuracy on 600 held-out digits after a one-cycle training on the others, without augmentation."""
    images = torch.tensor(load_digits().images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    target = torch.tensor(load_digits().target)
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    held_out, training = order[:600], order[600:]
    optimizer = torch.optim.SGD(network.parameters(), momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=epochs * 18)
    for epoch in range(epochs):
        shuffled = torch.randperm(len(training), generator=torch.Generator().manual_seed(epoch))
        for batch in training[shuffled].chunk(18):
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(network(images[batch]), target[batch]))
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        correct: Tensor = network(images[held_out]).argmax(1) == target[held_out]
    return correct.float().mean().item()


def test_the_digits_student_learns() -> None:
    assert accuracy_on_digits(create("digits_student", num_classes=10), epochs=5) > 0.9


@pytest.mark.slow
def test_the_digits_teacher_knows_almost_all_digits() -> None:
    assert accuracy_on_digits(create("digits_teacher", num_classes=10), epochs=30) > 0.98
