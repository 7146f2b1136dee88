"""A student whose network is code: nothing untrusted is run, the recorded bytes build it, others never do."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from command_line import Run
from data.made_pictures import folder as picture_folder
from decant import load_student
from decant.data import plain_batches
from decant.engine import train
from decant.engine.checkpoint import read_about, save_weights
from decant.engine.record import read_summary
from decant.recipe import load_recipe, recipe_to_dict
from decant.report.hub import parcel
from engine.tiny import places, recipe, splits, weights_of

CODE = """
from pathlib import Path

from torch import nn

Path(r"{marker}").touch()


def make(num_classes, in_channels, width=4):
    body = nn.Sequential(nn.Conv2d(in_channels, width, 3), nn.BatchNorm2d(width), nn.ReLU())
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``nets.py``, a finished ``run`` of it, and ``was_run``, which the code leaves."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "nets.py").write_text(CODE.format(marker=folder / "was_run"))
    values = recipe_to_dict(recipe(epochs=1)) | {"student": {"name": "nets.py:make", "options": {"width": 6}}}
    (folder / "mine.json").write_text(json.dumps(values))
    train(load_recipe(folder / "mine.json", trust_code=True), folder / "run", places(folder), announce=False)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of the run of code whose module is not loaded in this process, and which leaves ``was_run`` beside it."""
    shutil.copytree(made / "run", tmp_path / "run")
    code = CODE.format(marker=tmp_path / "was_run").encode()
    (tmp_path / "run" / "nets.py").write_bytes(code)
    about = read_about(tmp_path / "run" / "student.safetensors")
    digest, fresh = about["code_sha256"], hashlib.sha256(code).hexdigest()
    about["code_sha256"] = fresh
    save_weights(tmp_path / "run" / "student.safetensors", weights_of(made / "run"), {"decant": json.dumps(about)})
    recipe_json = tmp_path / "run" / "recipe.json"
    recipe_json.write_text(recipe_json.read_text().replace(digest, fresh))
    return tmp_path / "run"


def test_a_run_leaves_all_that_its_student_needs(made: Path, tmp_path: Path) -> None:
    for name in ("student.safetensors", "nets.py"):
        shutil.copy(made / "run" / name, tmp_path)
    student = load_student(tmp_path, trust_code=True)
    assert student.about["network"] == "nets.py:make"
    assert student.network.state_dict()["0.0.weight"].shape[0] == 6
    (batch,) = plain_batches(splits().test, 100)
    with torch.no_grad():
        right = (student.network(batch.images[0]).argmax(1) == batch.target).double().mean()
    assert 100 * float(right) == pytest.approx(read_summary(made / "run")["last"]["top1"])


def test_nothing_is_run_that_is_not_trusted(run: Path) -> None:
    with pytest.raises(ValueError, match=r"network is code, nets\.py:make: .*run all of .*nets\.py.*trust_code=True"):
        load_student(run)
    assert not (run.parent / "was_run").exists()
    load_student(run, trust_code=True)
    assert (run.parent / "was_run").exists()


def test_changed_code_is_refused_before_it_is_run(run: Path) -> None:
    code = run / "nets.py"
    code.write_text(code.read_text() + "\n")
    for trust_code in (False, True):
        with pytest.raises(ValueError, match=r"nets\.py is not the file that student\.safetensors was trained with"):
            load_student(run, trust_code=trust_code)
    assert not (run.parent / "was_run").exists()


def test_what_is_missing_is_said(run: Path) -> None:
    (run / "nets.py").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no .*nets\.py: copy nets\.py here from its run's folder"):
        load_student(run, trust_code=True)


@pytest.mark.parametrize("change", [{"network": "../nets.py:make"}, {"code_sha256": None}])
def test_a_header_cannot_name_code_elsewhere_or_any_code(run: Path, change: dict[str, str | None]) -> None:
    about = read_about(run / "student.safetensors") | change
    (run.parent / "nets.py").write_bytes((run / "nets.py").read_bytes())
    said = {key: value for key, value in about.items() if value is not None}
    save_weights(run / "student.safetensors", weights_of(run), {"decant": json.dumps(said)})
    with pytest.raises(ValueError, match="the header does not say which file that is"):
        load_student(run, trust_code=True)
    assert not (run.parent / "was_run").exists()


def test_the_commands(decant: Run, run: Path, tmp_path: Path) -> None:
    pictures = str(picture_folder(tmp_path / "pictures", {"a": 3}))
    predict = ("predict", str(run), pictures, "--csv", "--top", "1", "--device", "cpu")
    export = ("export", str(run), "--format", "torch-export", "--count", "8")
    for command in (predict, export):
        code, _, err = decant(*command)
        assert code == 2
        assert "network is code, nets.py:make" in err
        assert "--trust-code" in err
    assert not (tmp_path / "was_run").exists()
    code, out, err = decant(*predict, "--trust-code")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 4
    code, _, err = decant(*export, "--trust-code")
    assert (code, err) == (0, "")
    assert json.loads((run / "student.pt2.json").read_text())["agreement"]["pictures"] == 8


def test_card_and_parcel_have_the_code_and_run_none(decant: Run, run: Path, tmp_path: Path) -> None:
    assert decant("card", str(run))[0] == 0
    card = (run / "model-card.md").read_text()
    assert "**The network is code**: `nets.py` (sha256 `" in card
    assert 'decant.load_student("student.safetensors", trust_code=True)' in card
    assert "decant train recipe.json --trust-code" in card
    assert parcel(run, "hf:me/mine").files["nets.py"] == run / "nets.py"
    (run / "nets.py").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no .*nets\.py"):
        parcel(run, "hf:me/mine")
    assert not (tmp_path / "was_run").exists()
