"""Networks out of a file in recipes: run only where that is trusted, called as the settings say, known by content."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from decant.recipe import (
    NetworkSettings,
    RecipeError,
    TeacherSettings,
    code_files,
    is_own,
    load_recipe,
    named_code,
    network_named,
    recipe_from_dict,
    recipe_hash,
    recipe_to_dict,
    with_changes,
)
from recipe.files import minimal, write

CODE = """
from __future__ import annotations

from pathlib import Path

from torch import nn

Path(r"{marker}").write_text("was run")


def make(num_classes: int, in_channels: int = 3, width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 64, width), nn.ReLU(), nn.Linear(width, num_classes))


class Whole(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.classes = num_classes


def too_few():
    return make(2)


def text(num_classes):
    return "no module"


def broken(num_classes):
    raise KeyError("inside")


number = 3
"""


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Exists once the code was run."""
    return tmp_path / "marker"


@pytest.fixture
def code(tmp_path: Path, marker: Path) -> Path:
    return write(tmp_path / "net.py", CODE.format(marker=marker))


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("net.py:make", True),
        ("folder/net.py:make", True),
        ("net.py", True),
        ("timm/regnety_040.pycls_in1k", False),
        ("resnet20", False),
        (None, False),
    ],
)
def test_which_names_are_files(name: str | None, own: bool) -> None:
    assert is_own(name) is own


def recipe_file(code: Path, name: str = "net.py:make", settings: str = "") -> Path:
    return write(
        code.parent / "recipe.toml", f'[student]\nname = "{name}"\n{settings}\n[data]\nname = "fake"\nfake_pixels = 8'
    )


def faults(path: Path, *overrides: str, trust_code: bool = True) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides, trust_code=trust_code)
    return caught.value.faults


WITH_CODE: list[dict[str, Any]] = [
    {"student": {"name": "{file}"}},
    {"student": {"name": "{file}", "sha256": "0" * 64}},
    {"teacher": {"name": "{file}", "weights": "w.pth"}},
    {"teacher": {"name": "resnet20", "weights": "w.pth", "also": [{"name": "{file}", "weights": "w.pth"}]}},
    {"teacher": {"recipe": minimal(student={"name": "{file}"})}},
    {"student": {"name": "{file}", "optoins": {}}, "seed": -1},
]


@pytest.mark.parametrize("tables", WITH_CODE)
def test_no_network_s_code_is_run_unless_that_is_trusted(
    tables: dict[str, Any], code: Path, marker: Path, tmp_path: Path
) -> None:
    text = json.dumps(minimal(**tables)).replace("{file}", f"{code}:make")
    path = write(tmp_path / "recipe.json", text)
    told = [fault for fault in faults(path, trust_code=False) if "is code: to load it is to run all of" in fault]
    assert len(told) == 1
    assert str(code) in told[0]
    with pytest.raises(RecipeError, match="is code"):
        recipe_from_dict(json.loads(text))
    with pytest.raises(ValueError, match="is code"):
        network_named(NetworkSettings, f"{code}:make")
    assert not marker.exists()


def test_a_trusted_function_makes_the_network(code: Path) -> None:
    path = recipe_file(code, settings='options = { width = 5 }\ntaps = { hidden = "2" }')
    student = load_recipe(path, trust_code=True).student
    assert (student.name, student.taps) == ("net.py:make", {"hidden": "2"})
    network = student.build(classes=7, channels=1)
    assert isinstance(network, nn.Sequential)
    assert [tuple(p.shape) for p in network.parameters()] == [(5, 64), (5,), (7, 5), (7,)]


def test_it_need_not_ask_for_channels_and_may_be_a_class(code: Path) -> None:
    network: Any = network_named(NetworkSettings, f"{code}:Whole", trust_code=True).build(classes=3, channels=1)
    assert network.classes == 3


def test_a_teacher_may_come_from_a_file_too(code: Path) -> None:
    teacher = f'teacher={{name = "{code}:make", weights = "w.pth", options = {{width = 6}}}}'
    settings = load_recipe(recipe_file(code), [teacher], trust_code=True).teacher
    assert isinstance(settings, TeacherSettings)
    assert settings.network == "net.py:make"
    network = settings.build(classes=3, channels=1)
    assert next(tuple(p.shape) for p in network.parameters()) == (6, 64)
    assert [source.network for source in settings.sources] == ["net.py:make"]


