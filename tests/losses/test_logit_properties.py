"""What holds for every loss on logits, whatever the networks say."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losses.logit_cases import CASES, C

few_examples = settings(max_examples=20, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)


def logits(seed: int, scale: float, samples: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = scale * torch.randn(2, samples, C, generator=generator, dtype=torch.float64)
    return student.to(dtype), teacher.to(dtype), torch.randint(C, (samples,), generator=generator)


@pytest.mark.parametrize("name", CASES)
@given(seed=seeds, scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e4]), samples=st.integers(2, 5))
@few_examples
def test_value_and_gradient_are_finite(name: str, seed: int, scale: float, samples: int) -> None:
    student, teacher, target = logits(seed, scale, samples, torch.float32)
    student.requires_grad_()
    value = CASES[name].loss(student, teacher, target).mean()
    (gradient,) = torch.autograd.grad(value, student)
    assert value.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", CASES)
@given(seed=seeds, samples=st.integers(2, 5), shift=st.floats(-50, 50))
@few_examples
def test_order_of_the_samples_and_a_constant_do_not_matter(name: str, seed: int, samples: int, shift: float) -> None:
    student, teacher, target = logits(seed, 2.0, samples, torch.float64)
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
    value = CASES[name].loss(student, teacher, target).mean()
    other = CASES[name].loss(student[order] + shift, teacher[order] - shift, target[order]).mean()
    torch.testing.assert_close(other, value, rtol=1e-7, atol=1e-7)
