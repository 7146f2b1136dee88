"""The benchmarks run, at a size that takes no time; how fast anything is, is not a test."""

import json
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import imagenet_cost, top_classes
from benchmarks.__main__ import keep, main, measure
from benchmarks.first_run import EMPTY, FULL, first_run_markdown, share_of_misses
from benchmarks.options import Options
from benchmarks.reference import Reference
from benchmarks.table import refreshed
from benchmarks.timing import Contest, Row, hold
from decant.data import DataSettings, PictureSettings, load_pictures

CPU = torch.device("cpu")
REPOSITORY = Path(__file__).parents[1]
TINY = Options(
    device="cpu",
    pairs=(("resnet8", "resnet8"),),
    batch_size=4,
    pixels=8,
    matrix=16,
    feature_pair=("resnet8", "resnet8"),
    samples=200,
    logits=((4, 10),),
    wide=((4, 12),),
    compiled=False,
    data=DataSettings(name="fake", padding=1, fake_train=100, fake_test=100, fake_classes=100, fake_pixels=8),
)


def measured(*names: str) -> dict[str, Any]:
    return measure(names, TINY, repeats=1, seconds=0.0, say=lambda text: None)


def test_every_group_has_its_rows_and_its_file(tmp_path: Path) -> None:
    groups = measured("loss", "step", "loop")
    rows = {name: [row["name"] for row in group["contests"][0]["rows"]] for name, group in groups.items()}
    assert rows["loop"] == ["teacher live", "teacher's table, empty", "teacher's table, full", "student alone"]
    losses = ["dkd_terms, as in training", "dkd_loss", "floor: a sum into a fresh output"]
    assert rows["loss"] == losses
    *_, wide = groups["loss"]["contests"]
    assert wide["title"] == "logits (4, 12), bfloat16"
    assert [row["name"] for row in wide["rows"]] == [*losses, "floor: a copy"]
    assert all(row["share"] > 0 for row in wide["rows"])
    assert rows["step"] == [
        "teacher live, not folded",
        "teacher live",
        "teacher's logits given",
        "student alone",
        "floor: product of 16 x 16 matrices",
    ]
    features = {
        contest["title"]: [row["name"] for row in contest["rows"]] for contest in groups["step"]["contests"][1:]
    }
    assert features == {f"{method}, resnet8 -> resnet8, batch 4": ["teacher live"] for method in ("reviewkd", "crd")}
    shares = [row["share"] for row in groups["step"]["contests"][0]["rows"]]
    assert shares[-1] == 1.0
    assert all(share > 0 for share in shares)
    keep(tmp_path / "machine.json", groups)
    assert json.loads((tmp_path / "machine.json").read_text())["groups"] == groups
    page = "# Speed\n<!-- benchmark: machine -->\nstale\n<!-- end -->\nrest\n"
    shown = refreshed(page, tmp_path)
    assert "stale" not in shown
    assert "| teacher live, not folded | " in shown
    assert "| 240 epochs, table filled on the way | " in shown
    assert "median of 1 rounds" in shown
    assert refreshed(shown, tmp_path) == shown


@pytest.mark.parametrize("page", ["docs/performance.md", "docs/guides/imagenet.md"])
def test_pages_show_what_was_measured(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    assert "<!-- benchmark: " in text
    assert refreshed(text, REPOSITORY / "results" / "benchmarks") == text, "run `make tables`"


def test_a_file_keeps_the_groups_that_were_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "machine.json"
    keep(path, {"loss": 1, "step": 2})
    keep(path, {"step": 3})
    assert json.loads(path.read_text()) == {"groups": {"loss": 1, "step": 3}}
    for text in ("{}", "no json", "[1]"):
        path.write_text(text)
        with pytest.raises(FileExistsError, match="is not a file of measurements"):
            keep(path, {"step": 3})
        assert path.read_text() == text


def test_times_are_medians_and_speeds_are_ratios_within_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    pace = {"slow": iter([9.0, 9.0, 4.0, 8.0, 2.0]), "fast": iter([9.0, 9.0, 2.0, 2.0, 2.0])}
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def row(name: str, operations: int) -> Row:
        def work(times: int) -> None:
            assert times == 1
            clock[0] += next(pace[name])

        return Row(name, work, operations)

    slow, fast = hold(
        Contest("both", (row("slow", 5), row("fast", 10)), peak="fast"), repeats=3, seconds=1.0, device=CPU
    )
    assert (slow.seconds, slow.low, slow.high, slow.speed) == (4.0, 2.0, 8.0, 1.0)
    assert (fast.seconds, fast.speed, fast.speed_low, fast.speed_high) == (2.0, 2.0, 1.0, 4.0)
    assert (slow.share, fast.share) == (0.25, 1.0)


def test_a_first_run_is_mixed_of_steps_with_an_empty_and_a_full_table() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(7, (5000, 9), generator=generator)
    distinct = sum(len(row.unique()) for row in drawn) / drawn.numel()
    assert share_of_misses(views=7, epochs=9) == pytest.approx(distinct, abs=0.01)
    assert share_of_misses(views=7, epochs=1) == pytest.approx(1.0)
    rows = [{"name": EMPTY, "speed": 1.0}, {"name": FULL, "speed": 4.0}, {"name": f"{FULL}, compiled", "speed": 5.0}]
    *_, line = first_run_markdown({"title": "loop", "rows": rows}).splitlines()
    assert line == f"| 240 epochs, table filled on the way | {1 / (0.5222 + 0.4778 / 4):.2f} |"
    assert first_run_markdown({"title": "step", "rows": rows[:1]}) == ""


def test_what_leaving_out_logits_costs_is_told_for_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_classes, "CLASSES", (50,))
    monkeypatch.setattr(top_classes, "TOPS", (8, 49))
    _, _, few, most, *_ = top_classes.markdown().splitlines()
    assert few.startswith("| 50 | 8 | 4 | 36.0% | ")
    assert float(few.split("|")[-2].strip(" %")) > 10
    assert float(most.split("|")[-2].strip(" %")) < 0.2, "one class is its own mean: what is left is fp16"


