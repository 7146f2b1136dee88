"""Methods that compare maps, between networks of maps and networks of tokens."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decant import Distiller
from decant.engine.shapes import dry_shapes
from decant.interfaces import Batch, BuildContext, MethodSettings, Outputs, TokenGrid
from decant.methods import METHODS, SimKDSettings
from decant.methods.feature_method import FeatureMethod
from decant.models import build_network, create
from methods.building import CLASSES, context

ON_MAPS = ("fitnet", "at", "nst", "kdsvd", "vid", "reviewkd")
PAIRS = [*((name, student) for name in ON_MAPS for student in ("vit", "cnn")), ("ofd", "vit")]
"""With the kind of the student; ofd reads its margins from a teacher's BatchNorms, so that is no ViT."""
CNN_TAPS = {name: path for name, path in create("resnet8").taps.items() if name.startswith("stage") or name == "pooled"}
VIT_TAPS = {
    **{f"stage{number}": f"blocks.{number - 1}" for number in (1, 2, 3)},
    **{f"stage{number}.pre": f"blocks.{number - 1}" for number in (1, 2, 3)},
    "pooled": "fc_norm",
}
IMAGES = torch.linspace(-1, 1, 4 * 3 * 32 * 32).sin().reshape(4, 3, 32, 32)
TARGET = torch.arange(4)


class Folded(nn.Module):
    """Tokens behind a class token as a map, by hand."""

    def forward(self, tokens: Tensor) -> Tensor:
        count, _, width = tokens.shape
        return tokens[:, 1:].permute(0, 2, 1).reshape(count, width, 4, 4)


