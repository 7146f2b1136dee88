"""A module that holds a frozen teacher without owning it."""

import copy
from collections.abc import Callable
from typing import Any, Self

from torch import Tensor, nn


class WithTeacher(nn.Module):
    """Base of what trains a detector beside a frozen one: the teacher moves along, and is in no state dict."""

    def __init__(self, teacher: nn.Module | None) -> None:
        super().__init__()
        # In a tuple, so that torch does not take it for a part of this module: not trained, not saved.
        self._teacher: tuple[nn.Module, ...] = (teacher.eval().requires_grad_(False),) if teacher is not None else ()

    @property
    def teacher(self) -> nn.Module | None:
        """The frozen detector, as it was given; None where there is none."""
        return self._teacher[0] if self._teacher else None

    def copy(self) -> Self:
        """A copy with weights of its own that shares the teacher."""
        return copy.deepcopy(self, {id(self._teacher): self._teacher})

    def _teacher_in_eval(self) -> Any:
        (teacher,) = self._teacher
        if any(module.training for module in teacher.modules()):  # whoever holds it as well may have switched it
            teacher.eval()
        return teacher

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # `.to()`, `.cuda()`, `.double()` end here: the teacher follows although it is not a submodule.
        moves: list[Callable[..., Any]] = [super()._apply, *(teacher._apply for teacher in self._teacher)]
        for move in moves:
            move(fn, recurse)
        return self