@pytest.mark.parametrize(
    ("name", "settings", "fault"),
    [
        ("net.py:mak", "", "mak is not a function (or class) in this file; there is: make, Whole, too_few"),
        ("net.py:number", "", "number is not a function (or class) in this file"),
        ("net.py:too_few", "", "net.py:too_few must take num_classes, and is called with num_classes: got an "),
        ("net.py:make", "options = { wdith = 3 }", "called with num_classes, in_channels, wdith: got an unexpected"),
        ("net.py:make", "pretrained = true", "net.py:make comes without pretrained weights; give a file of weights"),
        ("net.py", "", 'expected "my_file.py:NAME"'),
        ("nets.py:make", "", "there is no file "),
    ],
)
def test_what_makes_no_network_is_told(name: str, settings: str, fault: str, code: Path) -> None:
    (found,) = faults(recipe_file(code, name, settings))
    assert found.startswith("student: ")
    assert fault in found


def test_its_settings_are_as_strict_as_those_of_other_networks(code: Path) -> None:
    path = recipe_file(code, settings="taps = { hidden = 2 }")
    (found,) = faults(path)
    assert found.startswith("student.taps.hidden: input should be a valid string")
    (found,) = faults(recipe_file(code), "student.weigths='w.pth'")
    assert found == "student.weigths: no such setting; did you mean 'weights'?"
    (found,) = faults(recipe_file(code), 'teacher={name="net.py:make", weights="w.pth", shrae=1.0}')
    assert found == "teacher.shrae: no such setting; did you mean 'share'?"


@pytest.mark.parametrize(
    ("function", "told"),
    [("text", "must return a torch module, got str"), ("broken", r"cannot be built: KeyError: 'inside'")],
)
def test_what_goes_wrong_inside_is_told(function: str, told: str, code: Path) -> None:
    settings = network_named(NetworkSettings, f"{code}:{function}", trust_code=True)
    with pytest.raises(ValueError, match=told):
        settings.build(classes=3, channels=1)


def test_a_recipe_comes_back_from_json_with_its_code_beside_it(code: Path, tmp_path: Path) -> None:
    teacher = 'teacher={name = "net.py:make", weights = "w.pth"}'
    recipe = load_recipe(recipe_file(code), [teacher], trust_code=True)
    values = recipe_to_dict(recipe)
    assert values["student"]["sha256"] == hashlib.sha256(code.read_bytes()).hexdigest()
    assert named_code(values) == {"net.py:make": values["student"]["sha256"]}
    assert code_files(recipe) == {"net.py": code.read_bytes()}
    kept = write(tmp_path / "run" / "recipe.json", json.dumps(values))
    code.rename(tmp_path / "run" / "net.py")
    back = load_recipe(kept, trust_code=True)
    assert back == recipe
    assert recipe_hash(back) == recipe_hash(recipe)
    assert recipe_from_dict(values, same_code_as=recipe) == recipe
    changed = with_changes(recipe, ["student.options.width=9", "train.epochs=2"])
    assert changed.student.options == {"width": 9}
    assert type(changed.student) is type(recipe.student)


def test_changed_code_makes_another_recipe_and_a_pinned_one_is_refused(code: Path) -> None:
    path = recipe_file(code)
    before = load_recipe(path, trust_code=True)
    pinned = write(code.parent / "pinned.json", json.dumps(recipe_to_dict(before)))
    code.write_text(code.read_text() + "\n# another line\n")
    after = load_recipe(path, trust_code=True)
    assert before != after
    (found,) = faults(pinned)
    assert "net.py has changed: the recipe wants the file with sha256 " in found
    with pytest.raises(RecipeError, match="is not code that is loaded already"):
        recipe_from_dict(recipe_to_dict(before), same_code_as=after)


def test_two_files_of_one_name_are_refused(code: Path) -> None:
    write(code.parent / "other" / "net.py", code.read_text() + "\n")
    (found,) = faults(recipe_file(code), 'teacher={name = "other/net.py:make", weights = "w.pth"}')
    assert found == "code comes from two different files named net.py; rename one of them"


def test_a_recipe_without_code_is_what_it_was() -> None:
    assert "sha256" not in recipe_to_dict(recipe_from_dict(minimal()))["student"]
