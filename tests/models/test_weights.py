import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from decant.models import create, load_weights

State = dict[str, Tensor]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


@pytest.fixture
def state() -> State:
    """A state dict of ``network`` whose every value differs from a fresh network's."""
    return {key: value + 2 for key, value in network().state_dict().items()}


def assert_loaded(into: nn.Module, state: State) -> None:
    loaded = into.state_dict()
    assert list(loaded) == list(state)
    for key, value in state.items():
        assert torch.equal(loaded[key], value), key


def assert_refused(source: object, match: str, into: nn.Module | None = None) -> None:
    """Refused with this message, and the network is bit for bit what it was."""
    into = into or network()
    before = {key: value.clone() for key, value in into.state_dict().items()}
    with pytest.raises(ValueError, match=match):
        load_weights(into, source)  # type: ignore[arg-type]  # anything may be given by mistake
    assert_loaded(into, before)


@pytest.mark.parametrize("nest", [None, "model", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "student.", "module.student."])
def test_nests_and_prefixes(state: State, nest: str | None, prefix: str) -> None:
    prefixed = OrderedDict((prefix + key, value) for key, value in state.items())
    fresh = network()
    load_weights(fresh, prefixed if nest is None else {"epoch": 240, nest: prefixed, "optimizer": {}})
    assert_loaded(fresh, state)


def test_what_lies_beside_a_student_is_left_aside(state: State) -> None:
    beside = {"module.teacher.0.weight": torch.zeros(9), "module.adapter.weight": torch.zeros(1)}
    fresh = network()
    load_weights(fresh, {f"module.student.{key}": value for key, value in state.items()} | beside)
    assert_loaded(fresh, state)


def test_a_network_whose_own_keys_look_like_a_prefix() -> None:
    own = nn.ModuleDict({"student": nn.Linear(2, 1), "module": nn.Linear(2, 1)})
    state = {key: value + 1 for key, value in own.state_dict().items()}
    load_weights(own, {f"module.{key}": value for key, value in state.items()})
    assert_loaded(own, state)


def save_legacy(state: State, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("w.safetensors", save_file),
        ("w.pth", torch.save),
        ("w.pt", torch.save),
        ("no_suffix", torch.save),
        ("legacy.pth", save_legacy),
    ],
)
def test_files(tmp_path: Path, state: State, name: str, save: Callable[[State, Path], None]) -> None:
    save(state, tmp_path / name)
    for source in (tmp_path / name, str(tmp_path / name)):
        fresh = network()
        load_weights(fresh, source)
        assert_loaded(fresh, state)


def test_values_take_the_type_of_the_network(state: State) -> None:
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    fresh = network()
    load_weights(fresh, halves)
    assert fresh[0].weight.dtype == torch.float32
    assert_loaded(fresh, {key: value.float() if value.is_floating_point() else value for key, value in halves.items()})


def test_the_source_is_copied_and_not_shared(state: State) -> None:
    fresh = network()
    load_weights(fresh, state)
    with torch.no_grad():
        fresh.get_parameter("0.weight").zero_()
    assert (state["0.weight"] != 0).all()


def test_checkpoints_without_batch_counters_are_accepted(state: State) -> None:
    counter = "1.num_batches_tracked"
    fresh = network()
    fresh(torch.randn(4, 1, 3, 3))
    assert fresh.state_dict()[counter] == 1
    load_weights(fresh, {key: value for key, value in state.items() if key != counter})
    assert_loaded(fresh, state | {counter: torch.tensor(0)})


def test_missing_unexpected_and_reshaped_are_named_together(state: State) -> None:
    del state["0.bias"]
    state["4.weight"] = torch.zeros(1)
    state["3.weight"] = torch.zeros(10, 2)
    assert_refused(
        state,
        r"missing keys \(1\): 0.bias\nunexpected keys \(1\): 4.weight\n"
        r"differing shapes \(1\): 3.weight is \(10, 2\), the network has \(3, 2\)",
    )


def test_a_key_beside_the_prefix_is_unexpected(state: State) -> None:
    prefixed = {f"module.{key}": value for key, value in state.items()}
    assert_refused(prefixed | {"stray": torch.zeros(1)}, r"unexpected keys \(1\): stray$")


def test_long_lists_are_shortened() -> None:
    small, large = create("resnet8"), create("resnet14")
    assert_refused(small.state_dict(), r"missing keys \(30\): layer1\.1\.conv1\.weight, .*, and 22 more$", into=large)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_named(state: State, value: float) -> None:
    state["1.running_var"][1] = value
    assert_refused(state, r"NaN or infinite weights \(1\).*1.running_var$")


def test_values_that_overflow_the_network_type_are_not_finite(state: State) -> None:
    state["0.bias"] = torch.full((2,), 1e30)
    assert_refused(state, r"NaN or infinite weights \(1\).*0.bias$", into=network().half())


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ({"epoch": 3, "net": {}}, r"state dict.*bare or under 'model' or 'state_dict'.*not tensors: epoch, net"),
        ({"model": {"0.weight": [1.0]}}, r"not tensors: 0.weight"),
        ({}, r"missing keys \(8\)"),
    ],
)
def test_what_is_no_state_dict_is_refused(source: object, match: str) -> None:
    assert_refused(source, match)


def test_a_file_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    assert_refused(tmp_path / "tensor.pth", r"expected a state dict \(names -> tensors\), got Tensor")


def test_a_source_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r"path or a state dict, got Linear"):
        load_weights(network(), nn.Linear(1, 1))  # type: ignore[arg-type]  # the mistake is the point of the test


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    for name in ("none.pth", "none.safetensors"):
        with pytest.raises(FileNotFoundError, match=name):
            load_weights(network(), tmp_path / name)


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"\x80\x02", b"not a checkpoint at all"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert_refused(tmp_path / name, re.escape(str(tmp_path / name)))


class Hostile:
    """Makes a directory as soon as it is unpickled without restriction."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.directory),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_never_run(tmp_path: Path, state: State, zipped: bool) -> None:
    file, marker = tmp_path / "hostile.pth", tmp_path / "marker"
    torch.save({"model": state, "note": Hostile(marker)}, file, _use_new_zipfile_serialization=zipped)
    assert_refused(file, r"hostile.pth was not loaded.*unrestricted unpickling.*torch.save\(checkpoint\['model'\]")
    assert not marker.exists()
    torch.load(file, weights_only=False)
    assert marker.exists()  # the sample bites: the assertion above means something


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w"])
def test_a_hostile_pickle_under_any_name_is_never_run(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    (tmp_path / name).write_bytes(pickle.dumps({"model": Hostile(marker)}, protocol=2))
    with pytest.raises(ValueError, match=r"was not loaded|is not a readable checkpoint"):
        load_weights(nn.Linear(2, 2), tmp_path / name)
    assert not marker.exists()


def test_a_bare_hostile_pickle_is_never_run(tmp_path: Path) -> None:
    file, marker = tmp_path / "hostile.pt", tmp_path / "marker"
    file.write_bytes(pickle.dumps(Hostile(marker), protocol=2))
    assert_refused(file, r"unrestricted unpickling")
    assert not marker.exists()
