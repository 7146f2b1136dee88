"""From a detection recipe to the objects that train, and their common state."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from decant.data.counter import MAX_SEED, counter_hash
from decant.detection.builders import create_detector
from decant.detection.data_settings import PictureSplits
from decant.detection.distiller import RCNNDistiller
from decant.detection.evaluation import DetectionScore, evaluate_detector
from decant.detection.recipe import DetectionRecipe
from decant.detection.supply import PictureBatch, PictureSupply
from decant.detection.teacher import DetectionTeacher
from decant.engine.checkpoint import KEPT_TYPES, random_state, restore_random_state, round_weights
from decant.engine.estimate import Estimate, disk, seconds_of
from decant.engine.fit import EpochLog, fit_epoch
from decant.engine.meter import AfterStep, Meter
from decant.engine.optim import make_optimizer
from decant.engine.parallel import Parallel
from decant.engine.progress import Reporter

_TIMED_STEPS = 2


@dataclass(frozen=True)
class DetectionStep:
    """The step that distils: a batch of pictures through the wrapped :class:`RCNNDistiller`."""

    module: nn.Module

    def __call__(self, batch: PictureBatch) -> tuple[tuple[Tensor, ...], Mapping[str, Tensor]]:
        """The loss and the raw terms."""
        loss, terms = self.module(batch.images, batch.targets, epoch=batch.epoch)
        return (loss,), terms


class DetectionTraining:
    """A run's detectors, optimiser and pictures, made from its recipe; call under ``own_random_state``.

    The student is initialised first, so that runs of one seed start from one student whatever their methods.

    Args:
        recipe: what is trained.
        splits: its pictures.
        teacher: its teacher; None where there is none.
        parallel: device, precision and processes.
        trained_backbone: state dict of the student's backbone; None to start anew.
    """

    def __init__(
        self,
        recipe: DetectionRecipe,
        splits: PictureSplits,
        teacher: DetectionTeacher | None,
        parallel: Parallel,
        trained_backbone: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.recipe, self.splits, self.parallel, self._teacher = recipe, splits, parallel, teacher
        self.settings = recipe.train.loop
        self.supply = PictureSupply(
            splits.train,
            batch_size=recipe.train.batch_size,
            epoch_steps=recipe.train.epoch_steps,
            flip=recipe.data.flip,
            seed=recipe.seed,
            rank=parallel.rank,
            world=parallel.world,
        )
        torch.manual_seed(recipe.seed)
        classes = splits.train.classes
        student = create_detector(
            recipe.student.name,
            num_classes=len(classes) + 1,
            trained_backbone=trained_backbone,
            **recipe.student.sizes,
        )
        self.distiller = self._distiller(student, classes).to(parallel.device)
        self._optimizer = parallel.prepare_optimizer(make_optimizer(self.distiller, self.settings))
        self._module = parallel.prepare(self.distiller)

    @property
    def steps(self) -> int:
        """Batches of an epoch on this process."""
        return self.supply.steps

    @property
    def student(self) -> nn.Module:
        """The detector that is trained, evaluated and saved."""
        return self.distiller.student

    @property
    def learning_rate(self) -> float:
        """Of the last optimiser step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def fit_epoch(
        self, epoch: int, reporter: Reporter, meter: Meter | None = None, after_step: AfterStep = lambda meter: None
    ) -> EpochLog:
        """Train for one epoch, or the rest of one."""
        start = meter.batches if meter is not None else 0
        if start == 0:  # else the random state came with the resume state
            self._draw_anew(epoch)
        return fit_epoch(
            epoch,
            step=DetectionStep(self._module),
            batches=self.supply.batches(epoch, self.parallel.device, start),
            steps=self.steps,
            module=self._module,
            optimizer=self._optimizer,
            settings=self.settings,
            parallel=self.parallel,
            advance=reporter.advance,
            meter=meter,
            after_step=after_step,
        )

    def prepare(self) -> None:
        """Nothing: no method for detectors asks for anything before the first step."""

    def finish(self) -> None:
        """Make the student what will be kept of it; after the last step."""
        if (kept := KEPT_TYPES[self.settings.weights_type]) is not None:
            round_weights(self.student, kept)

    def evaluate(self) -> DetectionScore:
        """The student on the test pictures."""
        self.parallel.share_buffers(self.student)  # it is the first process's detector that is judged, and saved
        return evaluate_detector(self.student, self.splits.test, self.parallel)

    def estimate(self, folder: Path, done: int = 0) -> Estimate:
        """What the run will cost after ``done`` epochs; leaves no trace in what is trained."""
        batch = next(self.supply.batches(done, self.parallel.device))
        trial = self.distiller.copy().train()
        device = self.parallel.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), self.parallel.autocast():
            step = DetectionStep(trial)
            seconds_of(lambda: step(batch)[0][0].backward(), 1)  # the first step allocates and picks algorithms
            per_step = seconds_of(lambda: step(batch)[0][0].backward(), _TIMED_STEPS)
            trial.eval()
            with torch.no_grad():
                per_picture = seconds_of(lambda: trial.student(list(batch.images[:1])), 1)
        settings = self.settings
        left = settings.epochs - done
        needed, free = disk(folder, self.distiller)
        return Estimate(
            seconds=left * self.steps * per_step
            + -(-left // settings.evaluate_every) * len(self.splits.test) * per_picture / self.parallel.world,
            bytes=needed,
            free=free,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes; the random state, drawn anew in every epoch, is for the middle of one."""
        scaler = self.parallel.scaler
        return {
            "distiller": self.distiller.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "random": random_state(self.parallel.device),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where ``state_dict`` left off."""
        self.distiller.load_state_dict(state["distiller"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self.parallel.scaler is not None:
            self.parallel.scaler.load_state_dict(state["scaler"])
        if "random" in state:  # earlier versions kept none, and ended at the ends of epochs alone
            restore_random_state(state["random"], self.parallel.device)

    def _distiller(self, student: nn.Module, classes: tuple[str, ...]) -> RCNNDistiller:
        teacher, settings = self._teacher, self.recipe.teacher
        if teacher is None or settings is None:
            return RCNNDistiller(student, None, ())
        return RCNNDistiller(
            student,
            teacher.network,
            self.recipe.method,
            student_classes=classes,
            teacher_classes=teacher.classes,
            folded=settings.folded or None,
        )

    def _draw_anew(self, epoch: int) -> None:
        """Torchvision draws regions and sizes of pictures from torch's generators: one seed per epoch and process."""
        torch.manual_seed(int(counter_hash(self.recipe.seed, "regions", epoch, self.parallel.rank)) & MAX_SEED)
