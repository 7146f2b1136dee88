"""Work on files in processes of its own: in order, without random state, and with a clear end when one dies."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar, cast

import torch
from torch.utils.data import DataLoader, Dataset

Result = TypeVar("Result", covariant=True)


class Jobs(Protocol[Result]):
    """Numbered pieces of work; the object travels to the processes once."""

    def __call__(self, number: int) -> Result:
        """Do one piece."""
        ...


class _AsDataset(Dataset[Any]):
    def __init__(self, jobs: Jobs[Any]) -> None:
        self.jobs = jobs

    def __getitem__(self, number: int) -> Any:
        try:
            return self.jobs(number)
        except (ValueError, OSError) as error:
            # As a value: the loader would wrap the words of an exception into a traceback of the worker.
            return error


def in_workers(jobs: Jobs[Result], numbers: Sequence[int], workers: int, *, pin: bool = False) -> Iterator[Result]:
    """The results of these pieces of work, in order.

    Args:
        jobs: a pure function of the number, so that the results do not depend on who does what.
        numbers: which pieces.
        workers: processes; 0 for this one. No more are started than there are pieces.
        pin: whether tensors come in page-locked memory, which a GPU reads faster.

    Raises:
        ValueError, OSError: what a piece of work raised.
        ChildProcessError: a worker died.
    """
    workers = min(workers, len(numbers))
    loader = DataLoader(
        _AsDataset(jobs),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=pin,
        # The loader draws a seed for its workers: from here, so that the run's own stream is left alone.
        generator=torch.Generator(device="cpu"),
    )
    results = iter(loader)
    while True:
        try:
            result = next(results)
        except StopIteration:
            return
        except RuntimeError as error:
            if "worker" not in str(error):
                raise
            raise ChildProcessError(
                f"a process that reads pictures died ({str(error).splitlines()[0]}): mostly because memory, or shared "
                "memory, was short. Take fewer with --workers; with --workers 0 this process reads them itself"
            ) from error
        if isinstance(result, Exception):
            raise result
        yield cast(Result, result)


def _as_it_is(result: Any) -> Any:
    return result
