"""Several methods at once: their terms side by side, and one task term for all."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import tee
from typing import Any, cast

from torch import Tensor, nn

from decant.interfaces import Batch, BuildContext, Method, MethodSettings, Outputs, Processes


@dataclass(frozen=True)
class ComposedSettings:
    """Settings of :class:`Composed`: those of its parts, in order. In a recipe: ``method = [{...}, {...}]``.

    Raises:
        ValueError: fewer than two parts, one of them twice or composed itself, or different weights of the task's term.
    """

    parts: tuple[MethodSettings, ...]

    def __post_init__(self) -> None:
        """Refuse what would not be one method."""
        if len(self.parts) < 2:
            raise ValueError(
                f"a list composes at least 2 methods, got {len(self.parts)}; a single one is given by itself"
            )
        if nested := [part.name for part in self.parts if isinstance(part, ComposedSettings)]:
            raise ValueError(f"{nested[0]} is composed itself: list its methods among the others")
        if twice := [name for name, count in Counter(part.name for part in self.parts).items() if count > 1]:
            raise ValueError(f"{twice[0]} is listed twice; terms, adapters and tuning go by the method's name")
        given = {part.name: getattr(part, "task_weight", None) for part in self.parts}
        _require_one_weight({name: weight for name, weight in given.items() if weight is not None})

    @property
    def name(self) -> str:
        """The names of the parts: ``dkd+reviewkd``."""
        return "+".join(part.name for part in self.parts)

    def build(self, context: BuildContext) -> "Composed":
        """All parts, built one after another from the same context."""
        return Composed({part.name: part.build(context) for part in self.parts})


class Composed(Method):
    """The terms of all parts; the task's own term is shared and counts once, as the part of the most views has it.

    A term that several parts have by one name is called ``part.term`` in each of them. The parts are submodules by
    their names, so that ``parts.reviewkd`` of a state dict holds that part's adapters.

    Args:
        parts: name -> method.

    Raises:
        ValueError: parts with different task terms, or different weights of it; that want different views; or more than
            one that deploys another network than the student, or one beside a part that reads features of it.
    """

    def __init__(self, parts: Mapping[str, Method]) -> None:
        super().__init__()
        # A point in a name would be one in the keys of the state dict, where it parts modules.
        self.parts = nn.ModuleDict({name.replace(".", "_"): part for name, part in parts.items()})
        given = parts.values()
        self.taps = tuple(dict.fromkeys(tap for part in given for tap in part.taps))
        most = max(given, key=lambda part: part.views)
        self.views, self.strong_views = most.views, most.strong_views
        weak = self.views - self.strong_views
        if any(max(0, part.views - weak) != part.strong_views for part in given):
            told = ", ".join(f"{name} {part.views}, {part.strong_views} of them strong" for name, part in parts.items())
            raise ValueError(f"composed methods see the first views of the same ones, but these want others: {told}")
        self.gather = any(part.gather for part in given)
        self.needs_teacher = any(part.needs_teacher for part in given)
        self.one_class = any(part.one_class for part in given)
        self.needs_index = any(part.needs_index for part in given)
        tasks = {name: part.task for name, part in parts.items() if part.task in part.weights(0.0)}
        if len(set(tasks.values())) > 1:
            raise ValueError(f"composed methods share one task term, but these name several: {tasks}")
        self.task = next(iter(tasks.values()), Method.task)
        counts = Counter(term for part in given for term in part.weights(0.0) if term not in (part.task, self.task))
        self._shown = {
            name: {
                term: term if term == part.task or counts[term] == 1 else f"{name}.{term}" for term in part.weights(0.0)
            }
            for name, part in self._each()
        }
        if len(others := [name for name, part in parts.items() if type(part).deployed is not Method.deployed]) > 1:
            raise ValueError(f"{' and '.join(others)} each make the network that is deployed: only one of them can")
        if others and (reading := [name for name, part in parts.items() if part.taps and name not in others]):
            raise ValueError(f"{others[0]} changes the network whose features {' and '.join(reading)} would compare")
        self.weights(0.0)  # now, rather than in the first step, says what is wrong with them

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> dict[str, Tensor]:
        """The terms of all parts; a part that wants fewer views than there are sees the first ones."""
        terms: dict[str, Tensor] = {}
        # Those that see the most come first: theirs is the task's term, which may be of more than the first view.
        for name, part in sorted(self._each(), key=lambda each: -each[1].views):
            taught = _first_views(teacher, part.views) if teacher is not None and part.needs_teacher else None
            seen = replace(batch, images=batch.images[: part.views], view_ids=batch.view_ids[: part.views])
            for term, value in part(_first_views(student, part.views), taught, seen).items():
                terms.setdefault(self._shown[name].get(term, term), value)
        return terms

    def weights(self, epoch: float) -> dict[str, float]:
        """The weights of all parts, each with its own warm-up."""
        weights: dict[str, float] = {}
        of_task: dict[str, float] = {}
        for name, part in self._each():
            for term, weight in part.weights(epoch).items():
                shown = self._shown[name].get(term, term)
                weights[shown] = weight
                if shown == self.task:
                    of_task[name] = weight
        _require_one_weight(of_task)
        return weights

    def prepare(self, teacher_outputs: Iterator[tuple[Outputs, Batch]]) -> None:
        """The same pass for every part that reads it."""
        readers = [part for _, part in self._each() if type(part).prepare is not Method.prepare]
        # One reader, the usual case, keeps nothing; what several read is kept until the last one has read it.
        for part, outputs in zip(readers, tee(teacher_outputs, len(readers)) if readers else (), strict=True):
            part.prepare(outputs)

    def divide(self, processes: Processes) -> None:
        """Every part divides what it has."""
        for _, part in self._each():
            part.divide(processes)

    def deployed(self, student: nn.Module) -> nn.Module:
        """What the one part makes of the student that makes something of it."""
        for _, part in self._each():
            student = part.deployed(student)
        return student

    def deployed_parts(self) -> dict[str, Any]:
        """Those of the one part that makes something of the student."""
        return next((parts for _, part in self._each() if (parts := part.deployed_parts())), {})

    def _each(self) -> Iterator[tuple[str, Method]]:
        return ((name, cast(Method, part)) for name, part in self.parts.items())


def _require_one_weight(weights: Mapping[str, float]) -> None:
    if len(set(weights.values())) > 1:
        told = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
        raise ValueError(f"composed methods share one task term, so give them one task_weight; got {told}")


def _first_views(outputs: Outputs, views: int) -> Outputs:
    return Outputs(outputs.logits, outputs.taps, outputs.more[: views - 1])
