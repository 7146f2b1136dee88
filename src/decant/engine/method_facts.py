"""What each method is and asks for, found by building it for a pair of networks, and how long its steps take."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from decant.data import DataSettings, ImageSet, load, plain_batches
from decant.engine.context import build_context
from decant.engine.distiller import Distiller
from decant.engine.estimate import seconds_of
from decant.engine.optim import make_optimizer
from decant.engine.parallel import Parallel
from decant.engine.progress import Reporter
from decant.engine.shapes import taps_of
from decant.interfaces import BuildContext, Method, MethodSettings
from decant.methods import METHODS, Source
from decant.models import TINY, create, fold_batchnorm
from decant.recipe import TrainSettings

BATCH_SIZE, ROUNDS = 64, 5
_LATE = 100.0
"""An epoch after any warm-up."""


@dataclass(frozen=True)
class MethodFacts:
    """A method as it is for one pair of networks.

    Attributes:
        name: in recipes.
        source: its paper; None for training without a teacher.
        taps: the features that it reads of both networks.
        teacher: whether a teacher takes part.
        views: augmented views of each sample.
        parameters: numbers that are trained besides the student's; None where it does not serve this pair.
        refused: why it does not serve this pair; None where it does.
        relative_time: median time of a step, of that of ``supervised``; None where it was not measured.
        kept_bytes: what a step keeps for its backward pass, weights included; None where it was not measured.
    """

    name: str
    source: Source | None
    taps: tuple[str, ...] = ()
    teacher: bool = True
    views: int = 1
    parameters: int | None = None
    refused: str | None = None
    relative_time: float | None = None
    kept_bytes: int | None = None


class Pair:
    """Two untrained networks of the zoo, and made-up images of the size that they are made for.

    Args:
        teacher: the larger network's name.
        student: the smaller one's.
        methods: by name; ``supervised`` must be among them.

    Raises:
        ValueError: no network has that name.
    """

    def __init__(self, teacher: str, student: str, methods: Mapping[str, type[MethodSettings]] = METHODS) -> None:
        pixels, classes = (8, 10) if {teacher, student} <= TINY.keys() else (32, 100)
        self.images: ImageSet = load(DataSettings(name="fake", fake_pixels=pixels, fake_classes=classes)).train
        with torch.random.fork_rng(devices=[]):
            self._teacher = self._network(teacher).eval().requires_grad_(False)
            self._student, self._methods = student, methods
            self.built, self.refused = self._build(methods)
        self._sources = {name: getattr(settings, "source", None) for name, settings in methods.items()}

    def facts(self) -> list[MethodFacts]:
        """What each method is, in the order of the methods."""
        found = []
        for name, source in self._sources.items():
            facts = MethodFacts(name, source, refused=self.refused.get(name))
            if (method := self.built.get(name)) is not None:
                count = sum(parameter.numel() for parameter in self._added(method) if parameter.requires_grad)
                facts = replace(
                    facts, taps=method.taps, teacher=method.needs_teacher, views=method.views, parameters=count
                )
            found.append(facts)
        return found

    def _added(self, method: Method) -> Iterator[nn.Parameter]:
        """What is trained besides the student's own: of the method, and of what it makes of the student."""
        with torch.random.fork_rng(devices=[]):
            student = self._network(self._student)
        own = set(student.parameters())
        yield from method.parameters()
        yield from (parameter for parameter in method.deployed(student).parameters() if parameter not in own)

    def measured_facts(self, parallel: Parallel, reporter: Reporter, rounds: int = ROUNDS) -> list[MethodFacts]:
        """The same, with the time of whole training steps on a device: methods in turn, the median of the rounds."""
        with torch.random.fork_rng(devices=[parallel.device] if parallel.device.type == "cuda" else []):
            steps = dict(self._steps(parallel))
            kept = {name: _kept_by(step) for name, step in steps.items()}
            times: dict[str, list[float]] = {name: [] for name in steps}
            with reporter.working("a step of every method", (rounds + 1) * len(steps)):
                for each in range(rounds + 1):
                    for name, step in steps.items():
                        seconds = seconds_of(step, 1)
                        if each:  # the first round allocates and picks algorithms
                            times[name].append(seconds)
                        reporter.advance()
        medians = {name: statistics.median(seconds) for name, seconds in times.items()}
        return [
            replace(facts, relative_time=medians[facts.name] / medians["supervised"], kept_bytes=kept[facts.name])
            if facts.name in medians
            else facts
            for facts in self.facts()
        ]

    def _network(self, name: str) -> nn.Module:
        return create(name, num_classes=len(self.images.classes), in_channels=self.images.shape[1])

    def _build(self, methods: Mapping[str, type[MethodSettings]]) -> tuple[dict[str, Method], dict[str, str]]:
        context = self._context(self._network(self._student))
        built, refused = {}, {}
        for name, settings in methods.items():
            try:
                built[name] = settings().build(context)
            except ValueError as error:
                refused[name] = str(error)
        return built, refused

    def _context(self, student: nn.Module) -> BuildContext:
        return build_context(student, self._teacher, self.images, (taps_of(student), taps_of(self._teacher)))

    def _steps(self, parallel: Parallel) -> Iterator[tuple[str, Callable[[], None]]]:
        """A training step of each method, on the folded teacher, as a run takes it."""
        whole = next(plain_batches(self.images, BATCH_SIZE))
        images, target, index = (
            part.to(parallel.device) for part in (whole.images[0], self.images.target[:BATCH_SIZE], whole.index)
        )
        teacher = fold_batchnorm(self._teacher, whole.images[0][:32], taps=taps_of(self._teacher)).network
        for name in self.built:
            student = self._network(self._student)
            method = self._methods[name]().build(self._context(student))  # it may hold on to parts of its student
            distiller = Distiller(
                student,
                teacher if method.needs_teacher else None,
                method,
                teacher_taps=taps_of(self._teacher),
            )
            distiller.to(parallel.device).train()
            distiller.prepare([(images, target)])  # of any samples: it changes no time
            optimizer = make_optimizer(distiller, TrainSettings(learning_rate=1e-3))

            def step(distiller: Distiller = distiller, optimizer: torch.optim.Optimizer = optimizer) -> None:
                views = (images,) * distiller.method.views
                distiller(views, target, index=index, epoch=_LATE).loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

            yield name, step


def _kept_by(step: Callable[[], None]) -> int:
    """Bytes that a step keeps for its backward pass; a piece of memory that several tensors share counts once."""
    pieces: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        pieces[memory.data_ptr()] = memory.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    return sum(pieces.values())
