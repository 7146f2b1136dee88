import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decant.methods import ComposedSettings, DKDSettings, ReviewKDSettings, SupervisedSettings
from decant.recipe import (
    Cosine,
    MultiStep,
    Recipe,
    RecipeError,
    find_recipe,
    load_recipe,
    recipe_from_dict,
    recipe_hash,
    recipe_to_dict,
)
from recipe.files import COMPOSED, DISTILLED, STUDENT, distilled, minimal, write


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "teacher.toml", STUDENT.replace("resnet8x4", "resnet32x4"))
    return write(tmp_path / "recipe.toml", DISTILLED)


def test_a_file_becomes_dataclasses_with_every_default(file: Path) -> None:
    recipe = load_recipe(file)
    assert recipe.method == DKDSettings(beta=4.0)
    assert recipe.train.schedule == Cosine(warmup=5.0)
    assert (recipe.train.epochs, recipe.seed, recipe.judged_on, recipe.task) == (240, 0, "test", "classification")
    assert recipe.teacher is not None
    assert recipe.teacher.network == "resnet32x4"
    taught = recipe.teacher.recipe
    assert taught is not None
    assert (taught.method, taught.train.schedule, taught.teacher) == (SupervisedSettings(), MultiStep(), None)


def test_the_protocol_is_the_default() -> None:
    train = recipe_to_dict(recipe_from_dict(minimal()))["train"]
    assert (train["epochs"], train["batch_size"], train["learning_rate"], train["momentum"]) == (240, 64, 0.05, 0.9)
    assert (train["weight_decay"], train["nesterov"], train["precision"]) == (5e-4, False, "fp32")
    assert train["schedule"] == {"name": "multistep", "milestones": [150, 180, 210], "factor": 0.1, "warmup": 0.0}


def test_overrides_pass_through_the_same_door(file: Path) -> None:
    changes = [
        "method.beta=2",
        "train.epochs = 3",
        "student.name=vgg8",
        'data.name="cifar100"',
        "train.schedule={name = 'multistep', milestones = [1, 2]}",
        "teacher.recipe.seed=9",
    ]
    recipe = load_recipe(file, changes)
    assert recipe.method == DKDSettings(beta=2.0)
    assert (recipe.train.epochs, recipe.student.name) == (3, "vgg8")
    assert recipe.train.schedule == MultiStep(milestones=(1, 2))
    assert recipe.teacher is not None
    assert recipe.teacher.recipe is not None
    assert (recipe.seed, recipe.teacher.recipe.seed) == (0, 9)


def test_a_list_of_methods_is_composed_however_it_is_written(file: Path) -> None:
    beside = file.parent / "several.toml"
    head, _, train = DISTILLED.partition("[method]")
    train = "[train]" + train.partition("[train]")[2]
    expected = ComposedSettings((DKDSettings(beta=4.0), ReviewKDSettings(weight=2.0)))
    tables = "[[method]]\nname = 'dkd'\nbeta = 4.0\n[[method]]\nname = 'reviewkd'\nweight = 2.0\n"
    inline = "method = [{ name = 'dkd', beta = 4.0 }, { name = 'reviewkd', weight = 2.0 }]\n"
    for text in (head + tables + train, inline + head + train):
        recipe = load_recipe(write(beside, text))
        assert recipe.method == expected
        assert recipe_to_dict(recipe)["method"][0] == {"name": "dkd", **vars(DKDSettings(beta=4.0))}
        changed = load_recipe(beside, ["method.0.beta=2", "method.1={name='at'}", "method.1.power=3"]).method
        assert isinstance(changed, ComposedSettings)
        assert (changed.name, vars(changed.parts[0])["beta"], vars(changed.parts[1])["power"]) == ("dkd+at", 2.0, 3.0)
        for wrong in ("method.beta=2", "method.2.beta=2", "method.dkd.beta=2"):
            with pytest.raises(RecipeError, match=r"several, by position: method\.0 is dkd, method\.1 is reviewkd"):
                load_recipe(beside, [wrong])
        assert load_recipe(beside, ["method={name='dkd', beta=4.0}"]) == load_recipe(file)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("method.betta=2", "method.betta: no such setting; did you mean 'beta'?"),
        ("method.beta=true", "method.beta: input should be a valid number, got True"),
        ("method.beta='2'", "method.beta: input should be a valid number, got '2'"),
        ("train.epochs=two", "train.epochs: input should be a valid integer, got 'two'"),
        ("method.beta", "expected key=value, such as method.beta=4.0, got 'method.beta'"),
        ("method..beta=2", "expected key=value"),
        ("=2", "expected key=value"),
    ],
)
def test_overrides_are_as_strict_as_files(file: Path, change: str, fault: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(file, [change])
    assert caught.value.faults[0].startswith(fault)


def test_a_teacher_s_recipe_is_found_beside_the_file_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "teachers" / "big.toml", STUDENT.replace("resnet8x4", "vgg13"))
    text = DISTILLED.replace("teacher.toml", "../teachers/big.toml")
    recipe = load_recipe(write(tmp_path / "dkd" / "small.toml", text))
    assert recipe.teacher is not None
    assert recipe.teacher.network == "vgg13"


