"""What one forward pass of a tapped network must not leave to another: copies, threads, nesting, compilation."""

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


def test_nothing_is_kept_alive_after_the_outputs_are_gone() -> None:
    tapped = Tapped(small_network(), {"hidden": "1"})
    outputs = tapped(IMAGES)
    feature = weakref.ref(outputs.taps["hidden"])
    assert feature() is not None
    del outputs
    gc.collect()
    assert feature() is None


def test_the_bare_network_keeps_nothing_alive_either() -> None:
    network = small_network()
    tapped = Tapped(network, {"logits": "3"})
    logits = network(IMAGES)
    feature = weakref.ref(logits)
    del logits
    gc.collect()
    assert feature() is None
    assert tapped(IMAGES).taps["logits"].shape == (5, 2)


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
    network = nn.Sequential(nn.Flatten(), Meeting(), nn.Linear(4, 3), Meeting(), nn.Linear(3, 2))
    tapped = Tapped(network, {"hidden": "2"})
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
        torch.testing.assert_close(features[number], network[2](IMAGES.flatten(1) * number))


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
