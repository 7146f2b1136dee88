"""Methods on features: what they take from the context, their terms, and what they refuse."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decant import losses
from decant.interfaces import Batch, BuildContext, Method, Outputs, Shapes
from decant.methods import METHODS, OFD, VID, CRDSettings, FitNet, FitNetSettings, ReviewKD, ReviewKDSettings
from decant.models import create
from methods.building import CLASSES, FEATURE_METHODS, context, digits_context, said, settings_of

RELATIONAL = {"pkt", "rkd", "sp", "crd"}
STAGES = ("stage1", "stage2")
BEFORE = ("stage1.pre", "stage2.pre")
TAPS = {
    "fitnet": ("stage2",),
    "sp": ("stage2",),
    "ofd": BEFORE,
    "reviewkd": (*STAGES, *BEFORE, "pooled"),
    **dict.fromkeys(("at", "nst", "kdsvd", "vid"), STAGES),
    **dict.fromkeys(("pkt", "rkd", "crd", "nd"), ("pooled",)),
}
SAMPLES = 12


def outputs(shapes: Shapes, method: Method, seed: int) -> Outputs:
    generator = torch.Generator().manual_seed(seed)

    def drawn(shape: tuple[int, ...]) -> Tensor:
        return torch.randn((SAMPLES, *shape), generator=generator)

    return Outputs(drawn(shapes.logits), {tap: drawn(shapes.taps[tap]) for tap in method.taps})


def built(name: str, **values: Any) -> tuple[Method, Outputs, Outputs]:
    """A method of the small networks, and made-up outputs of both."""
    made = digits_context()
    method = settings_of(name, **values).build(made)
    assert made.student_shapes is not None
    assert made.teacher_shapes is not None
    teacher = outputs(made.teacher_shapes, method, 2)
    method.prepare(said(teacher, TARGET))
    return method, outputs(made.student_shapes, method, 1), teacher


def batch(target: Tensor | None) -> Batch:
    return Batch((torch.zeros(SAMPLES, 1, 8, 8),), target, torch.arange(SAMPLES))


TARGET = torch.arange(SAMPLES) % CLASSES


@pytest.mark.parametrize("name", FEATURE_METHODS)
def test_every_term_has_a_weight_and_every_weight_a_term(name: str) -> None:
    method, student, teacher = built(name)
    terms = method(student, teacher, batch(TARGET))
    assert terms.keys() == method.weights(0.0).keys() == method.weights(300.0).keys() == {"hard", name}
    torch.testing.assert_close(terms["hard"], F.cross_entropy(student.logits, TARGET))
    assert terms[name].isfinite()
    assert terms[name].ndim == 0
    assert (method.task, method.views, method.needs_teacher) == ("hard", 1, True)


@pytest.mark.parametrize("name", FEATURE_METHODS)
def test_the_features_it_asks_for_and_whether_it_needs_the_whole_batch(name: str) -> None:
    method, _, _ = built(name)
    assert method.taps == TAPS[name]
    assert method.gather == (name in RELATIONAL)


@pytest.mark.parametrize("name", FEATURE_METHODS)
def test_labels_are_needed_by_the_task_term_alone(name: str) -> None:
    method, student, teacher = built(name)
    with pytest.raises(ValueError, match="needs labels, but the batch has none"):
        method(student, teacher, batch(None))
    method, student, teacher = built(name, task_weight=0.0)
    assert method(student, teacher, batch(None))["hard"] == 0


def test_the_terms_are_the_losses_on_these_features() -> None:
    def term(name: str, **values: Any) -> tuple[Tensor, Outputs, Outputs]:
        method, student, teacher = built(name, **values)
        return method(student, teacher, batch(TARGET))[name], student, teacher

    def of(outputs: Outputs) -> list[Tensor]:
        return [outputs.taps[tap] for tap in STAGES]

    value, s, t = term("at", power=3.0)
    torch.testing.assert_close(value, losses.at_loss(of(s), of(t), power=3.0))
    value, s, t = term("nst")
    torch.testing.assert_close(value, losses.nst_loss(of(s), of(t)))
    value, s, t = term("kdsvd", k=2)
    torch.testing.assert_close(value, losses.kdsvd_loss(of(s), of(t), k=2))
    value, s, t = term("sp")
    torch.testing.assert_close(value, losses.sp_loss(s.taps["stage2"], t.taps["stage2"]))
    value, s, t = term("pkt")
    torch.testing.assert_close(value, losses.pkt_loss(s.taps["pooled"], t.taps["pooled"]))
    value, s, t = term("rkd", distance_weight=2.0, angle_weight=3.0)
    torch.testing.assert_close(value, losses.rkd_loss(s.taps["pooled"], t.taps["pooled"], 2.0, 3.0))


def test_a_hint_is_compared_after_its_regressor() -> None:
    method, student, teacher = built("fitnet", stage=1)
    assert isinstance(method, FitNet)
    told = method.eval().regressor(student.taps["stage1"])
    expected = (told - teacher.taps["stage1"]).square().mean()
    torch.testing.assert_close(method(student, teacher, batch(TARGET))["fitnet"], expected)


def test_a_stage_weighs_half_as_much_as_the_one_after_it() -> None:
    method, student, teacher = built("ofd")
    assert isinstance(method, OFD)
    (before, first), (last, second) = (
        (tap, losses.ofd_loss(bridge(student.taps[tap]), teacher.taps[tap], method.get_buffer(f"margin{stage}")))
        for stage, (tap, bridge) in enumerate(zip(BEFORE, method.connectors, strict=True))
    )
    assert (before, last) == BEFORE
    torch.testing.assert_close(method(student, teacher, batch(TARGET))["ofd"], first / 2 + second)


def test_a_review_goes_from_the_deepest_feature_to_the_first_stage() -> None:
    method, student, teacher = built("reviewkd")
    assert isinstance(method, ReviewKD)
    stage1, stage2, pooled = method.fusions
    deep, passed = pooled(student.taps["pooled"][:, :, None, None])
    middle, passed = stage2(student.taps["stage2"], passed)
    shallow, _ = stage1(student.taps["stage1"], passed)
    goals = [teacher.taps[tap] for tap in BEFORE]
    expected = losses.hcl_loss([shallow, middle, deep], [*goals, teacher.taps["pooled"][:, :, None, None]])
    torch.testing.assert_close(method(student, teacher, batch(TARGET))["reviewkd"], expected)


def test_variances_start_where_they_should_and_are_learned() -> None:
    method, student, teacher = built("vid", initial_variance=2.0, eps=0.1)
    assert isinstance(method, VID)
    for scale in method.log_scales:
        torch.testing.assert_close(F.softplus(scale) + 0.1, torch.full_like(scale, 2.0))
    method(student, teacher, batch(TARGET))["vid"].backward()
    assert all(scale.grad is not None and scale.grad.abs().sum() > 0 for scale in method.log_scales)
    enormous, _, _ = built("vid", initial_variance=1e6)
    assert all(parameter.isfinite().all() for parameter in enormous.parameters())


def test_the_warm_up_is_that_of_the_protocol() -> None:
    method, _, _ = built("reviewkd")
    assert [method.weights(epoch)["reviewkd"] for epoch in (0.0, 9.5, 19.0, 200.0)] == [0.25, 2.5, 5.0, 5.0]
    assert {method.weights(epoch)["hard"] for epoch in (0.0, 200.0)} == {1.0}
    without = ReviewKDSettings(warmup=0).build(digits_context())
    assert without.weights(0.0) == without.weights(100.0)


def test_what_comes_from_the_data_again_is_not_saved() -> None:
    for name, saved in (("ofd", set()), ("crd", {"student_memory", "teacher_memory", "log_normalisers"})):
        method, _, _ = built(name)
        names = {key.rpartition(".")[2] for key, _ in method.named_buffers()}
        assert names & {"margin0", "counts"}
        statistics = {"running_mean", "running_var", "num_batches_tracked"}
        parameters = {key.rpartition(".")[2] for key, _ in method.named_parameters()}
        assert {key.rpartition(".")[2] for key in method.state_dict()} - statistics - parameters == saved


NEEDS_SHAPES = [name for name in FEATURE_METHODS if name not in ("pkt", "rkd")]


@pytest.mark.parametrize("name", NEEDS_SHAPES)
def test_shapes_are_asked_for_where_none_are_known(name: str) -> None:
    bare = replace(digits_context(), student_shapes=None, teacher_shapes=None)
    with pytest.raises(ValueError, match=f"{name} is built from the shapes .* give Distiller\\(..., example=images\\)"):
        METHODS[name]().build(bare)
    with pytest.raises(ValueError, match=f"{name} learns from a teacher, but there is none"):
        METHODS[name]().build(BuildContext(student=nn.Identity()))


ON_STAGES = [name for name in NEEDS_SHAPES if name not in ("fitnet", "crd", "nd")]


@pytest.mark.parametrize("name", ON_STAGES)
def test_stages_that_do_not_pair_are_named(name: str) -> None:
    student, teacher = (create(network, num_classes=CLASSES) for network in ("resnet8", "vgg8"))
    with pytest.raises(
        ValueError, match=r"student has stage1, stage2, stage3 and the teacher stage1, .* stage4; name as"
    ):
        METHODS[name]().build(context(student, teacher, torch.zeros(2, 3, 32, 32)))


def test_stages_are_paired_by_their_numbers() -> None:
    made = digits_context()
    shapes = Shapes((CLASSES,), {f"stage{number}": (8, 4, 4) for number in (10, 2, 1, 0)})
    method = METHODS["at"]().build(replace(made, student_shapes=shapes, teacher_shapes=shapes))
    assert method.taps == ("stage1", "stage2", "stage10")


def test_a_feature_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"fitnet needs the student's features \['stage3'\], but the student names \["):
        FitNetSettings(stage=3).build(digits_context())


def test_a_feature_of_another_kind_is_named() -> None:
    made = digits_context()
    assert made.student_shapes is not None
    tokens = replace(made.student_shapes, taps={**made.student_shapes.taps, "stage2": (17, 48), "pooled": (1, 2, 2)})
    with pytest.raises(ValueError, match=r"fitnet needs maps \(C, H, W\), but the student's 'stage2' is \(17, 48\)"):
        METHODS["fitnet"]().build(replace(made, student_shapes=tokens))
    with pytest.raises(ValueError, match=r"crd needs vectors \(D,\), but the student's 'pooled' is \(1, 2, 2\)"):
        METHODS["crd"]().build(replace(made, student_shapes=tokens))


def test_one_stage_has_no_next_one() -> None:
    made = digits_context()
    assert made.student_shapes is not None
    one = Shapes((CLASSES,), {"stage1": (8, 4, 4)})
    with pytest.raises(ValueError, match="kdsvd compares consecutive stages and needs at least 2, got stage1"):
        METHODS["kdsvd"]().build(replace(made, student_shapes=one, teacher_shapes=one))


def test_a_memory_needs_to_know_the_training_set() -> None:
    with pytest.raises(ValueError, match="crd remembers every training sample: give facts about the training set"):
        CRDSettings().build(replace(digits_context(), facts=None))


@pytest.mark.parametrize(("position", "target"), [(48, TARGET), (-1, TARGET), (0, (TARGET + 1) % CLASSES), (99, None)])
def test_samples_that_are_not_where_the_index_says_are_refused(position: int, target: Tensor | None) -> None:
    method, student, teacher = built("crd", task_weight=0.0)
    index = torch.arange(SAMPLES)
    index[3] = position
    with pytest.raises(
        ValueError, match=r"each sample's position in the training set that crd was built for; position"
    ):
        method(student, teacher, Batch((torch.zeros(SAMPLES, 1),), target, index))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("at", {"power": 0.5}, "power must be finite and at least 1, got 0.5"),
        ("crd", {"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ("crd", {"negatives": 0}, "negatives must be at least 1, got 0"),
        ("crd", {"temperature": 0.0}, "temperature must be a finite number above 0, got 0.0"),
        ("fitnet", {"stage": -1}, "stage must be at least 0, got -1"),
        ("kdsvd", {"k": 0}, "k must be at least 1, got 0"),
        ("reviewkd", {"warmup": -1}, "warmup is a number of epochs of at least 0, got -1"),
        ("rkd", {"angle_weight": -1.0}, "angle_weight must be a finite number of at least 0, got -1.0"),
        ("vid", {"eps": 0.0}, "eps must be a finite number above 0, got 0.0"),
        ("vid", {"initial_variance": 1e-6}, "initial_variance must be finite and above eps 1e-05, got 1e-06"),
    ],
)
def test_values_that_no_training_can_use_are_refused(name: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        METHODS[name](**values)


@pytest.mark.parametrize("name", FEATURE_METHODS)
def test_weights_are_finite_and_not_negative(name: str) -> None:
    for weight in ("weight", "task_weight"):
        with pytest.raises(ValueError, match=f"{weight} must be a finite number of at least 0, got -1.0"):
            METHODS[name](**{weight: -1.0})


@pytest.mark.parametrize(("name", "setting"), [("fitnet", "stage"), ("kdsvd", "k"), ("crd", "dimension")])
def test_counts_are_whole_numbers(name: str, setting: str) -> None:
    with pytest.raises(TypeError, match=f"{setting} must be a whole number, got 1.5"):
        METHODS[name](**{setting: 1.5})


PROTOCOL: dict[str, dict[str, float]] = {
    "fitnet": {"weight": 100.0, "stage": 2},
    "at": {"weight": 1000.0, "power": 2.0},
    "nst": {"weight": 50.0},
    "pkt": {"weight": 30000.0},
    "kdsvd": {"weight": 1.0, "k": 1},
    "ofd": {"weight": 1e-3},
    "rkd": {"weight": 1.0, "distance_weight": 25.0, "angle_weight": 50.0},
    "vid": {"weight": 1.0, "initial_variance": 5.0, "eps": 1e-5},
    "sp": {"weight": 3000.0},
    "crd": {"weight": 0.8, "dimension": 128, "negatives": 16384, "momentum": 0.5, "temperature": 0.07},
    "reviewkd": {"weight": 5.0, "warmup": 20},
    "nd": {"weight": 2.0},
}


@pytest.mark.parametrize("name", FEATURE_METHODS)
def test_the_defaults_are_those_of_the_published_protocol(name: str) -> None:
    assert vars(METHODS[name]()) == {"name": name, "task_weight": 1.0, **PROTOCOL[name]}
