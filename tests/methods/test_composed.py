"""Several methods at once are what each of them is by itself, with one task term for all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decant.interfaces import Batch, BuildContext, Method, MethodSettings, Outputs
from decant.methods import (
    METHODS,
    ATSettings,
    Composed,
    ComposedSettings,
    DKDSettings,
    KDSettings,
    ReviewKDSettings,
    weighted_total,
)
from decant.models import Tapped
from methods.building import CLASSES, digits_context, settings_of


def composed(*names: str) -> Composed:
    """By their defaults."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ComposedSettings(tuple(settings_of(name) for name in names)).build(digits_context())


def step(method: Method, context: BuildContext) -> dict[str, Tensor]:
    """The terms of a batch."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(12, 1, 8, 8, generator=generator)
    index = torch.arange(12)
    outputs = []
    for network, shapes in ((context.student, context.student_shapes), (context.teacher, context.teacher_shapes)):
        assert network is not None
        assert shapes is not None
        paths = {name: path for name, path in vars(network)["taps"].items() if name in method.taps}
        outputs.append(Tapped(network.eval(), paths)(images))
    terms: dict[str, Tensor] = method(*outputs, Batch((images,), index % CLASSES, index))
    return terms


@pytest.mark.parametrize("names", [("dkd", "reviewkd"), ("at", "rkd", "crd")])
def test_each_part_says_what_it_says_by_itself(names: tuple[str, ...]) -> None:
    context = digits_context()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        together = ComposedSettings(tuple(settings_of(name) for name in names)).build(context)
        torch.manual_seed(0)
        alone = [settings_of(name).build(context) for name in names]
        torch.manual_seed(2)  # crd draws strangers
        terms = step(together, context)
        torch.manual_seed(2)
        expected = [step(part, context) for part in alone]
    assert terms == {name: value for part in expected for name, value in part.items()}
    for epoch in (0.0, 7.5, 300.0):
        weights = together.weights(epoch)
        assert weights == {name: weight for part in alone for name, weight in part.weights(epoch).items()}
        assert weights.keys() == terms.keys()
        once = sum(weights[name] * terms[name] for name in terms)
        torch.testing.assert_close(weighted_total(terms, weights), once)
    assert together.task == "hard"


def test_what_a_method_may_ask_for_is_all_asked_for() -> None:
    """A new wish in the vocabulary must find its place in Composed too."""
    wishes = {name for name in vars(Method) if not name.startswith("_") and not callable(getattr(Method, name))}
    assert wishes == {"taps", "views", "strong_views", "gather", "needs_teacher", "needs_index", "one_class", "task"}
    method = composed("dkd", "crd", "at")
    assert method.taps == composed("crd", "at").taps
    assert method.taps[0] == "pooled"
    assert len(set(method.taps)) == len(method.taps)
    assert (method.views, method.gather, method.needs_teacher, method.needs_index) == (1, True, True, True)
    logits = composed("dkd", "nkd")
    assert (logits.taps, logits.gather, logits.needs_index) == ((), False, False)
    assert logits.one_class
    assert not composed("dkd", "at").one_class


def test_adapters_are_parameters_under_their_part_s_name() -> None:
    context = digits_context()
    method = composed("dkd", "vid", "reviewkd")
    alone = METHODS["reviewkd"]().build(context).state_dict()
    keys = {key.removeprefix("parts.reviewkd.") for key in method.state_dict() if key.startswith("parts.reviewkd.")}
    assert keys == alone.keys()
    assert {key.split(".")[1] for key in method.state_dict()} == {"vid", "reviewkd"}
    parameters = sum(parameter.numel() for parameter in method.parameters())
    assert parameters == sum(
        parameter.numel() for name in ("vid", "reviewkd") for parameter in METHODS[name]().build(context).parameters()
    )


class Toy(Method):
    """Terms that are asked for, each the number of views that the method sees."""

    def __init__(self, *terms: str, views: int = 1, task: str = "hard", task_weight: float = 1.0) -> None:
        super().__init__()
        self.terms, self.views, self.task, self.task_weight = terms, views, task, task_weight
        self.saw: list[tuple[int, ...]] = []

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> dict[str, Tensor]:
        taught = 1 + len(teacher.more) if teacher is not None else 0
        self.saw.append((1 + len(student.more), taught, len(batch.images), len(batch.view_ids)))
        return {term: torch.tensor(float(len(batch.images))) for term in self.terms}

    def weights(self, epoch: float) -> dict[str, float]:
        return {term: self.task_weight if term == self.task else 2.0 + epoch for term in self.terms}


class Unaided(Toy):
    needs_teacher = False


class Wraps(Toy):
    def deployed(self, student: nn.Module) -> nn.Module:
        return nn.Sequential(student, nn.Identity())


@dataclass(frozen=True)
class ToySettings:
    name: str = "my.file:Toy"

    def build(self, context: BuildContext) -> Method:
        return Toy("hard", "near")


def test_a_part_sees_as_many_views_as_it_wants() -> None:
    one, three, unaided = Toy("a"), Toy("b", views=3), Unaided("c", views=2)
    method = Composed({"one": one, "three": three, "unaided": unaided})
    assert method.views == 3
    images = tuple(torch.zeros(2, 1) for _ in range(3))
    outputs = Outputs(torch.zeros(2, 4), more=(Outputs(torch.zeros(2, 4)),) * 2)
    terms = method(outputs, outputs, Batch(images, None, torch.arange(2), view_ids=(torch.arange(2),) * 3))
    assert {name: int(term) for name, term in terms.items()} == {"a": 1, "b": 3, "c": 2}
    assert [*one.saw, *three.saw, *unaided.saw] == [(1, 1, 1, 1), (3, 3, 3, 3), (2, 0, 2, 2)]


def test_strong_views_are_the_same_ones_for_all() -> None:
    weak, strong = Toy("a"), Toy("b", views=2)
    strong.strong_views = 1
    method = Composed({"weak": weak, "strong": strong})
    assert (method.views, method.strong_views) == (2, 1)
    with pytest.raises(ValueError, match="but these want others: weak 2, 0 of them strong, strong 2, 1 of them"):
        Composed({"weak": Toy("a", views=2), "strong": strong})


def test_the_task_s_term_is_that_of_the_part_that_sees_the_most_whatever_the_order() -> None:
    images = tuple(torch.zeros(2, 1) for _ in range(2))
    outputs = Outputs(torch.zeros(2, 4), more=(Outputs(torch.zeros(2, 4)),))
    parts = {"one": Toy("hard", "a"), "two": Toy("hard", "b", views=2)}
    for names in (("one", "two"), ("two", "one")):
        method = Composed({name: parts[name] for name in names})
        terms = method(outputs, outputs, Batch(images, None, torch.arange(2)))
        assert {name: int(term) for name, term in terms.items()} == {"hard": 2, "a": 1, "b": 2}


class Learns(Toy):
    def prepare(self, teacher_outputs: Iterator[tuple[Outputs, Batch]]) -> None:
        self.saw = [tuple(batch.index.tolist()) for _, batch in teacher_outputs]


def test_parts_that_ask_for_it_share_one_pass_of_the_teacher() -> None:
    passes = 0

    def outputs() -> Iterator[tuple[Outputs, Batch]]:
        nonlocal passes
        passes += 1
        for index in torch.arange(4).split(2):
            yield Outputs(torch.zeros(2, 3)), Batch((torch.zeros(2, 1),), None, index)

    one, other = Learns("a"), Learns("b")
    Composed({"one": one, "plain": Toy("c"), "other": other}).prepare(outputs())
    assert one.saw == other.saw == [(0, 1), (2, 3)]
    assert passes == 1
    Composed({"plain": Toy("c"), "too": Toy("d")}).prepare(outputs())
    assert passes == 1, "nobody read it, so the teacher did not run"


def test_a_term_that_several_parts_have_is_called_after_its_part() -> None:
    method = Composed({"one": Toy("hard", "near", "far"), "other": Toy("near", "hard")})
    assert list(method.weights(0.5)) == ["hard", "one.near", "far", "other.near"]
    batch = Batch((torch.zeros(2, 1),), None, torch.arange(2))
    assert method(Outputs(torch.zeros(2, 4)), None, batch).keys() == method.weights(0.5).keys()


def test_methods_without_a_task_term_compose_too() -> None:
    method = Composed({"one": Toy("a"), "other": Toy("hard", task="own")})
    assert method.weights(0.0) == {"a": 2.0, "other.hard": 2.0}, "no task term, so nothing may pass for one"
    method = Composed({"one": Toy("a"), "other": Toy("b", "hard")})
    assert (method.task, method.weights(1.0)) == ("hard", {"a": 3.0, "b": 3.0, "hard": 1.0})


def test_one_part_may_make_what_is_deployed() -> None:
    student = nn.Linear(2, 2)
    assert Composed({"one": Toy("a"), "other": Toy("b")}).deployed(student) is student
    deployed = Composed({"one": Toy("a"), "wraps": Wraps("b")}).deployed(student)
    assert isinstance(deployed, nn.Sequential)
    assert deployed[0] is student
    with pytest.raises(ValueError, match="wraps and again each make the network that is deployed: only one"):
        Composed({"wraps": Wraps("a"), "again": Wraps("b")})
    reads = Toy("b")
    reads.taps = ("pooled",)
    with pytest.raises(ValueError, match="wraps changes the network whose features reads would compare"):
        Composed({"wraps": Wraps("a"), "reads": reads})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"a": Toy("hard"), "b": Toy("hard", task_weight=0.5)}, "so give them one task_weight; got a 1, b 0.5"),
        ({"a": Toy("hard"), "b": Toy("focal", task="focal")}, "one task term, but these name several: .*'b': 'focal'"),
    ],
)
def test_parts_that_do_not_share_their_task_are_refused(parts: dict[str, Method], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Composed(parts)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "composes at least 2 methods, got 0"),
        ([DKDSettings()], "composes at least 2 methods, got 1; a single one is given by itself"),
        ([DKDSettings(), KDSettings()], r"so give them one task_weight; got dkd 1, kd 0\.1"),
        ([DKDSettings(), ATSettings(), DKDSettings(beta=2.0)], "dkd is listed twice"),
        (
            [ATSettings(), ComposedSettings((DKDSettings(), ReviewKDSettings()))],
            r"dkd\+reviewkd is composed itself: list its methods among the others",
        ),
    ],
)
def test_a_list_that_is_no_method_is_refused(parts: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ComposedSettings(tuple(parts))


def test_the_settings_are_named_after_their_parts() -> None:
    settings = ComposedSettings((DKDSettings(), ATSettings(), ToySettings()))
    assert isinstance(settings, MethodSettings)
    assert settings.name == "dkd+at+my.file:Toy"
    method = settings.build(digits_context())
    assert method.weights(0.0).keys() == {"hard", "tckd", "nckd", "at", "near"}
    assert [name for name, _ in method.named_modules()][1:] == ["parts", *(f"parts.{key}" for key in method.parts)]