class Behind(nn.Module):
    """A ViT beside whose blocks hand-made maps can be tapped."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.maps = nn.ModuleList(Folded() for _ in range(3))

    def forward(self, images: Tensor) -> Tensor:
        caught: list[Tensor] = []
        hooks = [
            self.network.get_submodule(f"blocks.{number}").register_forward_hook(
                lambda module, args, output: caught.append(output)
            )
            for number in range(3)
        ]
        logits: Tensor = self.network(images)
        for hook in hooks:
            hook.remove()
        for tokens, made in zip(caught, self.maps, strict=True):
            made(tokens)
        return logits


BEHIND_TAPS = {
    **{f"stage{number}": f"maps.{number - 1}" for number in (1, 2, 3)},
    **{f"stage{number}.pre": f"maps.{number - 1}" for number in (1, 2, 3)},
    "pooled": "network.fc_norm",
}


def vit(name: str = "vit_tiny_patch16_224", **options: Any) -> nn.Module:
    pytest.importorskip("timm", reason="needs the extra [timm]")
    torch.manual_seed(0)
    made = {"img_size": 32, "patch_size": 8, "depth": 3, "embed_dim": 24, "num_heads": 2} | options
    return build_network(f"timm/{name}", classes=CLASSES, options=made)


def cnn() -> nn.Module:
    torch.manual_seed(1)
    return create("resnet8", num_classes=CLASSES)


def settings(name: str) -> MethodSettings:
    return METHODS[name](**({"warmup": 0} if name == "reviewkd" else {}))


def distiller(
    name: str, student: nn.Module, teacher: nn.Module, student_taps: dict[str, str], teacher_taps: dict[str, str]
) -> Distiller:
    torch.manual_seed(2)
    return Distiller(
        student, teacher, settings(name), student_taps=student_taps, teacher_taps=teacher_taps, example=IMAGES[:2]
    )


def pair(name: str, student: str) -> tuple[Distiller, Distiller]:
    """The method on tokens, and the same on maps made by hand."""
    if student == "vit":
        return (
            distiller(name, vit(), cnn(), VIT_TAPS, CNN_TAPS),
            distiller(name, Behind(vit()), cnn(), BEHIND_TAPS, CNN_TAPS),
        )
    return (
        distiller(name, cnn(), vit(), CNN_TAPS, VIT_TAPS),
        distiller(name, cnn(), Behind(vit()), CNN_TAPS, BEHIND_TAPS),
    )


@pytest.mark.parametrize(("name", "student"), PAIRS)
def test_tokens_and_maps_meet_as_if_the_maps_were_made_by_hand(name: str, student: str) -> None:
    given, by_hand = pair(name, student)
    outcome, expected = given(IMAGES, TARGET), by_hand(IMAGES, TARGET)
    assert outcome.loss.isfinite()
    assert outcome.terms[name] != 0
    assert torch.equal(outcome.terms[name], expected.terms[name])
    assert torch.equal(outcome.loss, expected.loss)


@pytest.mark.parametrize(("name", "student"), PAIRS)
def test_a_step_reaches_what_is_tapped(name: str, student: str) -> None:
    given, _ = pair(name, student)
    given.method._weights = (0.0, 1.0)  # type: ignore[assignment]  # the comparison alone, whatever the settings take
    optimiser = torch.optim.SGD(given.parameters(), lr=1e-4)
    given(IMAGES, TARGET).loss.backward()
    layer = given.student.get_submodule({"vit": "blocks.0.mlp.fc2", "cnn": "layer1.0.conv2"}[student])
    weight = layer.weight
    assert isinstance(weight, Tensor)
    assert weight.grad is not None
    assert weight.grad.isfinite().all()
    assert weight.grad.abs().max() > 0
    before = weight.detach().clone()
    optimiser.step()
    assert not torch.equal(weight, before)


def test_the_class_token_takes_no_part() -> None:
    given, _ = pair("fitnet", "cnn")
    method = given.method
    generator = torch.Generator().manual_seed(3)
    shape = dry_shapes(cnn(), IMAGES[:2], CNN_TAPS).taps["stage2"]
    own, tokens = (torch.randn(4, *each, generator=generator) for each in (shape, (17, 24)))

    def term(tokens: Tensor) -> Tensor:
        logits = torch.zeros(4, CLASSES)
        said: Tensor = method(
            Outputs(logits, {"stage2": own}), Outputs(logits, {"stage2": tokens}), Batch((IMAGES,), TARGET, TARGET)
        )["fitnet"]
        return said

    first, last = tokens.clone(), tokens.clone()
    first[:, 0] += 1
    last[:, -1] += 1
    assert torch.equal(term(first), term(tokens))
    assert not torch.equal(term(last), term(tokens))


def test_methods_on_vectors_and_on_similarities_see_tokens_as_they_are() -> None:
    torch.manual_seed(2)
    student, teacher = cnn(), vit()
    made = Distiller(student, teacher, "sp", student_taps=CNN_TAPS, teacher_taps=VIT_TAPS, example=IMAGES[:2])
    seen: list[tuple[int, ...]] = []
    assert isinstance(made.method, FeatureMethod)
    compare = made.method.compare

    def watched(student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        seen.append(tuple(teacher.taps["stage3"].shape))
        said: Tensor = compare(student, teacher, batch)
        return said

    made.method.compare = watched  # type: ignore[method-assign]  # an instance's own, to see what comes
    made(IMAGES, TARGET)
    assert seen == [(4, 17, 24)]


def test_methods_of_both_kinds_share_a_tap() -> None:
    both, alone = (
        Distiller(cnn(), vit(), method, student_taps=CNN_TAPS, teacher_taps=VIT_TAPS, example=IMAGES[:2])
        for method in (["sp", "at"], "sp")
    )
    terms = both(IMAGES, TARGET).terms
    assert torch.equal(terms["sp"], alone(IMAGES, TARGET).terms["sp"])
    assert terms["at"] > 0


def test_state_and_files_know_nothing_of_it() -> None:
    given, _ = pair("at", "vit")
    assert list(given.student.state_dict()) == list(vit().state_dict())
    assert all(key.startswith("_student.network.") for key in given.state_dict())


def test_images_that_are_not_square_and_registers() -> None:
    network = vit(img_size=(16, 32), reg_tokens=4)
    shapes = dry_shapes(network, torch.zeros(2, 3, 16, 32), VIT_TAPS)
    assert shapes.taps["stage1"] == (13, 24)
    assert shapes.grids["stage1"] == TokenGrid(5, 2, 4)
    assert "pooled" not in shapes.grids


@pytest.mark.parametrize("name", ON_MAPS)
def test_tokens_that_are_no_grid_are_refused_before_the_first_step(name: str) -> None:
    made = context(cnn(), cnn(), IMAGES[:2])
    assert made.teacher_shapes is not None
    taps = {**made.teacher_shapes.taps, "stage2": (26, 24), "stage2.pre": (26, 24)}
    made = replace(made, teacher_shapes=replace(made.teacher_shapes, taps=taps))
    told = r"attribute num_prefix_tokens of the teacher, or name a module that gives maps"
    with pytest.raises(ValueError, match=rf"{name} needs maps .* the teacher's 'stage2(.pre)?' is \(26, 24\).*{told}"):
        settings(name).build(made)


def test_what_reads_the_last_map_inside_the_network_still_wants_a_map() -> None:
    student, teacher = cnn(), vit()
    taps = ({"map": "layer3"}, {"map": "blocks.2"})
    made = BuildContext(
        student,
        teacher,
        dry_shapes(student, IMAGES[:2], taps[0]),
        dry_shapes(teacher, IMAGES[:2], taps[1]),
        student_taps=taps[0],
        teacher_taps=taps[1],
    )
    with pytest.raises(ValueError, match=r"simkd needs maps \(C, H, W\), but the teacher's 'map' is \(17, 24\)$"):
        SimKDSettings().build(made)


def test_images_of_another_size_than_the_example_are_refused() -> None:
    given = distiller("fitnet", cnn(), vit(dynamic_img_size=True), CNN_TAPS, VIT_TAPS)
    with pytest.raises(ValueError, match=r"'stage2' must be tokens \(N, 1 \+ 4 x 4, D\).*got shape \(2, 65, 24\)"):
        given(torch.zeros(2, 3, 64, 64), TARGET[:2])


@torch.no_grad()
def test_a_compiled_step_does_the_same() -> None:
    given, _ = pair("at", "cnn")
    expected = given(IMAGES, TARGET).terms["at"]
    given.compile(backend="eager", fullgraph=True)
    torch.testing.assert_close(given(IMAGES, TARGET).terms["at"], expected)


def test_two_tokens_of_timm() -> None:
    network = vit("deit_tiny_distilled_patch16_224")
    assert dry_shapes(network, IMAGES[:2], {"stage3": "blocks.2"}).grids["stage3"] == TokenGrid(2, 4, 4)


@pytest.mark.parametrize(("kind", "prefix"), [("vit", 1), ("dinov2_with_registers", 5)])
def test_transformers_that_do_not_say_how_many(kind: str, prefix: int) -> None:
    pytest.importorskip("transformers", reason="needs the extra [hf]")
    options: dict[str, Any] = {"image_size": 32, "patch_size": 8, "hidden_size": 16}
    network = build_network(
        f"hf/{kind}", classes=3, options=options | {"num_hidden_layers": 1, "num_attention_heads": 2}
    )
    (path,) = (path for path, _ in network.named_modules() if path.endswith(("layer.0", "layers.0")))
    assert dry_shapes(network, IMAGES[:2], {"stage1": path}).grids["stage1"] == TokenGrid(prefix, 4, 4)


def test_fitnet_is_built_for_the_shape_of_the_map() -> None:
    given, _ = pair("fitnet", "vit")
    bridge = given.method.get_submodule("regressor.0")
    assert isinstance(bridge, nn.ConvTranspose2d)  # from 4 x 4 to 16 x 16
    assert bridge.in_channels == 24
