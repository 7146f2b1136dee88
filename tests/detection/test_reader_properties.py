"""Whatever annotations hold, they are a set of pictures or a message that names the file; classes map by name."""

import copy
import json
import string
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.detection.class_map import ClassMap
from decant.detection.coco_format import read_coco
from decant.detection.voc_format import read_voc
from detection.test_formats import COCO, picture

same_folder = [HealthCheck.function_scoped_fixture]
many = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=same_folder)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
VOC = """<annotation><filename>a.jpg</filename><size><width>50</width><height>60</height><depth>3</depth></size>
<object><name>dog</name><difficult>0</difficult>
<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object></annotation>"""


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    picture(tmp_path / "b.png", 40, 30)
    picture(tmp_path / "sub" / "a.png", 50, 60)
    return tmp_path


@given(
    table=st.sampled_from(["images", "categories", "annotations", None]),
    entry=st.integers(0, 3),
    key=st.sampled_from(
        ["id", "file_name", "width", "height", "name", "image_id", "category_id", "bbox", "area", "iscrowd"]
    ),
    value=anything,
)
@many
def test_coco_with_another_value_somewhere(coco: Path, table: str | None, entry: int, key: str, value: Any) -> None:
    content: Any = copy.deepcopy(COCO)
    if table is None:
        content = value
    elif entry < len(content[table]):
        content[table][entry][key] = value
    else:
        content[table] = value
    file = coco / "instances.json"
    file.write_text(json.dumps(content))
    try:
        read = read_coco(file, coco)
    except (ValueError, FileNotFoundError) as error:
        if str(file) not in str(error):
            raise
        return
    assert len(read.pictures) == len(read.sizes) == len(read.objects)


@given(place=st.integers(0, len(VOC)), length=st.integers(0, 20), by=st.text(string.printable, max_size=8))
@many
def test_voc_with_some_characters_replaced(tmp_path: Path, place: int, length: int, by: str) -> None:
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
    (tmp_path / "Annotations").mkdir(exist_ok=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    if not (tmp_path / "JPEGImages").exists():
        picture(tmp_path / "JPEGImages" / "a.jpg", 50, 60)
    (tmp_path / "Annotations" / "a.xml").write_text(VOC[:place] + by + VOC[place + length :])
    try:
        read = read_voc(tmp_path, "train")
    except (ValueError, FileNotFoundError) as error:
        if str(tmp_path) not in str(error):
            raise
        return
    assert len(read.pictures) == 1


names = st.lists(st.sampled_from(string.ascii_lowercase[:8]), min_size=1, max_size=6, unique=True)


@given(student=names, teacher=names, seed=st.integers(0, 2**31))
@many
def test_a_class_map_keeps_all_probability_and_every_shared_class(
    student: list[str], teacher: list[str], seed: int
) -> None:
    if not set(student) & set(teacher):
        with pytest.raises(ValueError, match="have no class in common"):
            ClassMap.by_name(student, teacher)
        return
    made = ClassMap.by_name(student, teacher)
    assert sorted(each for classes in made.sources for each in classes) == list(range(len(teacher) + 1))
    generator = torch.Generator().manual_seed(seed)
    ours = torch.randn(5, len(student) + 1, generator=generator, dtype=torch.float64)
    theirs = torch.randn(5, len(teacher) + 1, generator=generator, dtype=torch.float64)
    target = torch.randint(len(student) + 1, (5,), generator=generator)
    left, right, index = made.paired(ours, theirs, target)
    assert left.shape == right.shape
    torch.testing.assert_close(right.logsumexp(1), theirs.logsumexp(1))
    probabilities = right.softmax(1)
    for name in set(student) & set(teacher):
        column = made.shared.index(student.index(name) + 1)
        torch.testing.assert_close(probabilities[:, column], theirs.softmax(1)[:, teacher.index(name) + 1])
    for row in range(5):
        known = int(target[row]) in made.shared
        assert int(index[row]) == (made.shared.index(int(target[row])) if known else -100)