def test_a_teacher_may_have_been_taught(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "teacher.toml", DISTILLED.replace("teacher.toml", "first.toml"))
    write(tmp_path / "deep" / "first.toml", STUDENT.replace("resnet8x4", "vgg19"))
    recipe = load_recipe(write(tmp_path / "recipe.toml", DISTILLED.replace("teacher.toml", "deep/teacher.toml")))
    assert recipe.teacher is not None
    assert recipe.teacher.recipe is not None
    assert recipe.teacher.recipe.teacher is not None
    assert recipe.teacher.recipe.teacher.network == "vgg19"


def test_an_override_may_name_another_teacher(file: Path) -> None:
    write(file.parent / "other.toml", STUDENT.replace("resnet8x4", "vgg13"))
    recipe = load_recipe(file, ["teacher.recipe=other.toml"])
    assert recipe.teacher is not None
    assert recipe.teacher.network == "vgg13"


def test_a_path_in_an_override_is_where_its_author_stands(file: Path, tmp_path: Path) -> None:
    write(tmp_path / "mine" / "other.toml", STUDENT.replace("resnet8x4", "vgg13"))
    recipe = load_recipe(file, ["teacher.recipe=other.toml"], overrides_beside=tmp_path / "mine")
    assert recipe.teacher is not None
    assert recipe.teacher.network == "vgg13"
    whole = "teacher={name='vgg13', weights='other.pth'}"
    weights = load_recipe(file, [whole], overrides_beside=tmp_path / "mine").teacher
    assert weights is not None
    assert weights.weights == str((tmp_path / "mine" / "other.pth").resolve())
    # what the file itself names stays beside the file
    assert load_recipe(file, ["seed=3"], overrides_beside=tmp_path / "mine").teacher == load_recipe(file).teacher


def test_teachers_in_a_circle_are_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a.toml", DISTILLED.replace("teacher.toml", "b.toml"))
    write(tmp_path / "b.toml", DISTILLED.replace("teacher.toml", "a.toml"))
    with pytest.raises(RecipeError, match=r"comes back to itself: .*a\.toml -> .*b\.toml -> .*a\.toml"):
        load_recipe(a)
    itself = write(tmp_path / "c.toml", DISTILLED.replace("teacher.toml", "./c.toml"))
    with pytest.raises(RecipeError, match="comes back to itself"):
        load_recipe(itself)


def test_faults_of_a_teacher_s_recipe_are_told_with_their_place(file: Path) -> None:
    write(file.parent / "teacher.toml", STUDENT + "[train]\nepoch = 3\n")
    with pytest.raises(RecipeError, match=r"teacher\.recipe\.train\.epoch: no such setting; did you mean 'epochs'"):
        load_recipe(file)


def test_weights_are_found_beside_the_file_that_names_them(tmp_path: Path) -> None:
    text = DISTILLED.replace('recipe = "teacher.toml"', 'name = "vgg13"\nweights = "trained.pth"')
    recipe = load_recipe(write(tmp_path / "here" / "recipe.toml", text))
    assert recipe.teacher is not None
    assert recipe.teacher.weights == str((tmp_path / "here" / "trained.pth").resolve())


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("none.toml", None, "cannot be read: No such file or directory"),
        ("bad.toml", b"[student\nname = 3", "is not TOML: "),
        ("bad.json", b"{", "is not JSON: "),
        ("list.json", b"[1]", "expected a table of settings, got list"),
        ("latin.toml", "# \u00e9".encode("latin-1"), "is not UTF-8 text: "),
        ("date.toml", STUDENT.encode() + b"[train]\nepochs = 2024-01-01", "a value that a recipe cannot hold"),
    ],
)
def test_a_file_that_is_no_recipe_is_a_fault_and_no_traceback(
    tmp_path: Path, name: str, content: bytes | None, fault: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert name in str(caught.value)
    assert caught.value.faults[0].startswith(fault)


def test_a_teacher_s_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"teacher\.toml: 1 fault .*\n.*cannot be read"):
        load_recipe(write(tmp_path / "recipe.toml", DISTILLED))


