"""Training with compiled networks and losses: the same run up to rounding, and the very same where nothing compiles."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from decant import Distiller
from decant.engine import Places, train
from decant.engine.training import Training
from decant.methods import DKDSettings
from decant.models import create
from decant.recipe import Recipe
from engine.tiny import (
    CLASSES,
    Heard,
    InterruptAfter,
    LostMachineError,
    on_cpu,
    places,
    recipe,
    rows_of,
    splits,
    untrained_teacher,
    weights_of,
)

# The tracer looks at the gradient of intermediate results and hides the warning itself, unless warnings are errors.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
needs_a_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor needs a C++ compiler")
ONE_GRAPH_EACH = 3
"""Teacher, student and method."""


@pytest.fixture(autouse=True)
def nothing_compiled_before() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collects what is compiled, instead of generating code for it, which takes long."""
    made: list[Any] = []

    def backend(graph: Any, example: list[Tensor]) -> Any:
        made.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    return made


def planned(*, compile: bool = True, **train: Any) -> Recipe:
    """64 images in batches of 24, 24 and 16."""
    return recipe(DKDSettings(warmup=2), batch_size=24, compile=compile, **train)


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def run(folder: Path, of: Recipe, *, heard: Heard | None = None, at: Places | None = None) -> None:
    train(of, folder, at or places(folder.parent), teacher=untrained_teacher(), reporter=heard)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_compiled_run_is_the_plain_one(ema: float | None, graphs: list[Any], tmp_path: Path) -> None:
    run(tmp_path / "compiled", planned(ema=ema))
    assert len(graphs) == ONE_GRAPH_EACH, "the short batches, evaluations, epochs or the copy were compiled for"
    run(tmp_path / "plain", planned(compile=False, ema=ema))
    assert len(graphs) == ONE_GRAPH_EACH
    # Not to the same bits: what is compiled takes the losses' plain equations, what is not their closed form.
    torch.testing.assert_close(weights_of(tmp_path / "compiled"), weights_of(tmp_path / "plain"), rtol=1e-4, atol=1e-5)
    for compiled, plain in zip(rows_of(tmp_path / "compiled"), rows_of(tmp_path / "plain"), strict=True):
        assert compiled["train_loss"] == pytest.approx(plain["train_loss"], rel=1e-5)


def test_only_what_is_trained_runs_compiled(graphs: list[Any]) -> None:
    with torch.random.fork_rng():
        training = Training(planned(ema=0.9), splits(), untrained_teacher(), on_cpu())
    keys = list(training.state_dict()["distiller"])
    before = {key: value.clone() for key, value in training.distiller.state_dict().items()}
    state = torch.get_rng_state()
    assert training.compile() is None
    assert len(graphs) == ONE_GRAPH_EACH
    assert list(training.state_dict()["distiller"]) == keys
    assert equal(training.distiller.state_dict(), before), "the trial moved BatchNorm statistics"
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in training.distiller.parameters())
    training.evaluate()
    training.estimate(Path())
    training.distiller.student.eval()(splits().train.images[:5].float())
    assert len(graphs) == ONE_GRAPH_EACH


def test_a_resumed_compiled_run_is_the_undisturbed_one(graphs: list[Any], tmp_path: Path) -> None:
    assert_resumes_to_the_same_bits(tmp_path)
    assert graphs


def assert_resumes_to_the_same_bits(tmp_path: Path) -> None:
    run(tmp_path / "whole", planned())
    for batches in (2, 4):
        with pytest.raises(LostMachineError):
            train(
                planned(),
                tmp_path / "torn",
                places(tmp_path),
                teacher=untrained_teacher(),
                reporter=InterruptAfter(batches),
            )
        torch.compiler.reset()
    run(tmp_path / "torn", planned())
    assert equal(weights_of(tmp_path / "whole"), weights_of(tmp_path / "torn"))
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "torn")


