"""What a page is made of, in the order in which it is read. Says nothing of how any of it looks."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from decant.report.beside_teacher import Picture
from decant.report.figures import Figure, Grid, Mark


@dataclass(frozen=True)
class Sentences:
    """Sentences one below the other; each may have a word in front that says what kind of answer it is."""

    lines: tuple[tuple[str, str], ...]
    title: str = ""
    kind: str = "sentences"


@dataclass(frozen=True)
class Table:
    """A table under its title; ``folded`` if it is opened by whoever wants to see it."""

    title: str
    grid: Grid
    folded: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Figures:
    """Figures side by side, each with its numbers."""

    figures: tuple[Figure, ...]
    kind: str = "figures"

    @property
    def groups(self) -> dict[str, Mark]:
        """Name -> mark of what can be shown and hidden in them."""
        return {name: mark for figure in self.figures for name, mark in figure.groups.items()}


@dataclass(frozen=True)
class Gallery:
    """Pictures with what two networks said of them."""

    title: str
    pictures: tuple[Picture, ...]
    kind: str = "gallery"


@dataclass(frozen=True)
class Source:
    """Text that is shown letter by letter, folded."""

    title: str
    text: str
    kind: str = "source"


Part = Sentences | Table | Figures | Gallery | Source


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    parts: tuple[Part, ...]

    @property
    def figures(self) -> Iterator[Figure]:
        """All of its figures."""
        return (figure for part in self.parts if isinstance(part, Figures) for figure in part.figures)


@dataclass(frozen=True)
class Chapter:
    """Everything about one comparison, group of runs, or study."""

    title: str
    where: str
    sections: tuple[Section, ...] = field(default_factory=tuple)


def sentences(lines: list[str] | tuple[str, ...], title: str = "") -> Sentences:
    """Sentences without a word in front."""
    return Sentences(tuple(("", line) for line in lines), title)
