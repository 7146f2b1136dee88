"""Methods for detectors side by side: what names mean, what is refused, and what a comparison leaves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from decant.detection.compare import DetectionPlan, compare_detectors
from decant.detection.comparison import DetectionCompareSettings, methods_named
from decant.detection.pyramid_methods import PyramidReviewKDSettings
from decant.detection.region_methods import RegionDKDSettings, RegionKDSettings
from decant.engine.publish import publish, refuse_results
from decant.evidence import Comparison, verdict
from decant.report import write_comparison
from detection.toy_runs import alone, recipe
from engine.tiny import Heard, contents, places, rows_of

NAMES = ("supervised", "kd", "kd-matched", "dkd", "dkd+reviewkd")
DKD = RegionDKDSettings(beta=0.5, temperature=2.0, warmup=3, background=0.5)
REVIEW = PyramidReviewKDSettings(weight=1.2)
NOTHING = DetectionCompareSettings()


def short(*methods: Any, **compare: Any) -> Any:
    return replace(recipe(*methods, epochs=1, epoch_steps=1), compare=DetectionCompareSettings(**compare))


@pytest.mark.parametrize(
    ("name", "own", "expected"),
    [
        ("supervised", (DKD,), ()),
        ("kd", (DKD,), (RegionKDSettings(),)),
        ("dkd", (), (RegionDKDSettings(),)),
        ("dkd", (DKD,), (DKD,)),
        ("dkd+reviewkd", (DKD, REVIEW), (DKD, REVIEW)),
        ("reviewkd", (DKD, REVIEW), (REVIEW,)),
        ("kd-matched", (DKD,), (RegionKDSettings(weight=0.5, temperature=2.0, warmup=3, background=0.5),)),
    ],
)
def test_a_name_stands_for_methods(name: str, own: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    assert methods_named(name, own, NOTHING) == expected


def test_a_recipe_may_say_what_a_name_stands_for(tmp_path: Path) -> None:
    weak = RegionDKDSettings(beta=0.125)
    plan = DetectionPlan(short(methods={"dkd": (weak,), "mine": (weak, REVIEW)}), ["mine", "kd-matched"], 1, tmp_path)
    assert plan.methods["mine"] == (weak, REVIEW)
    assert plan.methods["kd-matched"] == (RegionKDSettings(weight=0.125),)
    assert plan.shown("mine", 0).recipe == recipe(weak, REVIEW, epochs=1, epoch_steps=1), "nothing compared is in it"


@pytest.mark.parametrize(
    ("planned", "names", "seeds", "message"),
    [
        (short(), (), 1, "expected different methods to compare, got"),
        (short(), ("kd", "kd"), 1, "expected different methods to compare, got"),
        (short(), ("kd",), 0, "expected at least 1 seed, got 0"),
        (short(), ("dkd+vid",), 1, "no method 'vid' for detectors to compare; there are: dkd, fitnet, kd, kd-matched"),
        (alone(), ("supervised", "kd"), 1, "kd: these methods learn from a teacher, but the recipe has none"),
        (short(methods={"supervised": (DKD,)}), ("supervised",), 1, "is the baseline without a teacher"),
        (short(methods={"kd-matched": (DKD,)}), ("kd-matched",), 1, "must be kd, the weight-matched control"),
        (short(methods={"dkd": (DKD, REVIEW)}), ("kd-matched",), 1, "kd-matched is derived from dkd's settings, but"),
        (
            short(DKD, methods={"kd-matched": (RegionKDSettings(weight=0.5),)}),
            ("dkd", "kd-matched"),
            1,
            "kd-matched must share dkd's temperature to be a control; got 1.0 and 2.0",
        ),
    ],
)
def test_what_cannot_be_compared_fairly_is_refused(
    tmp_path: Path, planned: Any, names: tuple[str, ...], seeds: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        DetectionPlan(planned, names, seeds, tmp_path / "out")


def test_a_comparison_of_detectors_is_like_any_other(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval", reason="needs the extra [detection]")
    planned, out, heard = short(DKD, REVIEW, notes=("Tiny.",)), tmp_path / "out", Heard()
    compared = compare_detectors(planned, NAMES, 1, out, places(tmp_path), reporter=heard)
    assert any("5 of 5 runs to do, about" in line for line in heard.lines)
    assert (compared.metric.name, compared.baseline, compared.control) == ("AP", "supervised", "kd-matched")
    for result in compared.results:
        last = rows_of(out / result.name / "seed-0")[-1]
        assert result.last == {0: last["ap"]}
        assert result.beside == {"ap50": {0: last["ap50"]}, "ap75": {0: last["ap75"]}}
    assert compared.result("supervised").teachers == {0: None}
    assert compared.result("dkd").settings["beta"] == 0.5
    assert compared.result("dkd+reviewkd").settings["reviewkd"] == {"weight": 1.2, "warmup": 0}
    assert compared.notes[0] == "Tiny."
    assert Comparison.from_json(json.loads(json.dumps(compared.to_json()))) == compared

    before = contents(out)
    again = compare_detectors(planned, NAMES, 2, out, places(tmp_path))  # what is done stays, a seed is added
    assert contents(out).items() >= before.items()
    assert again.seeds == (0, 1)
    assert again.difference("dkd", "supervised", beside="ap50") is not None
    assert verdict(again).claims[0].text == "No verdict: 2 seeds per method, and at least 3 are needed."

    write_comparison(again, out, command="decant compare tiny")
    plan = DetectionPlan(planned, NAMES, 2, out)
    publish(plan, places(tmp_path).teachers, tmp_path / "results")
    published = contents(tmp_path / "results")
    assert {"README.md", "teacher/summary.json", "dkd/seed-1/metrics.jsonl"} <= published.keys()
    assert not any(name.endswith((".safetensors", ".pt")) for name in published)
    page = published["README.md"].decode()
    assert "AP50, %" in page
    assert "op-1" not in page
    with pytest.raises(FileExistsError, match="holds the comparison of another recipe"):
        compare_detectors(replace(planned, seed=3), NAMES, 1, out, places(tmp_path))
    with pytest.raises(FileExistsError, match="shows more than this comparison would"):
        refuse_results(DetectionPlan(planned, NAMES[:2], 2, out), tmp_path / "results")
