"""BatchNorm folded into the layer before it: the same network, or none at all."""

import copy
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decant.models import TINY, ZOO, Tapped, create, fold_batchnorm
from decant.models.fold import TOLERANCE

QUICK = ["resnet8x4", "wrn_16_2", "vgg8", "ResNet18", "MobileNetV2", "ShuffleNetV1", "ShuffleNetV2", "digits_teacher"]
LEFT_OVER = {"wrn_16_1": 7, "wrn_16_2": 7, "wrn_40_1": 19, "wrn_40_2": 19}
"""BatchNorms that come before their convolution: the first of each block and the last of the network."""


@pytest.fixture(autouse=True)
def same_weights_every_time() -> None:
    torch.manual_seed(0)


def with_statistics(network: nn.Module, images: Tensor) -> nn.Module:
    """The network in eval mode after its BatchNorms have seen data, with scales that are not 1 and shifts not 0."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.affine:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            module.momentum = None
    network.train()
    with torch.no_grad():
        network(images)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ZOO | TINY]
)
def test_logits_and_every_tap_are_those_of_the_network(name: str) -> None:
    images = torch.randn((4, 1, 8, 8) if name in TINY else (4, 3, 32, 32))
    network = create(name)
    with_statistics(network, images)
    before = copy.deepcopy(network.state_dict())
    folded = fold_batchnorm(network, images[:2], taps=network.taps)
    assert folded.refused is None
    assert len(folded.left) == norms(folded.network) == LEFT_OVER.get(name, 0)
    assert len(folded.layers) + len(folded.left) == norms(network)
    with torch.no_grad():
        theirs, ours = (Tapped(of, network.taps)(images) for of in (network, folded.network))
    for tap, feature in {"": theirs.logits, **theirs.taps}.items():
        mine = ours.taps[tap] if tap else ours.logits
        assert (mine - feature).norm() <= TOLERANCE * feature.norm(), tap
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in before.items())


def test_a_layer_whose_output_is_tapped_keeps_its_batchnorm() -> None:
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    images = torch.randn(2, 3, 5, 5)
    with_statistics(network, images)
    assert fold_batchnorm(network, images).layers == ("1",)
    for path in ("0", "0.0"):  # by the path of the layer, or of what returns its output
        kept = fold_batchnorm(network, images, taps={"raw": path})
        assert (kept.network, kept.layers, kept.left, kept.refused) == (network, (), ("1",), None)
    assert fold_batchnorm(network, images, taps={"normalised": "1"}).layers == ("1",)


class Net(nn.Module):
    """A convolution with a BatchNorm behind it, and a use of both that a subclass decides."""

    def __init__(self) -> None:
        super().__init__()
        self.conv: Any = nn.Conv2d(3, 4, 3)
        self.norm: Any = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Any:
        return self.norm(self.conv(images)).flatten(1)


class ReadTwice(Net):
    def forward(self, images: Tensor) -> Any:
        raw = self.conv(images)
        return (self.norm(raw) + raw).flatten(1)


class RunTwice(Net):
    def forward(self, images: Tensor) -> Any:
        return self.norm(self.conv(images)).flatten(1) + self.conv(images).flatten(1)


class NormRunTwice(Net):
    def forward(self, images: Tensor) -> Any:
        once = self.norm(self.conv(images))
        return self.norm(once).flatten(1)


class OverwrittenBetween(Net):
    def forward(self, images: Tensor) -> Any:
        raw = self.conv(images)
        raw.relu_()
        return self.norm(raw).flatten(1)


class ReadByACall(Net):
    def forward(self, images: Tensor) -> Any:
        raw = self.conv(images)
        return self.norm(raw).flatten(1) * F.avg_pool2d(raw, 2).mean()


class Branching(Net):
    """Control flow that depends on values, which no symbolic trace can follow."""

    def forward(self, images: Tensor) -> Any:
        return super().forward(images if images.sum() > 0 else -images)


class Spectral(Net):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.spectral_norm(self.conv)


class Reversed(Net):
    def forward(self, images: Tensor) -> Any:
        return self.conv(F.pad(self.norm(F.pad(images, (0, 0, 0, 0, 0, 1))), (1, 1)).narrow(1, 0, 3)).flatten(1)


@pytest.mark.parametrize(
    "kind", [ReadTwice, RunTwice, NormRunTwice, OverwrittenBetween, ReadByACall, Spectral, Reversed]
)
def test_what_does_not_fold_is_left_alone(kind: type[Net]) -> None:
    images = torch.randn(4, 3, 6, 6)
    network = with_statistics(kind(), images)
    folded = fold_batchnorm(network, images)
    assert folded.network is network
    assert (folded.layers, folded.left, folded.refused) == ((), ("norm",), None)


@pytest.mark.parametrize("kind", [Net, Branching])
def test_any_module_folds(kind: type[Net]) -> None:
    images = torch.randn(4, 3, 6, 6)
    network = with_statistics(kind(), images)
    folded = fold_batchnorm(network, images)
    assert folded.layers == ("norm",)
    torch.testing.assert_close(folded.network(-images), network(-images))
    assert not any(parameter.requires_grad for parameter in folded.network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("affine", [True, False])
def test_linear_and_convolution_with_and_without_bias_and_scale(affine: bool) -> None:
    network = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2, bias=False, padding=1, padding_mode="reflect"),
        nn.BatchNorm2d(8, affine=affine, eps=0.1),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(8 * 16, 5, bias=affine),
        nn.BatchNorm1d(5, affine=affine),
    )
    images = torch.randn(6, 4, 4, 4)
    with_statistics(network, images)
    folded = fold_batchnorm(network, images)
    assert folded.layers == ("1", "5")
    torch.testing.assert_close(folded.network(images), network(images))


def test_a_batchnorm_over_positions_is_not_one_over_features() -> None:
    network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Flatten())
    images = torch.randn(4, 5, 6)
    folded = fold_batchnorm(with_statistics(network, images), images)
    assert (folded.left, folded.refused) == (("1",), None)


def test_a_layer_that_shares_its_weight_folds_and_the_other_keeps_it() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3), nn.Flatten())
    network[2].weight = network[0].weight
    images = torch.randn(4, 3, 6, 6)
    with_statistics(network, images)
    folded = fold_batchnorm(network, images)
    assert folded.layers == ("1",)
    torch.testing.assert_close(folded.network(images), network(images))


class ReadsStatistics(Net):
    def forward(self, images: Tensor) -> Any:
        assert self.norm.running_mean is not None
        return super().forward(images) + self.norm.running_mean.sum()


class SecretUse(Net):
    """Uses its weights where nobody sees it: behind the layer's back."""

    def forward(self, images: Tensor) -> Any:
        return super().forward(images) + F.conv2d(images, self.conv.weight).flatten(1)


