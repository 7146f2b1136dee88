import math

import pytest
import torch
from torch import nn

from decant.methods.adapters import AttentionFusion, Embedding, connector, hint_regressor, mean_regressor


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ((8, 8, 8), (16, 8, 8)),
        ((8, 16, 16), (16, 8, 8)),
        ((8, 8, 8), (4, 16, 16)),
        ((8, 4, 4), (4, 16, 16)),
        ((8, 3, 3), (4, 9, 9)),
        ((8, 9, 7), (4, 4, 4)),
        ((8, 2, 4), (4, 4, 4)),
        ((8, 1, 1), (4, 7, 7)),
    ],
)
def test_a_hint_gets_the_teachers_shape(student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    told = hint_regressor(student, teacher)(torch.randn(2, *student))
    assert told.shape == (2, *teacher)
    assert told.min() == 0, "a ReLU comes last"


def test_a_hint_of_half_the_size_takes_a_strided_convolution() -> None:
    halving, doubling, same = (hint_regressor((8, size, size), (4, 8, 8))[0] for size in (16, 4, 8))
    assert isinstance(halving, nn.Conv2d)
    assert (halving.kernel_size, halving.stride) == ((3, 3), (2, 2))
    assert isinstance(doubling, nn.ConvTranspose2d)
    assert (doubling.kernel_size, doubling.stride) == ((4, 4), (2, 2))
    assert isinstance(same, nn.Conv2d)
    assert same.kernel_size == (1, 1)


@pytest.mark.parametrize("student", [(8, 3, 3), (8, 4, 16)])
def test_a_hint_that_no_convolution_gives_is_refused(student: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=f"student's map of {student[1]}x{student[2]} to the teacher's 8x8: it must be"
    ):
        hint_regressor(student, (4, 8, 8))


def test_a_connector_keeps_negative_values_and_the_scale() -> None:
    torch.manual_seed(0)
    bridge = connector(64, 256)
    assert bridge(torch.randn(4, 64, 5, 5)).min() < 0
    weight = next(bridge.parameters())
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 256), rel=0.02)


def test_a_prediction_looks_at_one_position_at_a_time() -> None:
    bridge, maps = mean_regressor(3, 5), torch.randn(2, 3, 4, 4)
    alone = bridge(maps[:, :, 1:2, 2:3])
    torch.testing.assert_close(bridge(maps)[:, :, 1:2, 2:3], alone)
    assert sum(isinstance(layer, nn.ReLU) for layer in bridge) == 2


@pytest.mark.parametrize(("dtype", "result"), [(torch.float64, torch.float64), (torch.bfloat16, torch.float32)])
def test_an_embedding_lies_on_the_sphere(dtype: torch.dtype, result: torch.dtype) -> None:
    embedded = Embedding(7, 4).to(dtype)(torch.randn(3, 7, dtype=dtype))
    assert embedded.dtype == result
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3, dtype=result))


def test_a_fusion_weighs_what_is_there_against_what_came_before() -> None:
    torch.manual_seed(0)
    fusion = AttentionFusion(3, 4, 5, (8, 8), deepest=False).eval()
    stage, deeper = torch.randn(2, 3, 4, 4), torch.randn(2, 4, 2, 2)
    feature, passed = fusion(stage, deeper)
    assert (feature.shape, passed.shape) == ((2, 5, 8, 8), (2, 4, 8, 8))
    assert fusion.attention is not None
    own = fusion.enter(stage)
    repeated = deeper.repeat_interleave(2, 2).repeat_interleave(2, 3)
    share = fusion.attention(torch.cat([own, repeated], dim=1))
    joined = own * share[:, :1] + repeated * share[:, 1:]
    torch.testing.assert_close(passed, joined.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(feature, fusion.leave(passed))


def test_the_deepest_fusion_has_nothing_to_weigh() -> None:
    fusion = AttentionFusion(3, 4, 5, (1, 1), deepest=True).eval()
    feature, passed = fusion(torch.randn(2, 3, 1, 1))
    assert fusion.attention is None
    assert (feature.shape, passed.shape) == ((2, 5, 1, 1), (2, 4, 1, 1))
