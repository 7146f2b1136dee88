from pathlib import Path

from decant.evidence import Run
from decant.evidence.gathering import RunGroup, gather
from decant.report.chapters import every_run
from decant.report.curves import measure_panels, run_groups, term_panels
from evidence.invented import write_run


def group(tmp_path: Path) -> RunGroup:
    for name, seed, top1, terms in (
        ("dkd", 0, (50.0, 60.0, 70.0), {"hard": 2.0, "tckd": 0.5, "nckd": 1.5}),
        ("dkd", 1, (52.0, 62.0), {"hard": 2.5, "tckd": 0.25, "nckd": "broken"}),
        ("kd", 0, (40.0, 45.0, 50.0), {"hard": 2.0, "kd": 3.0}),
    ):
        measured = {"terms": terms, "agreement": 80.0 if name == "dkd" else None}
        folder = tmp_path / name / f"seed-{seed}"
        write_run(folder, method=name, seed=seed, top1=top1, measured=measured, finished=False)
    (found,) = gather([tmp_path]).groups
    return found


def test_every_run_has_its_line_and_several_seeds_their_mean(tmp_path: Path) -> None:
    found = group(tmp_path)
    panels = {panel.title: panel for panel in measure_panels(found)}
    assert list(panels) == ["top-1", "agreement with the teacher", "loss on what is judged"]
    lines = {series.name: (series.x, series.y) for series in panels["top-1"].series}
    assert lines == {
        "dkd": ((1.0, 2.0), (51.0, 61.0)),
        "dkd, seed 0": ((1.0, 2.0, 3.0), (50.0, 60.0, 70.0)),
        "dkd, seed 1": ((1.0, 2.0), (52.0, 62.0)),
        "kd, seed 0": ((1.0, 2.0, 3.0), (40.0, 45.0, 50.0)),
    }
    assert {run_groups(found)[name] for name in lines} == {"dkd", "kd"}
    assert all(
        name.startswith("dkd") for series in panels["agreement with the teacher"].series for name in [series.name]
    )


def test_the_terms_are_those_that_were_logged_the_decoupled_ones_first(tmp_path: Path) -> None:
    panels = term_panels(group(tmp_path))
    assert [panel.title for panel in panels] == ["TCKD", "NCKD", "term hard", "term kd"]
    tckd, nckd, *_ = panels
    assert {series.name: series.y[0] for series in tckd.series} == {
        "dkd": 0.375,
        "dkd, seed 0": 0.5,
        "dkd, seed 1": 0.25,
    }
    assert [series.name for series in nckd.series] == ["dkd, seed 0"], "what is no number is not drawn"


def test_a_detector_is_shown_by_its_average_precision(tmp_path: Path) -> None:
    rows = tuple({"epoch": epoch, "split": "test", "ap": 10.0 * epoch, "ap50": None} for epoch in (1, 2))
    run = Run(tmp_path, {"seed": 4, "task": "detection", "method": [], "train": {"epochs": 2}}, {}, rows, None)
    found = RunGroup(tmp_path, {"dkd": (run,)}, None, "there is one run alone")
    assert [(panel.title, panel.series[0].y) for panel in measure_panels(found)] == [
        ("average precision (AP)", (10.0, 20.0))
    ]
    shown = every_run(found)
    assert dict(zip(shown.headings, shown.rows[0], strict=True))["AP, %"] == "20.00"