def test_a_copy_that_deviates_or_does_not_run_is_refused_with_the_reason() -> None:
    images = torch.randn(4, 3, 6, 6)
    for network, reason in (
        (SecretUse(), r"the folded network would deviate by \d\.\de[-+]\d\d, more than 1e-04"),
        (ReadsStatistics(), "the folded network does not run: AttributeError"),
    ):
        with_statistics(network, images)
        folded = fold_batchnorm(network, images)
        assert folded.network is network
        assert (folded.layers, folded.left) == ((), ("norm",))
        assert folded.refused is not None
        assert re.match(f"BatchNorm: none of 1 folded; {reason}", folded.sentence())


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"BatchNorm 'norm' is in training mode; call network.eval\(\)"):
        fold_batchnorm(Net(), torch.randn(4, 3, 6, 6))


def test_a_network_without_batchnorm_is_given_back() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()
    folded = fold_batchnorm(network, torch.randn(2, 3, 2, 2))
    assert (folded.network, folded.layers, folded.left) == (network, (), ())


def test_taps_of_the_given_network_go_on() -> None:
    images = torch.randn(2, 3, 6, 6)
    network = with_statistics(Net(), images)
    tapped = Tapped(network, {"raw": "conv"})
    folded = fold_batchnorm(network, images)
    assert torch.equal(tapped(images).taps["raw"], network.get_submodule("conv")(images))
    torch.testing.assert_close(folded.network(images), network(images))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_network_of_another_type_folds_and_keeps_its_type(dtype: torch.dtype) -> None:
    images = torch.randn(4, 3, 32, 32)
    network = with_statistics(create("resnet8"), images).to(dtype)
    folded = fold_batchnorm(network, images)
    assert folded.refused is None
    assert norms(folded.network) == 0
    with torch.no_grad():
        before, after = network(images.to(dtype)), folded.network(images.to(dtype))
    assert after.dtype == dtype
    assert (after - before).double().norm() < 4 * torch.finfo(dtype).eps * 10 * before.double().norm()
