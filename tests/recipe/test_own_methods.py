"""Methods out of a file: run only where that is trusted, held to their types, known by their content."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from decant.interfaces import BuildContext, MethodSettings
from decant.recipe import (
    Recipe,
    RecipeError,
    code_files,
    load_recipe,
    named_code,
    recipe_from_dict,
    recipe_hash,
    recipe_to_dict,
    with_candidate,
)
from methods.building import digits_context
from recipe.files import STUDENT, minimal, write

CODE = '''
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from decant import BuildContext, Method

Path(r"{marker}").write_text("was run")


class Mine(Method):
    def __init__(self, settings):
        super().__init__()
        self.settings = settings

    def forward(self, student, teacher, batch):
        return {{self.settings.name: student.logits.mean()}}

    def weights(self, epoch):
        return {{self.settings.name: self.settings.weight}}


@dataclass(frozen=True)
class MineSettings:
    """Settings of mine."""

    name: str = "mine"
    weight: float = 1.0
    stages: tuple[int, ...] = (1, 2)
    deep: bool = False
    layers: int = 2

    def __post_init__(self):
        if self.weight < 0:
            raise ValueError(f"weight must be at least 0, got {{self.weight}}")

    def build(self, context: BuildContext) -> Method:
        return Mine(self)


@dataclass
class Melting:
    name: str = "melting"

    def build(self, context):
        return Mine(self)


@dataclass(frozen=True)
class Nameless:
    def build(self, context):
        return Mine(self)


@dataclass(frozen=True)
class Builderless:
    name: str = "builderless"


@dataclass(frozen=True)
class Odd:
    name: str = "odd"
    tensor: Tensor | None = None

    def build(self, context):
        return Mine(self)
'''


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Exists once the code was run."""
    return tmp_path / "marker"


@pytest.fixture
def code(tmp_path: Path, marker: Path) -> Path:
    return write(tmp_path / "mine.py", CODE.format(marker=marker))


def recipe_file(code: Path, method: str = "", name: str = "mine.py:MineSettings") -> Path:
    return write(code.parent / "recipe.toml", f'{STUDENT}[method]\nname = "{name}"\n{method}')


def faults(path: Path, *overrides: str, trust_code: bool = True) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides, trust_code=trust_code)
    return caught.value.faults


HOSTILE: list[dict[str, Any]] = [
    {"method": {"name": "{file}"}},
    {"method": {"name": "{file}", "sha256": "0" * 64}},
    {"compare": {"methods": {"mine": {"name": "{file}"}}}},
    {"teacher": {"recipe": minimal(method={"name": "{file}"})}},
    {"teacher": {"recipe": minimal(compare={"methods": {"mine": {"name": "{file}"}}})}},
    {"method": {"name": "{file}", "betta": 1.0}, "seed": -1},
    {"method": {"name": "{file}"}, "studnet": {}},
]


@pytest.mark.parametrize("tables", HOSTILE)
@pytest.mark.parametrize("suffix", [".toml.json", ".json"])
def test_a_recipe_runs_no_code_unless_that_is_trusted(
    tables: dict[str, Any], suffix: str, code: Path, marker: Path, tmp_path: Path
) -> None:
    text = json.dumps(minimal(**tables)).replace("{file}", f"{code}:MineSettings")
    path = write(tmp_path / f"recipe{suffix}", text)
    told = [fault for fault in faults(path, trust_code=False) if "is code: to load it is to run all of" in fault]
    assert len(told) == 1
    assert str(code) in told[0]
    assert "--trust-code (in Python: load_recipe(..., trust_code=True))" in told[0]
    with pytest.raises(RecipeError, match="is code"):
        recipe_from_dict(json.loads(text))
    assert not marker.exists()


def test_code_that_comes_with_an_override_is_not_run_either(code: Path, marker: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "there" / "recipe.toml", STUDENT)
    change = 'method={name = "mine.py:MineSettings"}'
    with pytest.raises(RecipeError, match=r"method: .*mine\.py:MineSettings is code"):
        load_recipe(path, [change], overrides_beside=tmp_path)
    assert not marker.exists()
    load_recipe(path, [change], overrides_beside=tmp_path, trust_code=True)
    assert marker.exists()


