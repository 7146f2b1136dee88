import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import feature_references as references
from decant.methods.contrast import Contrast

TARGETS = torch.tensor([2, 0, 0, 1, 2, 2, 2, 0])
SIZE, DIMENSION, TEMPERATURE = len(TARGETS), 4, 0.5
INDEX = torch.tensor([4, 1, 3])


def contrast(negatives: int = 5, momentum: float = 0.5) -> Contrast:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        made = Contrast(TARGETS, DIMENSION, negatives=negatives, momentum=momentum, temperature=TEMPERATURE)
        return made.double()


def features(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, len(INDEX), DIMENSION, generator=generator, dtype=torch.float64)
    return F.normalize(student, dim=1).requires_grad_(), F.normalize(teacher, dim=1).requires_grad_()


def by_loops(
    feature: Tensor, memory: Tensor, strangers: Tensor, normaliser: float | None = None
) -> tuple[Tensor, float]:
    """One direction by the paper's equations, and the normaliser it used."""
    rows = [[index, *others] for index, others in zip(INDEX.tolist(), strangers.tolist(), strict=True)]
    scores = [[(feature[n] @ memory[m] / TEMPERATURE).exp() for m in row] for n, row in enumerate(rows)]
    flat = [score.item() for row in scores for score in row]
    z = SIZE * sum(flat) / len(flat) if normaliser is None else normaliser
    logs = torch.stack([torch.stack([(score / z).log() for score in row]) for row in scores])
    return references.nce(logs[:, 0], logs[:, 1:], SIZE), z


def test_it_is_the_paper_in_both_directions_with_the_first_batchs_normalisers() -> None:
    module, (student, teacher) = contrast(), features(1)
    own, others = module.student_memory.clone(), module.teacher_memory.clone()
    strangers = module.draw(INDEX)
    first, z_first = by_loops(student, others, strangers)
    second, z_second = by_loops(teacher, own, strangers)
    value = module.against(student, teacher, INDEX, strangers)
    expected = torch.autograd.grad(first + second, [student, teacher])
    torch.testing.assert_close(value, first + second)
    torch.testing.assert_close(torch.autograd.grad(value, [student, teacher]), expected)

    student, teacher = features(5)
    own, others = module.student_memory.clone(), module.teacher_memory.clone()
    strangers = module.draw(INDEX)
    later = by_loops(student, others, strangers, z_first)[0] + by_loops(teacher, own, strangers, z_second)[0]
    torch.testing.assert_close(module.against(student, teacher, INDEX, strangers), later)


def test_a_memory_moves_toward_what_was_seen_and_stays_on_the_sphere() -> None:
    module, (student, teacher) = contrast(momentum=0.75), features(1)
    for memory, feature in (("student_memory", student), ("teacher_memory", teacher)):
        before = getattr(module, memory).clone()
        fresh = contrast(momentum=0.75)
        fresh(student, teacher, INDEX)
        after = getattr(fresh, memory)
        expected = F.normalize(0.75 * before[INDEX] + 0.25 * feature.detach(), dim=1)
        torch.testing.assert_close(after[INDEX], expected)
        untouched = torch.ones(SIZE, dtype=torch.bool)
        untouched[INDEX] = False
        assert torch.equal(after[untouched], before[untouched])


def test_evaluation_leaves_no_trace() -> None:
    module = contrast().eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    assert module(*features(1), INDEX).isfinite()
    for key, value in module.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0, equal_nan=True)


def test_strangers_are_all_samples_of_other_classes_equally_often() -> None:
    module = contrast(negatives=30_000)
    torch.manual_seed(0)
    drawn = module.draw(INDEX)
    assert drawn.shape == (3, 30_000)
    for row, index in zip(drawn, INDEX, strict=True):
        counts = row.bincount(minlength=SIZE)
        strange = TARGETS[index] != TARGETS
        assert (counts[~strange] == 0).all()
        share = 30_000 / int(strange.sum())
        assert (counts[strange] - share).abs().max() < 5 * math.sqrt(share)


def test_strangers_come_from_the_global_generator_and_differ_from_step_to_step() -> None:
    module = contrast(negatives=100)
    torch.manual_seed(3)
    first, second = module.draw(INDEX), module.draw(INDEX)
    torch.manual_seed(3)
    assert torch.equal(module.draw(INDEX), first)
    assert not torch.equal(first, second)


def test_a_contrast_goes_on_from_its_state() -> None:
    module = contrast()
    module(*features(1), INDEX)
    other = contrast()
    other.load_state_dict(module.state_dict())
    torch.manual_seed(0)
    expected = module(*features(2), INDEX)
    torch.manual_seed(0)
    assert torch.equal(other(*features(2), INDEX), expected)
    assert torch.equal(other.student_memory, module.student_memory)


def test_data_of_one_class_has_no_strangers() -> None:
    with pytest.raises(ValueError, match="samples of at least 2 classes"):
        Contrast(torch.zeros(5, dtype=torch.int64), 4, negatives=3, momentum=0.5, temperature=0.1)
