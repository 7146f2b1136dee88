"""One training step of methods on features: what the feature's own part adds to the networks."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.options import Options
from benchmarks.reference import Reference
from benchmarks.step import made_up_images, reference_steps, steps, with_statistics
from benchmarks.timing import Contest, Row
from decant import Distiller
from decant.engine.parallel import Parallel
from decant.engine.shapes import taps_of
from decant.interfaces import Batch, DataFacts
from decant.models import create, fold_batchnorm


def contests(options: Options) -> Iterator[Contest]:
    """A contest per method, on one pair of networks; each with its defaults, which are the protocol's."""
    parallel = options.parallel()
    images = made_up_images(options, parallel)
    generator = torch.Generator().manual_seed(1)
    # CRD remembers a training set: these are its classes, and the images are its first samples.
    targets = torch.randint(100, (options.samples,), generator=generator)
    for method in options.features:
        yield _contest(method, options.feature_pair, images, targets, parallel, options)


def _contest(
    method: str, names: tuple[str, str], images: Tensor, targets: Tensor, parallel: Parallel, options: Options
) -> Contest:
    torch.manual_seed(0)
    teacher = with_statistics(create(names[0]).to(parallel.device), images)
    index = torch.arange(len(images), device=parallel.device)
    target = targets.to(parallel.device)[index]
    facts = DataFacts(len(targets), tuple(map(str, range(100))), targets)

    def ours(*, compiled: bool = False) -> Callable[[int], object]:
        student = create(names[1])
        built = Distiller(student, teacher, method, example=images[:2].cpu(), facts=facts).method
        # As in a run: the method is built from the teacher as it was trained, and taught by the folded one.
        taps = {name: path for name, path in taps_of(teacher).items() if name in built.taps}
        distiller = Distiller(student, fold_batchnorm(teacher, images[:8], taps=taps).network, built)
        distiller.to(parallel.device).to(memory_format=torch.channels_last)
        batch = Batch((images.contiguous(memory_format=torch.channels_last),), target, index)
        return steps(distiller, batch, parallel, compiled=compiled)

    rows = [Row("teacher live", ours())]
    if options.compiled:
        rows.append(Row("teacher live, compiled", ours(compiled=True)))
    if (reference := options.reference) is not None:
        rows.insert(0, Row(f"reference: {method}", _reference(reference, method, names, images, target, len(targets))))
    return Contest(f"{method}, {names[0]} -> {names[1]}, batch {len(images)}", tuple(rows))


def _reference(
    reference: Reference, method: str, names: tuple[str, str], images: Tensor, target: Tensor, samples: int
) -> Callable[[int], object]:
    student, teacher = (reference.network(name).to(images.device) for name in reversed(names))
    teacher = with_statistics(teacher, images)
    if method == "reviewkd":
        return reference_steps(reference.reviewkd(student, teacher, images), images, target)
    distiller = reference.crd(student, teacher, images, samples)
    index = torch.arange(len(images), device=images.device)
    # Drawn before the clock runs, since its loader draws them; ours are drawn in every step.
    strangers = torch.randint(samples, (len(images), distiller.contrast.K), device=images.device)
    positions = torch.cat([index.unsqueeze(1), strangers], dim=1)
    return reference_steps(distiller, images, target, index=index, contrastive_index=positions)