def test_a_trusted_class_becomes_settings_like_ours(code: Path) -> None:
    recipe = load_recipe(recipe_file(code, "weight = 2\nstages = [3, 4]"), trust_code=True)
    assert isinstance(recipe.method, MethodSettings)
    method: Any = recipe.method
    assert (method.name, method.weight, method.stages, method.deep) == ("mine.py:MineSettings", 2.0, (3, 4), False)
    assert method.sha256 == hashlib.sha256(code.read_bytes()).hexdigest()
    assert type(method).__doc__ == "Settings of mine."
    context: BuildContext = digits_context()
    assert method.build(context).weights(0.0) == {"mine": 2.0}, "built by the class as it was written, with its name"


def test_the_path_is_relative_to_the_file_that_names_it(code: Path, tmp_path: Path) -> None:
    write(tmp_path / "teachers" / "big.toml", f'{STUDENT}[method]\nname = "../mine.py:MineSettings"\n')
    path = write(tmp_path / "below" / "r.toml", f'{STUDENT}[teacher]\nrecipe = "../teachers/big.toml"')
    recipe = load_recipe(path, trust_code=True)
    assert recipe.teacher is not None
    assert recipe.teacher.recipe is not None
    assert recipe.teacher.recipe.method.name == "mine.py:MineSettings"
    assert code_files(recipe) == {"mine.py": code.read_bytes()}
    assert str(tmp_path) not in json.dumps(recipe_to_dict(recipe)), "a recipe knows no place of the machine"


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("wieght = 2.0", "method.wieght: no such setting; did you mean 'weight'?"),
        ("zzz = 2.0", "method.zzz: no such setting; there are: weight, stages, deep, layers"),
        ("weight = true", "method.weight: input should be a valid number, got True"),
        ('weight = "2"', "method.weight: input should be a valid number, got '2'"),
        ("layers = 2.0", "method.layers: input should be a valid integer, got 2.0"),
        ("stages = [1, 2.5]", "method.stages.1: input should be a valid integer, got 2.5"),
        ("deep = 1", "method.deep: input should be a valid boolean, got 1"),
        ("weight = -1.0", "method: weight must be at least 0, got -1.0"),
    ],
)
def test_its_settings_are_held_to_their_types(settings: str, fault: str, code: Path) -> None:
    assert faults(recipe_file(code, settings)) == (fault,)


def test_its_faults_come_with_all_others(code: Path) -> None:
    path = recipe_file(code, 'betta = 1\nlayers = "x"')
    found = faults(path, "seeed=1", 'compare.methods.other={name = "mine.py:MineSettings", wieght = 1.0}')
    keys = {fault.partition(":")[0] for fault in found}
    assert keys == {"method.betta", "method.layers", "seeed", "compare.methods.other.wieght"}
    assert any("did you mean 'weight'?" in fault for fault in found)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("mine.py:Mine", "Mine must be a dataclass, @dataclass(frozen=True), whose fields are the method's settings"),
        ("mine.py:MineSetings", "MineSetings is not a class in this file; there is: MineSettings, Odd"),
        ("mine.py:BuildContext", "BuildContext is not a class in this file"),
        ("mine.py:Melting", "Melting must be a dataclass, @dataclass(frozen=True)"),
        ("mine.py:Nameless", 'Nameless must have a field `name`, such as name: str = "mine"'),
        ("mine.py:Builderless", "Builderless must have `build(self, context)`"),
        ("mine.py:Odd", "has a setting of a type that a recipe cannot hold"),
        ("mine.py", 'expected "my_file.py:NAME", a file and what to take from it (a settings class, '),
        ("mine.py:Mine Settings", 'expected "my_file.py:NAME"'),
        ("mine.pyc:MineSettings", 'expected "my_file.py:NAME"'),
        ("yours.py:MineSettings", "there is no file "),
    ],
)
def test_what_is_no_method_is_told(name: str, fault: str, code: Path) -> None:
    (found,) = faults(recipe_file(code, name=name))
    assert found.startswith("method: ")
    assert fault in found


def test_a_file_that_is_not_there_is_told_before_trust_is_asked_for(code: Path) -> None:
    (found,) = faults(recipe_file(code, name="yours.py:MineSettings"), trust_code=False)
    assert "there is no file" in found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\ndef", "line 2, cannot be run: SyntaxError: "),
        ("import sys\n\nundefined", "line 3, cannot be run: NameError: name 'undefined' is not defined"),
        ("raise SystemExit(3)", "line 1, cannot be run: SystemExit: 3"),
    ],
)
def test_a_file_that_cannot_be_run_is_told_with_the_line(text: str, told: str, code: Path) -> None:
    code.write_text(text)
    (found,) = faults(recipe_file(code))
    assert told in found


