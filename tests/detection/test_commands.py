"""Detectors on the command line."""

import json
from pathlib import Path

import pytest
from PIL import Image

from command_line import Run
from decant.detection.drawn_shapes import draw_shapes

pytest.importorskip("faster_coco_eval", reason="needs the extra [detection]")

RECIPE = """
task = "detection"
student = { name = "fasterrcnn_tiny_fpn" }
data = { name = "shapes", drawn_train = 8, drawn_test = 4 }
train = { epochs = 1, epoch_steps = 2, batch_size = 2, schedule = { name = "onecycle" } }
"""
TAUGHT = RECIPE + '[teacher]\nrecipe = "teacher.toml"\n[[method]]\nname = "dkd"\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with two recipes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "teacher.toml").write_text(RECIPE)
    (tmp_path / "recipe.toml").write_text(TAUGHT)


def test_a_detector_is_trained_evaluated_and_looked_through(decant: Run, tmp_path: Path) -> None:
    code, out, err = decant("train", "recipe.toml", "--out", "run", "--device", "cpu", "--set", "seed=1")
    assert (code, err) == (0, "")
    assert "teacher fasterrcnn_tiny_fpn: trained first, kept in runs/teachers/fasterrcnn_tiny_fpn-shapes-" in out
    assert "weights in run/student.safetensors" in out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert f"fasterrcnn_tiny_fpn: AP {summary['last']['ap']:.2f} (AP50 " in out
    code, out, err = decant("evaluate", "run", "--device", "cpu")
    assert (code, err) == (0, "")
    assert f"{summary['last']['ap50']:.2f}" in out
    image, _ = draw_shapes(1, seed=0)[0]
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "picture.png")
    code, out, err = decant("predict", "run", "picture.png", "--device", "cpu", "--score", "0.9")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "drawn in seen.png"
    assert out.splitlines()[-2].startswith("student: fasterrcnn_tiny_fpn, dkd: ")
    assert (tmp_path / "seen.png").is_file()


def test_show_fills_in_the_defaults(decant: Run) -> None:
    code, out, _ = decant("show", "recipe.toml")
    assert code == 0
    assert json.loads(out)["method"] == [
        {
            "name": "dkd",
            "alpha": 1.0,
            "beta": 0.25,
            "temperature": 1.0,
            "warmup": 0,
            "foreground": 1.0,
            "background": 1.0,
        }
    ]


def test_faults_end_in_words(decant: Run) -> None:
    code, _, err = decant("train", "recipe.toml", "--set", "student.name=fasterrcnn_resnet81_fpn")
    assert code == 2
    assert "did you mean 'fasterrcnn_resnet18_fpn'" in err
    code, _, err = decant("compare", "recipe.toml", "--methods", "kd,dkd+vid")
    assert code == 2
    assert "no method 'vid' for detectors to compare" in err
    code, _, err = decant("cache", "recipe.toml")
    assert code == 2
    assert "this is a recipe of detection, but what was asked for is there for classification alone" in err


def test_detectors_are_compared_and_their_evidence_kept(decant: Run, tmp_path: Path) -> None:
    arguments = ("recipe.toml", "--methods", "supervised,dkd", "--seeds", "1", "--out", "all", "--device", "cpu")
    code, out, err = decant("compare", *arguments, "--results", "kept")
    assert (code, err) == (0, "")
    assert "No verdict: 1 seed per method, and at least 3 are needed." in out
    page = (tmp_path / "kept" / "README.md").read_text()
    assert page == (tmp_path / "all" / "README.md").read_text()
    assert "decant compare recipe.toml --methods supervised,dkd --seeds 1 --out all" in page


@pytest.mark.parametrize("command", ["train", "compare"])
@pytest.mark.parametrize(
    ("option", "said"), [(["--unlabelled", "more"], "--unlabelled"), (["--trust-code"], "--trust")]
)
def test_what_a_detector_has_no_use_for_is_refused(
    decant: Run, tmp_path: Path, command: str, option: list[str], said: str
) -> None:
    code, _, err = decant(command, "recipe.toml", "--out", "run", *option)
    assert code == 2
    assert said in err
    assert "cannot be given with the recipe of a detector" in err
    assert not (tmp_path / "run").exists()