def test_without_a_compiler_training_goes_on_and_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(graph: Any, example: list[Tensor]) -> Any:
        raise FileNotFoundError("g++ is not there\nand more")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    heard = Heard()
    run(tmp_path / "compiled", planned(), heard=heard)
    run(tmp_path / "plain", planned(compile=False))
    (line,) = [line for line in heard.lines if "does not work" in line]
    assert line.startswith("train.compile does not work here, training goes on without it (")
    assert "g++ is not there" in line
    assert "\n" not in line
    assert equal(weights_of(tmp_path / "compiled"), weights_of(tmp_path / "plain"))


def test_a_copy_of_a_compiled_distiller_is_compiled_and_the_networks_are_not(graphs: list[Any]) -> None:
    student, teacher = (create(name, num_classes=CLASSES) for name in ("digits_student", "digits_teacher"))
    distiller = Distiller(student, teacher, DKDSettings(warmup=0))
    distiller.compile(dynamic=False)
    images, target = torch.randn(4, 1, 8, 8), torch.arange(4)
    for number, of in enumerate((distiller, distiller.copy()), start=1):
        torch.compiler.reset()  # else the copy would run what the original was compiled to
        of(images, target).loss.backward()
        assert len(graphs) == number * ONE_GRAPH_EACH
        assert not any("_orig_mod" in key for key in of.state_dict())
    student(images)
    teacher(images)
    assert len(graphs) == 2 * ONE_GRAPH_EACH


@pytest.mark.slow
@needs_a_compiler
@pytest.mark.filterwarnings("default")  # what Inductor's own imports warn of is not ours to fix
def test_generated_code_has_the_same_losses_and_gradients() -> None:
    torch.manual_seed(0)
    student, teacher = (create(name, num_classes=CLASSES) for name in ("resnet8", "wrn_16_1"))
    distiller = Distiller(student, teacher, DKDSettings(warmup=0))
    images, target = torch.randn(8, 3, 32, 32), torch.arange(8)
    plain = distiller(images, target)
    expected = torch.autograd.grad(plain.loss, list(distiller.parameters()))
    distiller.compile(dynamic=False)
    compiled = distiller(images, target)
    torch.testing.assert_close(compiled.loss, plain.loss)
    torch.testing.assert_close(compiled.terms, plain.terms)
    torch.testing.assert_close(compiled.logits, plain.logits, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(torch.autograd.grad(compiled.loss, list(distiller.parameters())), expected, strict=True):
        assert (mine - theirs).norm() <= 1e-4 * theirs.norm().clamp(min=1e-3)


@pytest.mark.slow
@needs_a_compiler
@pytest.mark.filterwarnings("default")
def test_thirty_steps_of_generated_code_stay_together_with_plain_ones(tmp_path: Path) -> None:
    heard = Heard()
    for compile in (True, False):
        run(tmp_path / str(compile), planned(compile=compile, epochs=10), heard=heard)
    assert not any("does not work" in line for line in heard.lines)
    compiled, plain = ([row["train_loss"] for row in rows_of(tmp_path / name)] for name in ("True", "False"))
    assert compiled == pytest.approx(plain, rel=1e-3)
    assert compiled[-1] < compiled[2]  # after the warm-up of the weights
    assert weights_of(tmp_path / "True").keys() == weights_of(tmp_path / "False").keys()


@pytest.mark.slow
@needs_a_compiler
@pytest.mark.filterwarnings("default")
def test_a_resumed_run_of_generated_code_is_the_undisturbed_one(tmp_path: Path) -> None:
    assert_resumes_to_the_same_bits(tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("accumulate", [1, 2], ids=["cuda-graphs", "accumulated"])
def test_cuda_graphs_give_the_same_run(accumulate: int, tmp_path: Path) -> None:
    heard = Heard()
    for compile in (True, False):
        at = Places(teachers=tmp_path / "teachers", device="cuda")
        run(tmp_path / str(compile), planned(compile=compile, accumulate=accumulate), heard=heard, at=at)
    assert not any("does not work" in line for line in heard.lines)
    compiled, plain = ([row["train_loss"] for row in rows_of(tmp_path / name)] for name in ("True", "False"))
    assert compiled == pytest.approx(plain, rel=1e-2)
