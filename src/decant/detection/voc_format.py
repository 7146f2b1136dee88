"""Reading annotations in Pascal VOC's format: a folder with one XML file per picture."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from decant.detection.picture_set import Objects, PictureSet, require_pictures


def read_voc(folder: Path, split: str, *, classes: Sequence[str] | None = None, name: str | None = None) -> PictureSet:
    """The pictures of a split of a VOC folder: ``JPEGImages``, ``Annotations`` and ``ImageSets/Main/<split>.txt``.

    Objects that are marked difficult are treated as COCO's crowds: not trained on, and no fault to find or to miss.

    Args:
        folder: such as ``VOCdevkit/VOC2012``.
        split: the name of the list, such as ``trainval``.
        classes: class names in the order of their labels; by default all names that occur in ``Annotations``, sorted,
            so that all splits of a folder agree.
        name: what to call the set; by default the folder's name and the split.

    Raises:
        FileNotFoundError: the list, an annotation or pictures are missing.
        ValueError: an annotation that is not in VOC's format, or an object whose class is not among ``classes``.
    """
    listed = folder / "ImageSets" / "Main" / f"{split}.txt"
    if not listed.is_file():
        raise FileNotFoundError(f"there is no list of pictures {listed}")
    stems = [line.split()[0] for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    if classes is None:
        classes = sorted({name for path in (folder / "Annotations").glob("*.xml") for name in _names(_root(path))})
    label = {known: number for number, known in enumerate(classes, start=1)}
    read = [_read(folder / "Annotations" / f"{stem}.xml", label) for stem in stems]
    pictures = [folder / "JPEGImages" / file for file, _, _ in read]
    require_pictures(pictures, str(listed))
    return PictureSet(
        name=name or f"{folder.name} {split}",
        classes=tuple(classes),
        pictures=tuple(pictures),
        sizes=tuple(size for _, size, _ in read),
        objects=tuple(objects for _, _, objects in read),
    )


def _read(path: Path, label: dict[str, int]) -> tuple[str, tuple[int, int], Objects]:
    """File name, height and width, and objects of one annotation."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no annotation {path}")
    root = _root(path)
    if unknown := sorted(set(_names(root)) - label.keys()):
        raise ValueError(f"{path}: objects of the classes {unknown}, which are not among {', '.join(label)}")
    try:
        size = (int(_text(root, "size/height")), int(_text(root, "size/width")))
        found = root.findall("object")
        corners = [[float(_text(each, f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")] for each in found]
    except ValueError as error:
        raise ValueError(f"{path} is not in VOC's format: {error}") from None
    return (
        root.findtext("filename") or f"{path.stem}.jpg",
        size,
        Objects.of(
            # Corners are pixels counted from 1, both of them inside the box.
            [[left - 1, top - 1, right - left + 1, bottom - top + 1] for left, top, right, bottom in corners],
            [label[name] for name in _names(root)],
            [(each.findtext("difficult") or "0").strip() == "1" for each in found],
        ),
    )


def _root(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is not XML: {error}") from None


def _names(root: ElementTree.Element) -> list[str]:
    return [(each.findtext("name") or "").strip() for each in root.findall("object")]


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"there is no {path} in <{element.tag}>")
    return text
