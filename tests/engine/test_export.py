"""Exported students: the same as the original, with what is needed to use them, never over another's file."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from decant.engine.export import UnequalExportError, export_student, refuse_foreign
from decant.engine.export_formats import EXPORT_FORMATS, Runs
from decant.models import TINY, ZOO
from engine.students import random_student
from engine.tiny import contents

FORMATS = ["torch-export", "onnx"]
FAMILIES: list[tuple[str, dict[str, int], int]] = [
    ("timm/mobilenetv3_small_100", {}, 64),
    ("timm/resnet10t", {}, 64),
    ("timm/vit_tiny_patch16_224", {"img_size": 64}, 64),
]


@pytest.fixture(autouse=True)
def one_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long it takes is measured once: nothing here depends on it."""
    monkeypatch.setattr("decant.engine.export._REPEATS", 1)


def require(kind: str) -> None:
    if kind == "onnx":
        for name in ("onnx", "onnxruntime", "onnxscript"):
            pytest.importorskip(name, reason="needs the extra [export]")


def pixels(size: int, count: int = 5) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", FORMATS)
def test_it_is_the_same_network_for_any_batch(tmp_path: Path, kind: str) -> None:
    require(kind)
    student = random_student(tmp_path / "x.safetensors")
    out = tmp_path / f"x{EXPORT_FORMATS[kind].suffix}"
    made = export_student(student, pixels(8), out, kind=kind)
    assert made.agreement.difference <= 1e-5
    assert (made.agreement.same_answer, made.agreement.pictures) == (1.0, 5)
    assert made.milliseconds.keys() == {"original", "exported"}
    assert made.milliseconds["exported"].keys() == {1, 5}
    report = json.loads(made.report.read_text())
    assert report["agreement"]["difference"] == made.agreement.difference
    runs = EXPORT_FORMATS[kind].opened(out.read_bytes())
    for count in (1, 2, 7):
        torch.testing.assert_close(runs(pixels(8, count)), student.network(pixels(8, count)).detach())
    facts = EXPORT_FORMATS[kind].facts(out.read_bytes())
    assert json.loads(facts["classes"]) == list(student.classes)
    told = json.loads(facts["preprocessing"])
    assert (told["size"], told["resize"], told["mean"]) == ([8, 8], 8, list(student.preprocess.mean))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("name", "options", "size"), [("resnet8", {}, 32), ("ShuffleNetV1", {}, 32), FAMILIES[0]])
def test_some_networks(tmp_path: Path, kind: str, name: str, options: dict[str, int], size: int) -> None:
    check_parity(tmp_path, kind, name, options, size)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("name", "options", "size"),
    [*((name, {}, 32) for name in ZOO), *((name, {}, 8) for name in TINY), *FAMILIES],
)
def test_every_network(tmp_path: Path, kind: str, name: str, options: dict[str, int], size: int) -> None:
    check_parity(tmp_path, kind, name, options, size)


def check_parity(tmp_path: Path, kind: str, name: str, options: dict[str, int], size: int) -> None:
    require(kind)
    if name.startswith("timm/"):
        pytest.importorskip("timm", reason="needs the extra [timm]")
    student = random_student(tmp_path / "x.safetensors", name, **options)
    made = export_student(student, pixels(size), tmp_path / "exported", kind=kind)
    print(f"{kind} {name}: difference {made.agreement.difference:.2g} of {made.agreement.largest_logit:.3g}")
    assert made.agreement.largest_logit > 0.01, "something to compare"
    assert made.agreement.same_answer == 1.0


def test_one_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student = random_student(tmp_path / "x.safetensors")
    way = EXPORT_FORMATS["torch-export"]
    opened = type(way).opened
    monkeypatch.setattr(type(way), "opened", lambda self, content: moved(opened(self, content)))
    before = contents(tmp_path)
    with pytest.raises(UnequalExportError, match=r"by up to 0\.1 in a logit .* Nothing was written"):
        export_student(student, pixels(8), tmp_path / "x.pt2", kind="torch-export")
    assert contents(tmp_path) == before
    made = export_student(student, pixels(8), tmp_path / "x.pt2", kind="torch-export", tolerance=10.0)
    assert made.agreement.difference == pytest.approx(0.1, abs=1e-5)


def test_of_any_number_of_classes_every_yes_and_no_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single = random_student(tmp_path / "x.safetensors")
    student = single._replace(about=single.about | {"task": "multilabel"})
    images = pixels(8, 32)
    goal = student.network(images).detach()
    same = float(((goal > 0) == (goal + 0.1 > 0)).all(1).double().mean())
    assert 0 < same < 1, "0.1 turns some answers round, and no picture's largest logit"
    way = EXPORT_FORMATS["torch-export"]
    opened = type(way).opened
    monkeypatch.setattr(type(way), "opened", lambda self, content: moved(opened(self, content)))
    for each, expected in ((student, same), (single, 1.0)):
        made = export_student(each, images, tmp_path / "x.pt2", kind="torch-export", tolerance=10.0)
        assert made.agreement.same_answer == pytest.approx(expected)


def moved(runs: Runs) -> nn.Module:
    """A network whose logits are 0.1 too large."""

    class Moved(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return runs(images) + 0.1

    return Moved()


def test_nan_never_agrees(tmp_path: Path) -> None:
    student = random_student(tmp_path / "x.safetensors")
    images = pixels(8)
    images[0, 0, 0, 0] = float("nan")
    with pytest.raises(UnequalExportError):
        export_student(student, images, tmp_path / "x.pt2", kind="torch-export")


def test_only_its_own_files_are_replaced(tmp_path: Path) -> None:
    student, out = random_student(tmp_path / "x.safetensors"), tmp_path / "x.pt2"
    out.write_bytes(b"a thesis")
    with pytest.raises(FileExistsError, match="was not exported by Decant"):
        export_student(student, pixels(8), out, kind="torch-export")
    assert out.read_bytes() == b"a thesis"
    out.unlink()
    export_student(student, pixels(8), out, kind="torch-export")
    export_student(student, pixels(8), out, kind="torch-export")
    out.write_bytes(b"changed since")
    with pytest.raises(FileExistsError, match="was not exported by Decant"):
        refuse_foreign(out, tmp_path / "x.pt2.json")
    (tmp_path / "other.pt2.json").write_text("[]")
    with pytest.raises(FileExistsError, match=r"other\.pt2\.json is there"):
        refuse_foreign(tmp_path / "other.pt2", tmp_path / "other.pt2.json")


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    student = random_student(tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="there is no format 'tflite'; there are: onnx, torch-export"):
        export_student(student, pixels(8), tmp_path / "x", kind="tflite")
    with pytest.raises(ValueError, match="2 pictures or more, got 1"):
        export_student(student, pixels(8, 1), tmp_path / "x", kind="torch-export")

    class Deciding(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean((2, 3)) if images.sum() > 0 else images.amax((2, 3))

    with pytest.raises(ValueError, match="Deciding cannot be written down for a free batch size"):
        export_student(student._replace(network=Deciding()), pixels(8), tmp_path / "x", kind="torch-export")
