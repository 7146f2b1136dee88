"""What `decant list methods` tells of each method is what the method does."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from decant.engine.method_facts import Pair
from decant.engine.parallel import Parallel
from decant.engine.progress import Reporter
from decant.interfaces import BuildContext, Method, MethodSettings
from decant.methods import METHODS, DKDSettings, FitNetSettings, SupervisedSettings
from engine.toy_methods import Remembers, TwoViews

PAGES = Path(__file__).parents[2] / "docs" / "methods"
SOME: dict[str, type[MethodSettings]] = {
    "supervised": SupervisedSettings,
    "dkd": DKDSettings,
    "fitnet": FitNetSettings,
}


@dataclass(frozen=True)
class TwoViewsSettings:
    name: str = "two"

    def build(self, context: BuildContext) -> Method:
        return TwoViews()


@dataclass(frozen=True)
class PassSettings:
    """Of a method with a part that is trained, and one that is not."""

    name: str = "pass"

    def build(self, context: BuildContext) -> Method:
        method = Remembers()
        method.frozen = torch.nn.Parameter(torch.zeros(7), requires_grad=False)
        method.learned = torch.nn.Parameter(torch.zeros(5))
        return method


@dataclass(frozen=True)
class NeverSettings:
    name: str = "never"

    def build(self, context: BuildContext) -> Method:
        raise ValueError("never serves any pair")


class Counted(Reporter):
    def __init__(self) -> None:
        self.batches, self.done = 0, 0

    def start(self, title: str, batches: int, done: int = 0) -> None:
        self.batches = batches

    def advance(self) -> None:
        self.done += 1


def test_the_facts_are_those_of_the_built_methods() -> None:
    state = torch.get_rng_state()
    facts = {each.name: each for each in Pair("digits_teacher", "digits_student").facts()}
    assert torch.equal(state, torch.get_rng_state()), "nobody's random state is touched"
    assert list(facts) == list(METHODS)
    assert all(each.refused is None for each in facts.values())
    assert all(each.source is not None for each in facts.values() if each.name != "supervised")
    assert (facts["supervised"].teacher, facts["supervised"].parameters) == (False, 0)
    assert (facts["dkd"].taps, facts["dkd"].parameters) == ((), 0)
    assert facts["fitnet"].taps == ("stage2",)
    assert (facts["fitnet"].parameters or 0) > 0


def test_the_parameters_are_those_on_the_pages() -> None:
    facts = {each.name: each for each in Pair("resnet32x4", "resnet8x4").facts()}
    said = {}
    for name in METHODS:
        page = " ".join((PAGES / f"{name}.md").read_text(encoding="utf-8").split())
        if found := re.search(r"([\d,]+) parameters? for resnet32x4 -> resnet8x4", page):
            said[name] = int(found[1].replace(",", ""))
    assert {"fitnet", "ofd", "vid", "crd", "reviewkd"} <= said.keys()
    assert said == {name: facts[name].parameters for name in said}
    assert {name for name, each in facts.items() if each.parameters} <= said.keys()


def test_a_method_that_does_not_serve_a_pair_says_why_and_what_is_frozen_is_not_counted() -> None:
    pair = Pair("digits_teacher", "digits_student", {**SOME, "pass": PassSettings, "never": NeverSettings})
    *_, passed, never = pair.facts()
    assert (passed.parameters, passed.source) == (5, None)
    assert (never.parameters, never.refused) == (None, "never serves any pair")


def test_a_step_of_every_method_is_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair("digits_teacher", "digits_student", {**SOME, "two": TwoViewsSettings, "never": NeverSettings})
    clock = iter([9.0, 9.0, 9.0, 9.0, 1.0, 4.0, 2.0, 5.0, 2.0, 4.0, 2.0, 6.0, 3.0, 9.0, 2.0, 7.0])

    def timed(step: Callable[[], None], repeats: int) -> float:
        step()
        return next(clock) / repeats

    monkeypatch.setattr("decant.engine.method_facts.seconds_of", timed)
    reporter = Counted()
    facts = pair.measured_facts(Parallel(device="cpu"), reporter, rounds=3)
    assert (reporter.batches, reporter.done) == (16, 16)
    found = {each.name: each.relative_time for each in facts}
    assert found == {"supervised": 1.0, "dkd": 2.0, "fitnet": 1.0, "two": 3.0, "never": None}


@pytest.mark.slow
def test_every_method_takes_its_timed_step() -> None:
    facts = Pair("wrn_16_1", "ShuffleNetV1").measured_facts(Parallel(device="cpu"), Reporter(), rounds=1)
    assert all((each.relative_time is None) == (each.refused is not None) for each in facts)
    assert next(each for each in facts if each.name == "supervised").relative_time == 1.0