def test_the_work_is_repeated_until_the_time_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ticks = count()
    monkeypatch.setattr("time.perf_counter", lambda: 0.125 * next(ticks))  # once before, once after the work
    hold(Contest("one", (Row("only", asked.append),)), repeats=2, seconds=2.0, device=CPU)
    assert asked == [1, 1, 16, 16]


def test_what_cannot_be_measured_is_said_beforehand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a checkout of github\.com/megvii-research/mdistiller"):
        Reference(tmp_path)
    for arguments, message in (
        (["stepp"], "there is no group 'stepp'; there are: loss, step, loop"),
        (["step", "--device", "tpu"], "invalid choice: 'tpu'"),
        (["step", "--pair", "resnet56"], "--pair is teacher:student, such as resnet56:resnet20, got 'resnet56'"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert message in capsys.readouterr().err
    main(["loop"])
    assert "loop: not measured, it needs --data" in capsys.readouterr().out


MEMORY = """
import torch
from benchmarks.timing import Contest, Row, hold

entries, held = 2**24, []


def large(times):
    held.append(torch.ones(entries))
    held.clear()


rows = (Row("large", large), Row("small", lambda times: torch.ones(4)))
contest = Contest("memory", rows, unit=("tensor", 4 * entries))
for row in hold(contest, repeats=1, seconds=0.0, device=torch.device("cpu")):
    print(-1 if row.memory is None else row.memory)
"""


def test_memory_is_told_in_the_unit_of_the_contest() -> None:
    # In a process of its own: memory that other tests freed and the allocator kept would be used again, unseen.
    run = subprocess.run([sys.executable, "-c", MEMORY], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    large, small = map(float, run.stdout.split())
    if large < 0:
        pytest.skip("this system does not tell the peak of the memory in use")
    assert 0.9 < large < 1.5
    assert small < 0.1


def test_the_cost_of_imagenet_is_worked_out_from_what_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet_cost, "PAIRS", (("resnet8", "resnet8"),))
    short = "--made 100 --workers 0 --seconds 0.01 --pixels 16 --batch-size 2 --steps 1 --precision fp32 --devices 4"
    imagenet_cost.main([*short.split(), "--out", str(tmp_path / "cost.json")])
    found = json.loads((tmp_path / "cost.json").read_text())
    assert {(row["source"], row["training"]) for row in found["input"]} == {
        (source, training) for source in ("files", "shards") for training in (True, False)
    }
    assert all(row["per_second"] > 0 for row in found["input"] + found["steps"])
    rate = found["steps"][0]["per_second"]
    assert f"| resnet8 -> resnet8 | fp32 | {rate:.0f} | {1_281_167 * 100 / rate / 4 / 3600:.1f} |" in (
        said := capsys.readouterr().out
    )
    page = refreshed("<!-- benchmark: cost -->\n<!-- end -->", tmp_path)
    assert f"| {rate:.0f} | {1_281_167 * 100 / rate / 8 / 3600:.1f} |" in page
    assert f"{torch.get_num_threads()} threads, torch {found['environment']['packages']['torch']}" in page
    assert page.splitlines()[1] in said
    settings = DataSettings(name="pictures", pictures=PictureSettings(size=16))
    made = load_pictures(settings, imagenet_cost.made_pictures(tmp_path / "made", 6)).train
    shards = imagenet_cost.packed(made, tmp_path / "shard.tar")
    with pytest.raises(ValueError, match="is a folder of class folders"):
        imagenet_cost.main(["--pictures", str(shards), "--no-steps"])
    with pytest.raises(ValueError, match="pictures are too few for 4 workers"):
        imagenet_cost.main(["--made", "20", "--workers", "4", "--no-steps", "--seconds", "0.01"])
