from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from decant.engine.checkpoint import (
    random_state,
    restore_random_state,
    round_weights,
    save_weights,
    write_atomically,
    write_text,
)
from decant.models import create, load_weights


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_writer_that_fails_half_way_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "state"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["state"]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_text(path, "old")

    def write(temporary: Path) -> None:
        assert temporary.parent == path.parent, "another folder may be another disk, and the move no single act"
        temporary.write_text("new")
        assert path.read_text() == "old"

    write_atomically(path, write)
    assert path.read_text() == "new"
    assert names(tmp_path) == ["state"]


def test_a_saved_network_is_read_back_with_its_header(tmp_path: Path) -> None:
    network = create("digits_student", num_classes=10).to(memory_format=torch.channels_last)
    save_weights(tmp_path / "student.safetensors", network.state_dict(), {"network": "digits_student"})
    other = create("digits_student", num_classes=10)
    load_weights(other, tmp_path / "student.safetensors")
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in network.state_dict().items())
    with safe_open(tmp_path / "student.safetensors", framework="pt") as file:
        assert file.metadata() == {"network": "digits_student"}


def test_half_the_file_holds_the_rounded_weights(tmp_path: Path) -> None:
    network = create("digits_student", num_classes=10, in_channels=1)
    save_weights(tmp_path / "whole.safetensors", network.state_dict(), {})
    round_weights(network, torch.float16)
    save_weights(tmp_path / "half.safetensors", network.state_dict(), {}, torch.float16)
    again = create("digits_student", num_classes=10, in_channels=1)
    load_weights(again, tmp_path / "half.safetensors")
    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
        assert again.state_dict()[key].dtype == value.dtype
    assert (tmp_path / "half.safetensors").stat().st_size < 0.7 * (tmp_path / "whole.safetensors").stat().st_size


def test_weights_beyond_the_range_of_the_type_stay_as_they_were() -> None:
    network = nn.Linear(2, 2)
    with torch.no_grad():
        network.weight[0, 0] = 1e5
        network.bias[0] = 0.1
    with pytest.raises(ValueError, match=r"range of torch\.float16: weight; keep the weights as fp32"):
        round_weights(network, torch.float16)
    assert network.bias[0] == torch.tensor(0.1)


def test_the_random_state_goes_back_to_where_it_was() -> None:
    device = torch.device("cpu")
    with torch.random.fork_rng():
        state = random_state(device)
        first = torch.rand(3)
        restore_random_state(state, device)
        assert torch.equal(torch.rand(3), first)
