"""What is drawn of what detectors see."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from decant.detection.drawn_shapes import draw_shapes
from decant.detection.predict import Seen, look, predict, side_by_side
from decant.detection.run import train_detector
from detection.toy_detectors import detector
from detection.toy_runs import recipe
from engine.tiny import places


def test_what_is_seen_has_names_and_scores() -> None:
    image, _ = draw_shapes(1, seed=0)[0]
    names = ("a", "b", "c")
    found = look(detector(1).eval(), "me", names, image, 0.2)
    assert len(found.names) == len(found.scores) == len(found.boxes) > 0
    assert min(found.scores) >= 0.2
    again = look(detector(1).eval(), "me", ("__background__", *names), image, 0.2)
    assert again.names == found.names
    assert look(detector(1).eval(), "me", names, image, 1.0).names == ()


def test_each_detector_has_its_picture() -> None:
    image = torch.full((3, 96, 120), 255, dtype=torch.uint8)
    nothing = Seen("teacher", torch.zeros(0, 4), (), ())
    something = Seen("student", torch.tensor([[10.0, 20.0, 60.0, 70.0]]), ("dog",), (0.9,))
    sheet = np.asarray(side_by_side(image, [nothing, something]))
    assert sheet.shape == (24 + 5 * 96, 2 * 5 * 120, 3)
    left, right = sheet[24:, :600], sheet[24:, 600:]
    assert (left == 255).all()
    coloured = (right != 255).any(2)
    assert coloured[100:350, 50].all()
    assert coloured[350, 50:300].all()
    assert not coloured[110:340, 60:290].any()
    assert coloured[84:100, 52:70].any(), "the name stands above the box"
    assert not coloured[:, :50].any()
    assert not coloured[352:].any()


def test_a_run_and_its_teacher_look_at_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval", reason="needs the extra [detection]")
    train_detector(recipe(), tmp_path / "run", places(tmp_path))
    image, _ = draw_shapes(1, seed=7)[0]
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "picture.png")
    seen = predict(
        tmp_path / "run", tmp_path / "picture.png", tmp_path / "out" / "seen.png", places(tmp_path), score=0.0
    )
    assert [each.who.split(":")[0] for each in seen] == ["teacher", "student"]
    with Image.open(tmp_path / "out" / "seen.png") as drawn:
        assert drawn.size == (2 * 480, 480 + 24)
    with pytest.raises(FileExistsError, match="is there already"):
        predict(tmp_path / "run", tmp_path / "picture.png", tmp_path / "out" / "seen.png", places(tmp_path))
    away = places(tmp_path / "elsewhere")
    (alone,) = predict(tmp_path / "run", tmp_path / "picture.png", tmp_path / "alone.png", away)
    assert alone.who == "student: fasterrcnn_tiny_fpn, dkd"
    with pytest.raises(FileNotFoundError, match="there is no picture"):
        predict(tmp_path / "run", tmp_path / "none.png", tmp_path / "none-seen.png", places(tmp_path))
    with pytest.raises(FileNotFoundError, match="no finished run"):
        predict(tmp_path, tmp_path / "picture.png", tmp_path / "x.png", places(tmp_path))
    with pytest.raises(ValueError, match="probability from 0 to 1"):
        predict(tmp_path / "run", tmp_path / "picture.png", tmp_path / "x.png", places(tmp_path), score=2)