def test_the_json_of_a_recipe_is_that_recipe(file: Path) -> None:
    recipe = load_recipe(file)
    written = write(file.parent / "recipe.json", json.dumps(recipe_to_dict(recipe)))
    assert load_recipe(written) == recipe
    assert recipe_hash(load_recipe(written)) == recipe_hash(recipe)


positive = st.floats(min_value=1e-6, max_value=1e6)
share = st.floats(min_value=0, max_value=0.99)
schedules = st.one_of(
    st.fixed_dictionaries({"name": st.just("onecycle")}, optional={"rise": share, "start": share}),
    st.fixed_dictionaries({"name": st.just("cosine")}, optional={"warmup": share, "final": share}),
    st.fixed_dictionaries(
        {"name": st.just("multistep")},
        optional={"milestones": st.sets(st.integers(1, 300), max_size=4).map(sorted), "factor": positive},
    ),
)
methods = st.one_of(
    st.just({"name": "supervised"}),
    st.fixed_dictionaries({"name": st.just("kd")}, optional={"weight": positive, "temperature": positive}),
    st.fixed_dictionaries({"name": st.just("dkd")}, optional={"beta": positive, "warmup": st.integers(0, 50)}),
)
composed = st.lists(
    st.sampled_from(["dkd", "at", "sp", "reviewkd", "rkd"]).map(lambda name: {"name": name, "task_weight": 0.5}),
    min_size=2,
    unique_by=lambda method: method["name"],
)
trains = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 1000),
        "learning_rate": positive,
        "ema": st.none() | st.floats(min_value=0.01, max_value=0.99),
        "schedule": schedules,
        "precision": st.sampled_from(["fp32", "bf16", "fp16"]),
    },
)
recipes = st.builds(
    lambda method, train, teacher_train, seed, named: distilled(
        method=method,
        train=train,
        seed=seed,
        teacher={"recipe": minimal(train=teacher_train)},
        compare={"methods": named},
    ),
    methods | composed,
    trains,
    trains,
    st.integers(0, 2**62),
    st.dictionaries(st.text(max_size=8), methods | composed, max_size=2),
)


@given(recipes)
def test_any_recipe_comes_back_from_json_as_it_was(values: dict[str, object]) -> None:
    recipe = recipe_from_dict(values)
    text = json.dumps(recipe_to_dict(recipe))
    back = recipe_from_dict(json.loads(text))
    assert back == recipe
    assert recipe_hash(back) == recipe_hash(recipe)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_nonsense_is_a_fault_and_never_an_accident(value: object) -> None:
    with pytest.raises(RecipeError):
        recipe_from_dict({"student": value, "data": {"name": "digits"}, "method": value})


def variants() -> dict[str, Recipe]:
    tables: dict[str, dict[str, object]] = {
        "base": {},
        "seed": {"seed": 1},
        "student": {"student": {"name": "vgg8"}},
        "data": {"data": {"name": "cifar100", "padding": 2}},
        "method": {"method": {"name": "dkd", "beta": 5.0}},
        "methods": {"method": COMPOSED},
        "methods in another order": {"method": COMPOSED[::-1]},
        "train": {"train": {"epochs": 241}},
        "schedule": {"train": {"schedule": {"name": "cosine"}}},
        "teacher": {"teacher": {"recipe": minimal(seed=4)}},
    }
    return {name: recipe_from_dict(distilled(**change)) for name, change in tables.items()}


def test_the_hash_tells_apart_what_trains_another_network() -> None:
    hashes = {name: recipe_hash(recipe) for name, recipe in variants().items()}
    assert len(set(hashes.values())) == len(hashes)


def test_the_hash_passes_over_what_a_comparison_would_run() -> None:
    plain, with_comparison = distilled(), distilled(compare={"tuning_seeds": 4})
    assert recipe_from_dict(plain) != recipe_from_dict(with_comparison)
    assert recipe_hash(recipe_from_dict(plain)) == recipe_hash(recipe_from_dict(with_comparison))


def test_a_recipe_is_found_by_its_path_its_name_and_its_run(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)  # away from the checkout, as an installed user is
    assert find_recipe(str(file)) == file
    assert find_recipe("demo").name == "demo.toml"
    assert find_recipe("recipes/demo.toml") == find_recipe("demo")
    with pytest.raises(RecipeError, match=r"no shipped recipe of that name; nearest: .*demo"):
        find_recipe("demmo")
    with pytest.raises(RecipeError, match="`decant list recipes` shows them"):
        find_recipe("\u2603")
    run = file.parent / "run"
    written = write(run / "recipe.json", json.dumps(recipe_to_dict(load_recipe(file))))
    assert find_recipe(str(run)) == written
