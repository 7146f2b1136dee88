"""What a benchmark is run with."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.reference import Reference
from decant.data import DataSettings
from decant.engine.parallel import Parallel

PAIRS = (("resnet32x4", "resnet8x4"), ("resnet56", "resnet20"), ("wrn_40_2", "wrn_16_2"))

WIDE = ((8192, 128256),)
"""Logits that a GPU must move rather than work on."""


@dataclass(frozen=True)
class Options:
    """What the groups of benchmarks need to know.

    Attributes:
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        precision: of our networks' arithmetic, "fp32" or "bf16"; the reference's is fp32.
        reference: the reference implementation; None to compare with the floors alone.
        folder: of CIFAR-100, for the loop; None to leave the loop out.
        data: what the loop trains on.
        pairs: (teacher, student) by name.
        features: methods on features whose steps are measured.
        feature_pair: (teacher, student) of those.
        samples: training samples that a method with a memory remembers.
        logits: (N, C) of the losses that are measured by themselves, in float32.
        wide: (N, C) of those in bfloat16, whose bandwidth is told: for GPUs.
        batch_size: samples per step.
        pixels: side of the images of a step.
        matrix: side of the square matrices whose product is the machine's peak.
        compiled: whether to measure compiled networks too, which takes minutes to compile.
    """

    device: str = "auto"
    precision: str = "fp32"
    reference: Reference | None = None
    folder: Path | None = None
    data: DataSettings = field(default_factory=lambda: DataSettings(name="cifar100"))
    pairs: tuple[tuple[str, str], ...] = PAIRS
    features: tuple[Literal["reviewkd", "crd"], ...] = ("reviewkd", "crd")
    feature_pair: tuple[str, str] = ("resnet56", "resnet20")
    samples: int = 50_000
    logits: tuple[tuple[int, int], ...] = ((64, 100), (256, 1000), (4096, 32000))
    wide: tuple[tuple[int, int], ...] = ()
    batch_size: int = 64
    pixels: int = 32
    matrix: int = 2048
    compiled: bool = True

    def parallel(self) -> Parallel:
        """Device and precision."""
        return Parallel(device=self.device, precision=self.precision)
