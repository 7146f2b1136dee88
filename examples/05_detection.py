"""A detector learns from another one in a plain PyTorch loop, on drawn shapes, in half a minute on a CPU.

    python examples/05_detection.py

So short a training finds no boxes worth showing; `decant train detection/shapes/dkd` does. What can be seen is how far
the student is from its teacher, on the regions that it samples, when it is told to follow it and when it is not.
"""

import torch
from torch import nn

from decant.detection import RCNNDistiller, RegionDKDSettings, create_detector, draw_shapes

STEPS = 30
pictures = draw_shapes(60, seed=0)
classes = len(pictures.classes) + 1  # 0 is the background


def train(student: nn.Module, teacher: nn.Module | None, weight: float = 1.0) -> dict[str, float]:
    """Train for some steps; returns the mean of every term over the last third of them."""
    methods = [RegionDKDSettings(alpha=weight, beta=weight)] if teacher is not None else []
    distiller = RCNNDistiller(student, teacher, methods)
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.02, momentum=0.9)
    sums: dict[str, float] = {}
    for step in range(STEPS):
        chosen = [pictures[index] for index in range(2 * step % 60, 2 * step % 60 + 2)]
        loss, terms = distiller([image / 255 for image, _ in chosen], [target for _, target in chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step >= STEPS - STEPS // 3:
            sums = {name: sums.get(name, 0.0) + float(term) for name, term in terms.items()}
    return {name: 3 * value / STEPS for name, value in sums.items()}


torch.manual_seed(0)
teacher = create_detector("fasterrcnn_tiny_wide_fpn", num_classes=classes)
print(f"teacher: classification loss {train(teacher, None)['loss_classifier']:.3f}")
for name, weight in (("alone", 0.0), ("dkd", 1.0)):
    torch.manual_seed(1)  # the same start and the same regions for both
    terms = train(create_detector("fasterrcnn_tiny_fpn", num_classes=classes), teacher, weight)
    shown = ", ".join(f"{term} {terms[term]:.4f}" for term in ("tckd_foreground", "tckd_background", "nckd_background"))
    print(f"student {name + ':':6} {shown}")
