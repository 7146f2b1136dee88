"""How a distiller lies across processes: parameters divided among them, BatchNorms that take the batch of all."""

from torch import nn

from decant.engine.distiller import Distiller
from decant.engine.parallel import Parallel
from decant.recipe import DOTSettings, TrainSettings


def shard_distiller(distiller: Distiller, parallel: Parallel, *, teacher: bool) -> None:
    """Divide student and method, and the teacher as well unless it answers from its table."""
    # One by one rather than as a whole: student and teacher are also run by themselves.
    parallel.shard(distiller.student)
    parallel.shard(distiller.method)
    if teacher and distiller.teacher is not None:
        parallel.shard(distiller.teacher, trained=False)


def refuse_undivided(settings: TrainSettings) -> None:
    """Raise ValueError for settings that need whole parameters.

    >>> refuse_undivided(TrainSettings(compile=True))
    Traceback (most recent call last):
        ...
    ValueError: --shard does not go with train.compile; leave out one of them
    """
    reasons = {
        "train.compile": settings.compile,
        "train.optimizer dot": isinstance(settings.optimizer, DOTSettings),
        "train.probe_epochs": settings.probe_epochs > 0,
        'train.on_nonfinite = "skip"': settings.on_nonfinite == "skip",
    }
    if named := [name for name, given in reasons.items() if given]:
        raise ValueError(f"--shard does not go with {' and '.join(named)}; leave out one of them")


def synchronised(network: nn.Module, parallel: Parallel) -> nn.Module:
    """The network with BatchNorms that take the statistics of all processes; before anything hooks into it.

    Raises:
        ValueError: several processes on the CPU, for which torch has none.
    """
    if parallel.world == 1:
        return network
    if parallel.device.type == "cpu":
        raise ValueError(
            "train.sync_batchnorm needs CUDA: torch synchronises no BatchNorm on the CPU; use one process there, or "
            "leave it out"
        )
    made: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return made


def refuse_unsynchronised(distiller: Distiller, parallel: Parallel) -> None:
    """Raise ValueError for BatchNorms of a method's own, which would have statistics of each process."""
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
    left = [name for name, module in distiller.named_modules() if isinstance(module, kinds)]
    if left and parallel.world > 1:
        raise ValueError(
            f"train.sync_batchnorm synchronises the student, but the method has {', '.join(left[:4])} of its own; "
            "leave it out"
        )
