import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

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


def test_nothing_is_kept_alive_after_the_outputs_are_gone() -> None:
    tapped = Tapped(small_network(), {"hidden": "1"})
    outputs = tapped(IMAGES)
    feature = weakref.ref(outputs.taps["hidden"])
    assert feature() is not None
    del outputs
    gc.collect()
    assert feature() is None


class Fails(nn.Module):
    seen: "weakref.ref[Tensor] | None" = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = weakref.ref(x)
        raise ArithmeticError


def test_nothing_is_kept_alive_after_a_failure() -> None:
    network = nn.Sequential(nn.Identity(), nn.Linear(2, 2), Fails())
    tapped = Tapped(network, {"hidden": "1"})
    with pytest.raises(ArithmeticError):
        tapped(IMAGES)
    gc.collect()
    assert isinstance(network[2], Fails)
    assert network[2].seen is not None
    assert network[2].seen() is None


def test_the_hooks_leave_with_the_tapped_object() -> None:
    network = small_network()
    tapped = Tapped(network, {"hidden": "1"})
    assert network[1]._forward_hooks
    del tapped
    gc.collect()
    assert not network[1]._forward_hooks


def test_two_tapped_objects_share_a_network() -> None:
    network = small_network()
    first, second = Tapped(network, {"x": "0"}), Tapped(network, {"x": "1", "y": "2"})
    assert first(IMAGES).taps["x"].shape == (5, 4)
    assert second(IMAGES).taps["x"].shape == (5, 3)
    assert list(first(IMAGES).taps) == ["x"]


def through_pickle(tapped: Tapped) -> Tapped:
    copied: Tapped = pickle.loads(pickle.dumps(tapped))
    return copied


@pytest.mark.parametrize("duplicate", [copy.deepcopy, through_pickle])
def test_a_copy_catches_its_own_features(duplicate: Callable[[Tapped], Tapped]) -> None:
    original = Tapped(small_network(), {"hidden": "1"})
    other = duplicate(original)
    assert torch.equal(other(IMAGES).taps["hidden"], original(IMAGES).taps["hidden"])
    nn.init.zeros_(other.network.get_parameter("1.weight"))
    nn.init.constant_(other.network.get_parameter("1.bias"), 7)
    assert (other(IMAGES).taps["hidden"] == 7).all()
    assert not (original(IMAGES).taps["hidden"] == 7).any()


class Copies(nn.Module):
    """Runs a copy of the network while the network itself runs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.copied: list[Tapped] = []

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x.flatten(1))
        for copied in self.copied:
            copied(x + 1)
        return y


def test_a_copy_that_runs_in_between_disturbs_nothing() -> None:
    network = Copies()
    tapped = Tapped(network, {"inner": "inner"})
    network.copied.append(copy.deepcopy(tapped))
    outputs = tapped(IMAGES)
    assert torch.equal(outputs.taps["inner"], outputs.logits)


class Recursive(nn.Module):
    """Calls the very object that taps it once more, on the first image."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.whole: list[Tapped] = []
        self.nested: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x.flatten(1))
        if len(x) > 1:
            self.nested.append(self.whole[0](x[:1]).taps["inner"])
        return y


def test_a_pass_within_a_pass_keeps_both_apart() -> None:
    network = Recursive()
    tapped = Tapped(network, {"inner": "inner"})
    network.whole.append(tapped)
    outputs = tapped(IMAGES)
    assert outputs.taps["inner"].shape == (5, 4)
    assert network.nested[0].shape == (1, 4)


class Meeting(nn.Module):
    """Holds every thread here until all of them are in the middle of their forward pass."""

    barrier = threading.Barrier(3)

    def forward(self, x: Tensor) -> Tensor:
        self.barrier.wait(timeout=60)
        return x


def test_threads_do_not_see_each_others_features() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), Meeting(), nn.Linear(3, 2))
    tapped = Tapped(network, {"hidden": "1"})
    features: dict[int, Tensor] = {}

    def run(number: int) -> None:
        if number == 0:
            network(IMAGES)  # the bare network at the same time
        else:
            features[number] = tapped(IMAGES * number).taps["hidden"]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (1, 2):
        torch.testing.assert_close(features[number], network[1](IMAGES.flatten(1) * number))


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = checkpoint(self._part, x.flatten(1), use_reentrant=False)
        return y

    def _part(self, x: Tensor) -> Tensor:
        self.runs += 1
        y: Tensor = self.inner(x)
        return y.square()


def test_activation_checkpointing_recomputes_without_being_caught() -> None:
    network = Checkpointed()
    outputs = Tapped(network, {"inner": "inner"})(IMAGES)
    before = outputs.taps["inner"].detach().clone()
    outputs.logits.sum().backward()
    assert network.runs == 2
    assert torch.equal(outputs.taps["inner"], before)


class Breaks(nn.Module):
    """A part of a network that cannot be compiled together with the rest."""

    def forward(self, x: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return x * 2


@pytest.fixture
def graphs() -> Iterator[list[torch.fx.GraphModule]]:
    torch._dynamo.reset()
    yield []
    torch._dynamo.reset()


def test_compiles_into_one_graph_and_once(graphs: list[torch.fx.GraphModule]) -> None:
    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    tapped = Tapped(create("resnet8").eval(), {"stage1.pre": "layer1.0.preactivation", "pooled": "pool"})
    compiled = torch.compile(tapped, backend=backend, fullgraph=True)
    for step in range(3):
        images = torch.full((2, 3, 32, 32), float(step))
        eager, traced = tapped(images), compiled(images)
        torch.testing.assert_close(traced.logits, eager.logits)
        torch.testing.assert_close(traced.taps, eager.taps)
    assert len(graphs) == 1


# The compiler looks at .grad of the tensor that crosses the break, which is no leaf.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiles_around_a_graph_break(graphs: list[torch.fx.GraphModule]) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), Breaks(), nn.Linear(3, 2))
    tapped = Tapped(network, {"before": "1", "after": "2"})
    compiled = torch.compile(tapped, backend="eager")
    for step in range(3):
        torch.testing.assert_close(compiled(IMAGES * step).taps, tapped(IMAGES * step).taps)


def test_works_in_distributed_data_parallel(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        network = small_network()
        network.register_parameter("spare", nn.Parameter(torch.ones(1)))  # found unused only if outputs are understood
        wrapped = nn.parallel.DistributedDataParallel(Tapped(network, {"hidden": "1"}), find_unused_parameters=True)
        for _ in range(2):
            outputs = wrapped(IMAGES)
            assert torch.equal(outputs.taps["hidden"], network[1](IMAGES.flatten(1)))
            (outputs.logits.sum() + outputs.taps["hidden"].sum()).backward()
        plain = copy.deepcopy(network)
        plain.zero_grad()
        alone = Tapped(plain, {"hidden": "1"})(IMAGES)
        (alone.logits.sum() + alone.taps["hidden"].sum()).backward()
        gradients = [net.get_parameter("1.weight").grad for net in (network, plain)]
        assert gradients[1] is not None
        torch.testing.assert_close(gradients[0], 2 * gradients[1])
    finally:
        torch.distributed.destroy_process_group()
