"""What a table that keeps the largest logits alone does to DKD: `python -m benchmarks.top_classes` prints the table.

Made-up logits, because no network over so many classes comes with this repository: every class has a logit from a
normal distribution (what a teacher says about classes that have nothing to do with the picture), a hundredth of the
classes are related to the target and lie higher, the target itself highest. The student is the teacher half forgotten.
"""

import torch
from torch import Tensor

from decant.engine.table_entry import EveryLogit, LargestLogits
from decant.losses import dkd_terms

CLASSES, TOPS, TEMPERATURES = (1000, 32000), (32, 64, 128, 256), (4.0, 1.0)
_ROWS = 256
_SPREAD, _RELATED, _TARGET = 2.0, 5.0, 10.0
"""Standard deviation of the logits of all classes, and what related classes and the target have beyond them."""


def networks(classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of student and teacher (N, C), and the targets (N,)."""
    teacher = _SPREAD * torch.randn(_ROWS, classes, generator=generator)
    target = torch.randint(classes, (_ROWS,), generator=generator)
    related = torch.rand(_ROWS, classes, generator=generator) < 0.01
    teacher += _RELATED * related
    teacher.scatter_(1, target.unsqueeze(1), _TARGET)
    student = 0.5 * teacher + _SPREAD / 2 * torch.randn(_ROWS, classes, generator=generator)
    return student, teacher, target


def errors(student: Tensor, teacher: Tensor, target: Tensor, top: int, temperature: float) -> tuple[float, ...]:
    """Relative errors of TCKD, of NCKD and of NCKD's gradient (by its norm), and the share of the rest's mass."""
    entry = LargestLogits(teacher.shape[1], torch.float16, top, temperature)
    rebuilt = entry.unpack(entry.pack(teacher, target))
    student = student.requires_grad_()
    true, found = (dkd_terms(student, goal, target, temperature=temperature) for goal in (teacher, rebuilt))
    slopes = [torch.autograd.grad(terms.nckd, student)[0] for terms in (true, found)]
    values = [abs(float((a - b).detach() / a.detach())) for a, b in zip(true, found, strict=True)]
    kept = (teacher / temperature).softmax(1).gather(1, teacher.scatter(1, target.unsqueeze(1), 99.0).topk(top).indices)
    return *values, float((slopes[0] - slopes[1]).norm() / slopes[0].norm()), 1 - float(kept.sum(1).mean())


def markdown() -> str:
    """The table of the page."""
    lines = ["| classes | kept | T | bytes, all = 100% | the rest's probability | TCKD | NCKD | its gradient |"]
    lines.append("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for classes in CLASSES:
        student, teacher, target = networks(classes, torch.Generator().manual_seed(0))
        for temperature in TEMPERATURES:
            for top in TOPS:
                few = LargestLogits(classes, torch.float16, top, temperature)
                share = few.bytes / EveryLogit(classes, torch.float16).bytes
                tckd, nckd, slope, rest = errors(student, teacher, target, top, temperature)
                lines.append(
                    f"| {classes} | {top} | {temperature:g} | {share:.1%} | {rest:.0%} "
                    f"| {tckd:.0e} | {nckd:.1%} | {slope:.1%} |"
                )
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
