import pytest
import torch
from torch import Tensor, nn

from decant.models import Tapped, create


def small_network() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


IMAGES = torch.linspace(-1, 1, 20).reshape(5, 1, 2, 2)


def test_logits_and_features_are_those_of_the_network() -> None:
    network = small_network()
    outputs = Tapped(network, {"hidden": "1", "active": "2"})(IMAGES)
    hidden = network[1](IMAGES.flatten(1))
    assert torch.equal(outputs.taps["hidden"], hidden)
    assert torch.equal(outputs.taps["active"], hidden.relu())
    assert torch.equal(outputs.logits, network(IMAGES))
    assert list(outputs.taps) == ["hidden", "active"]


def test_gradients_reach_the_network_through_a_feature() -> None:
    network = small_network()
    Tapped(network, {"hidden": "1"})(IMAGES).taps["hidden"].sum().backward()
    gradient = network[1].weight.grad
    assert isinstance(gradient, Tensor)
    assert torch.equal(gradient[0], IMAGES.flatten(1).sum(0))


def test_without_taps_only_logits_come_back_and_nothing_is_hooked() -> None:
    network = small_network()
    outputs = Tapped(network, {})(IMAGES)
    assert torch.equal(outputs.logits, network(IMAGES))
    assert outputs.taps == {}
    assert not any(module._forward_hooks for module in network.modules())


def test_the_network_and_its_state_dict_stay_as_they_are() -> None:
    network = small_network()
    before = list(network.state_dict())
    tapped = Tapped(network, {"hidden": "1"})
    assert tapped.network is network
    assert list(network.state_dict()) == before
    assert list(tapped.state_dict()) == [f"network.{key}" for key in before]


def test_a_wrong_path_names_its_nearest_neighbours() -> None:
    with pytest.raises(ValueError, match=r"'deep'.*no module 'layer4'.*'layer[123]'"):
        Tapped(create("resnet8"), {"deep": "layer4"})


def test_all_wrong_paths_are_named_at_once_and_nothing_is_hooked() -> None:
    network = small_network()
    with pytest.raises(ValueError, match=r"'a'.*\n.*'b'"):
        Tapped(network, {"good": "1", "a": "stem", "b": "head"})
    assert not network[1]._forward_hooks


def test_taps_that_map_nothing_are_refused() -> None:
    with pytest.raises(TypeError, match=r"map tap names to module paths, got list"):
        Tapped(small_network(), ["1"])  # type: ignore[arg-type]  # the mistake is the point of the test


def test_a_module_with_two_paths_is_found_by_both() -> None:
    shared = nn.ReLU()
    network = nn.Sequential(nn.Flatten(), shared, nn.Linear(4, 4), shared)
    outputs = Tapped(network, {"last": "3"})(IMAGES)
    assert torch.equal(outputs.taps["last"], outputs.logits)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Unwrap(nn.Module):
    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return pair[0]


def test_a_module_that_returns_no_tensor_cannot_be_tapped() -> None:
    network = nn.Sequential(Pair(), Unwrap())
    with pytest.raises(TypeError, match=r"tap 'two'.*'0'.*got tuple"):
        Tapped(network, {"two": "0"})(IMAGES)


def test_a_network_that_returns_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match=r"tensor of logits, got tuple"):
        Tapped(Pair(), {})(IMAGES)


class Idle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Identity()
        self.unused = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        used: Tensor = self.used(x)
        return used


def test_a_module_that_is_not_run_is_an_error_and_not_an_old_feature() -> None:
    tapped = Tapped(Idle(), {"idle": "unused"})
    tapped.network.get_submodule("unused")(IMAGES)  # outside a forward pass: not caught
    with pytest.raises(RuntimeError, match=r"tap 'idle': module 'unused' was not run"):
        tapped(IMAGES)


def test_a_feature_that_is_overwritten_later_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(inplace=True))
    with pytest.raises(RuntimeError, match=r"'hidden'.*overwritten in place"):
        Tapped(network, {"hidden": "1"})(IMAGES)
    assert torch.equal(Tapped(network, {"active": "2"})(IMAGES).taps["active"], network(IMAGES))


def test_inference_mode_works() -> None:
    tapped = Tapped(small_network(), {"hidden": "1"})
    with torch.inference_mode():
        assert tapped(IMAGES).taps["hidden"].shape == (5, 3)


def test_the_last_output_of_a_module_that_runs_twice_is_the_feature() -> None:
    twice = nn.Linear(4, 4)
    network = nn.Sequential(nn.Flatten(), twice, twice)
    outputs = Tapped(network, {"last": "1"})(IMAGES)
    assert torch.equal(outputs.taps["last"], outputs.logits)