def test_a_recipe_comes_back_from_json_with_its_code_beside_it(code: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(code, "weight = 2.0"), trust_code=True)
    values = recipe_to_dict(recipe)
    kept = write(tmp_path / "run" / "recipe.json", json.dumps(values))
    (tmp_path / "run" / "mine.py").write_bytes(code.read_bytes())
    back = load_recipe(kept, trust_code=True)
    assert back == recipe
    assert recipe_hash(back) == recipe_hash(recipe)
    assert recipe_from_dict(values, same_code_as=recipe) == recipe
    assert named_code(values) == {"mine.py:MineSettings": hashlib.sha256(code.read_bytes()).hexdigest()}


def test_a_teacher_s_code_is_found_beside_the_json_too(code: Path, tmp_path: Path) -> None:
    taught = minimal(teacher={"recipe": minimal(method={"name": f"{code}:MineSettings"})})
    recipe = recipe_from_dict(taught, trust_code=True)
    kept = write(tmp_path / "run" / "recipe.json", json.dumps(recipe_to_dict(recipe)))
    code.rename(tmp_path / "run" / "mine.py")
    assert load_recipe(kept, trust_code=True) == recipe


def test_changed_code_makes_another_recipe_and_a_pinned_one_is_refused(code: Path) -> None:
    path = recipe_file(code)
    before = load_recipe(path, trust_code=True)
    pinned = write(code.parent / "pinned.json", json.dumps(recipe_to_dict(before)))
    code.write_text(code.read_text() + "\n# another line\n")
    after = load_recipe(path, trust_code=True)
    assert before != after
    assert recipe_hash(before) != recipe_hash(after)
    (found,) = faults(pinned)
    assert "mine.py has changed: the recipe wants the file with sha256 " in found
    with pytest.raises(RecipeError, match="is not code that is loaded already"):
        recipe_from_dict(recipe_to_dict(before), same_code_as=after)


def test_same_code_runs_nothing_new(code: Path, marker: Path) -> None:
    with pytest.raises(RecipeError, match="is not code that is loaded already"):
        load_recipe(recipe_file(code), same_code_as=recipe_from_dict(minimal()))
    assert not marker.exists()


def test_two_files_of_one_name_are_refused(code: Path) -> None:
    write(code.parent / "other" / "mine.py", code.read_text() + "\n")
    other = 'compare.methods.other={name = "other/mine.py:MineSettings"}'
    (found,) = faults(recipe_file(code), other)
    assert found == "code comes from two different files named mine.py; rename one of them"


def test_its_numbers_can_be_tuned(code: Path) -> None:
    recipe = load_recipe(recipe_file(code), trust_code=True)
    tuned: Any = with_candidate(recipe.method, "weight", 3.0)
    assert (tuned.weight, tuned.name) == (3.0, "mine.py:MineSettings")
    method: Any = recipe.method
    assert with_candidate(method, "layers", 3.0) == replace(method, layers=3)
    for parameter, told in (
        ("layers", "layers is a whole number, got 2.5"),
        ("deep", "deep is true or false"),
        ("sha256", "has no setting 'sha256' to tune; it has: weight, stages, deep, layers"),
    ):
        with pytest.raises(ValueError, match=told):
            with_candidate(recipe.method, parameter, 2.5)


def test_a_subclass_of_our_settings_serves_too(tmp_path: Path) -> None:
    text = "from dataclasses import dataclass\nfrom decant import DKDSettings\n"
    text += "@dataclass(frozen=True)\nclass Gentle(DKDSettings):\n    beta: float = 0.5\n"
    path = recipe_file(write(tmp_path / "gentle.py", text), "alpha = 2.0", name="gentle.py:Gentle")
    recipe: Recipe = load_recipe(path, trust_code=True)
    assert recipe.method.build(digits_context()).weights(30.0) == {"hard": 1.0, "tckd": 2.0, "nckd": 0.5}
    assert faults(path, "method.warmup=-1") == ("method: warmup is a number of epochs of at least 0, got -1",)
