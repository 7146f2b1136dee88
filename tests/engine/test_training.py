"""The objects that a recipe makes: which teacher the method sees, and which one teaches."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decant.data import ImageSet, RandAugment, Views
from decant.engine.distill_step import DistillStep
from decant.engine.fit import fit_epoch
from decant.engine.teacher import Teacher
from decant.engine.training import Training
from decant.interfaces import Batch, BuildContext, Method, Outputs
from decant.methods import CRLDSettings, DKDSettings, SupervisedSettings
from decant.models import TINY, ZOO, Folded, Tapped, create
from decant.recipe import Recipe
from engine.tiny import CLASSES, DATA, on_cpu, recipe, splits, untrained_teacher


def training(of: Recipe, teacher: Teacher | None = None) -> Training:
    with torch.random.fork_rng():
        return Training(of, splits(of.data), teacher or untrained_teacher(), on_cpu())


def untrained(name: str) -> Teacher:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = create(name, num_classes=CLASSES, in_channels=3)
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            nn.init.normal_(norm.bias)  # else a BatchNorm that has seen no data does nothing
    return Teacher(network.eval().requires_grad_(False), name, "c0ffee", top1=None)


def norms(network: nn.Module | None) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) if network is not None else -1


@dataclass(frozen=True)
class FeatureSettings:
    """A method that learns from a feature, and keeps the teacher that it was built from."""

    name: str = "feature"

    def build(self, context: BuildContext) -> "Feature":
        assert context.teacher is not None
        return Feature(context.teacher)


class Feature(Method):
    taps = ("stage0", "stage1.pre")  # a wide ResNet's first stage is a convolution before a BatchNorm

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.built_from = (teacher,)
        self.seen: dict[str, Tensor] = {}

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        self.seen = dict(teacher.taps)
        return {"hard": student.logits.logsumexp(1).mean(), "feature": student.taps["stage1.pre"].square().mean()}

    def weights(self, epoch: float) -> dict[str, float]:
        return {"hard": 1.0, "feature": 1.0}


@pytest.mark.parametrize(("name", "norms_before", "norms_left"), [("digits_teacher", 6, 0), ("wrn_16_2", 13, 7)])
def test_the_method_is_built_from_the_trained_teacher_and_a_folded_one_teaches(
    name: str, norms_before: int, norms_left: int
) -> None:
    made = training(recipe(FeatureSettings()), untrained(name))
    method = made.distiller.method
    assert isinstance(method, Feature)
    assert norms(method.built_from[0]) == norms_before
    assert norms(made.distiller.teacher) == norms_left
    assert made.folded is not None
    assert len(made.folded.layers) == norms_before - norms_left
    batch = next(made.batches(0))
    made.distiller(batch.images, batch.target)
    with torch.no_grad():
        plain = Tapped(method.built_from[0], (TINY | ZOO)[name]().taps)(batch.images[0])
    for tap in Feature.taps:
        torch.testing.assert_close(method.seen[tap], plain.taps[tap], rtol=1e-5, atol=1e-5)


def test_a_method_gets_the_views_that_it_asks_for() -> None:
    made = training(recipe(CRLDSettings()))
    views, train_set = made.supply.views, made.train_set
    assert isinstance(views, Views)
    assert isinstance(train_set, ImageSet)
    images = train_set.images
    for batch in made.batches(1):
        weak, strong = batch.images
        assert torch.equal(weak, views(images[batch.index], batch.index, 1))
        assert torch.equal(strong, views(images[batch.index], batch.index, 1, view=1, strong=True))
        assert not torch.equal(strong, views(images[batch.index], batch.index, 1, view=1))


def test_a_method_of_one_view_never_meets_a_strong_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> Tensor:
        raise AssertionError("RandAugment was asked")

    monkeypatch.setattr(RandAugment, "numbers", forbidden)
    monkeypatch.setattr(RandAugment, "__call__", forbidden)
    assert len(list(training(recipe(DKDSettings())).batches(0))) == 4
    with pytest.raises(AssertionError, match="RandAugment was asked"):
        list(training(recipe(CRLDSettings())).batches(0))


def test_all_views_are_strong_where_the_data_says_so() -> None:
    strong = replace(recipe(CRLDSettings()), data=replace(DATA, all_strong=True))
    made = training(strong)
    views, train_set = made.supply.views, made.train_set
    assert isinstance(views, Views)
    assert isinstance(train_set, ImageSet)
    for batch in made.batches(1):
        for view, images in enumerate(batch.images):
            asked = views(train_set.images[batch.index], batch.index, 1, view=view, strong=True)
            assert torch.equal(images, asked)
    with pytest.raises(ValueError, match=r"data\.all_strong shows the teacher views of which an image has too many"):
        replace(strong, train=replace(strong.train, teacher_cache="views"))


def test_a_method_without_a_teacher_folds_nothing() -> None:
    made = training(recipe(SupervisedSettings()))
    assert (made.folded, made.distiller.teacher) == (None, None)


def losses(made: Training, epochs: int, module: nn.Module) -> list[float]:
    """The loss of every epoch of four steps."""
    optimizer = torch.optim.SGD(made.distiller.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    return [
        fit_epoch(
            epoch,
            step=DistillStep(module),
            batches=made.batches(epoch),
            steps=made.steps,
            module=module,
            optimizer=optimizer,
            settings=made.recipe.train,
            parallel=made.parallel,
        ).loss
        for epoch in range(epochs)
    ]


def test_thirty_steps_under_a_folded_and_a_plain_teacher_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = recipe(DKDSettings(warmup=0), epochs=8)
    folded = training(planned)
    monkeypatch.setattr("decant.engine.training.fold_batchnorm", unfolded)
    plain = training(planned)
    assert (norms(folded.distiller.teacher), norms(plain.distiller.teacher)) == (0, 6)
    assert losses(folded, 8, folded.distiller) == pytest.approx(losses(plain, 8, plain.distiller), rel=1e-4)


def unfolded(network: nn.Module, example: Tensor, *, taps: Any = None) -> Any:
    return Folded(network, (), ())
