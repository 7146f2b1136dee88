"""What a detection recipe says about its pictures, and reading them from the folder of the data sets."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from decant.detection.coco_format import read_coco
from decant.detection.drawn_shapes import draw_shapes
from decant.detection.picture_set import PictureSet
from decant.detection.voc_format import read_voc


@dataclass(frozen=True)
class PartSettings:
    """Where one part of a data set lies, below the folder of the data sets.

    Attributes:
        pictures: folder of the pictures; in VOC's format, the folder with ``JPEGImages``.
        annotations: the JSON file; in VOC's format, the name of the list in ``ImageSets/Main``.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    pictures: str
    annotations: str

    def __post_init__(self) -> None:
        """Refuse paths that mean something on one machine only."""
        for path in (self.pictures, self.annotations):
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ValueError(f"a recipe's paths are below the folder of the data sets (--data), got {path!r}")


def _coco(name: str, train: tuple[str, str], test: tuple[str, str]) -> tuple[PartSettings, PartSettings]:
    made = (PartSettings(f"{name}/{pictures}", f"{name}/{file}") for pictures, file in (train, test))
    return next(made), next(made)


LAYOUTS: dict[str, tuple[PartSettings, PartSettings]] = {
    "coco": _coco(
        "coco",
        ("train2017", "annotations/instances_train2017.json"),
        ("val2017", "annotations/instances_val2017.json"),
    ),
    "bccd": _coco("bccd", ("images", "instances_trainval.json"), ("images", "instances_test.json")),
    "foda": _coco("foda", ("images", "instances_trainval.json"), ("images", "instances_test.json")),
    "coco8": _coco("coco8", ("train", "instances_train.json"), ("val", "instances_val.json")),
    # One file for both: to see that a detector can learn it by heart.
    "coco85": _coco("coco85", ("images", "instances.json"), ("images", "instances.json")),
}
"""Training and test part of the data sets that are known by name."""
DRAWN = "shapes"


@dataclass(frozen=True)
class DetectionDataSettings:
    """Which pictures, and how they are shown in training.

    Attributes:
        name: "shapes" (drawn, needs no files), a name of ``LAYOUTS``, or any other with ``train`` and ``test``.
        format: of files that are not known by name.
        train: the part that is trained on; for sets that are not known by name.
        test: the part that every result is measured on; likewise.
        flip: mirror left and right with probability 1/2.
        empty_pictures: train on pictures without objects too; in the paper's protocol they are left out.
        drawn_train: training pictures of "shapes".
        drawn_test: test pictures of "shapes".
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: str
    format: Literal["coco", "voc"] = "coco"
    train: PartSettings | None = None
    test: PartSettings | None = None
    flip: bool = True
    empty_pictures: bool = True
    drawn_train: int = 400
    drawn_test: int = 100

    def __post_init__(self) -> None:
        """Refuse what no data set can serve."""
        known = self.name in LAYOUTS or self.name == DRAWN
        if known and (self.train or self.test or self.format != "coco"):
            raise ValueError(
                f"{self.name} is known by its name; give another name, or leave out format, train and test"
            )
        if not known and (self.train is None or self.test is None):
            raise ValueError(
                f"no data set is known as {self.name!r} ({', '.join((DRAWN, *LAYOUTS))} are); for pictures of your own "
                "give train and test, each with pictures and annotations"
            )
        if self.drawn_train < 1 or self.drawn_test < 1:
            raise ValueError("drawn_train and drawn_test are at least 1")


@dataclass(frozen=True)
class PictureSplits:
    """A data set in its parts.

    Attributes:
        train: what is trained on.
        test: what a result is measured on.
        remarks: what is peculiar about either, counted.
    """

    train: PictureSet
    test: PictureSet
    remarks: tuple[str, ...]

    @property
    def judged(self) -> str:
        """What the test part is: "training" where pictures of it are trained on too, else "test"."""
        return "training" if _shared(self.train, self.test) else "test"


def load_pictures(settings: DetectionDataSettings, root: Path | None) -> PictureSplits:
    """The data set of ``settings``.

    Args:
        settings: which one.
        root: the folder of the data sets; "shapes" needs none.

    Raises:
        FileNotFoundError: files that are missing.
        ValueError: no ``root``, files that are not in their format, or parts with different classes.
    """
    if settings.name == DRAWN:
        train, test = draw_shapes(settings.drawn_train, seed=0), draw_shapes(settings.drawn_test, seed=1)
    else:
        if root is None:
            raise ValueError(f"{settings.name} is read from files: say where the data sets are (--data, Places.data)")
        train, test = (_read(settings, part, root) for part in _parts(settings))
    if train.classes != test.classes:
        differing = sorted(set(train.classes) ^ set(test.classes))
        raise ValueError(
            f"{settings.name}: training and test part must have the same classes; they differ in {differing}"
        )
    remarks = tuple(
        f"{role} pictures, {remark}" for role, part in (("training", train), ("test", test)) for remark in part.remarks
    )
    if shared := _shared(train, test):
        remarks += (
            f"{shared} of the {len(test)} test pictures are trained on too: this measures what was learned by heart",
        )
    return PictureSplits(train if settings.empty_pictures else train.with_objects(), test, remarks)


def _shared(train: PictureSet, test: PictureSet) -> int:
    """How many files both parts have; pictures in memory are not compared."""
    files = [{picture for picture in part.pictures if isinstance(picture, Path)} for part in (train, test)]
    return len(files[0] & files[1])


def _parts(settings: DetectionDataSettings) -> tuple[PartSettings, PartSettings]:
    if settings.train is not None and settings.test is not None:
        return settings.train, settings.test
    return LAYOUTS[settings.name]


def _read(settings: DetectionDataSettings, part: PartSettings, root: Path) -> PictureSet:
    if settings.format == "voc":
        return read_voc(root / part.pictures, part.annotations, name=settings.name)
    return read_coco(root / part.annotations, root / part.pictures, name=settings.name)
