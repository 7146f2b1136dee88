"""Reading annotations in COCO's format: one JSON file of images, categories and boxes."""

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from decant.detection.picture_set import Objects, PictureSet, require_pictures

_TABLES = ("images", "annotations", "categories")
_SHOWN = 5


def read_coco(annotations: Path, pictures: Path, *, name: str | None = None) -> PictureSet:
    """The pictures of a COCO file, with labels 1, 2, ... in the order of the categories' numbers.

    Args:
        annotations: the JSON file, such as ``annotations/instances_train2017.json``.
        pictures: the folder that ``file_name`` is relative to, such as ``train2017``.
        name: what to call the set; by default the file's name.

    Raises:
        FileNotFoundError: the file or pictures are missing.
        ValueError: it is not JSON, or not what COCO's format demands; the first faults are named.
    """
    if not annotations.is_file():
        raise FileNotFoundError(f"there is no file of annotations {annotations}")
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{annotations} is not JSON: {error}") from None
    if not isinstance(content, dict) or any(not isinstance(content.get(table), list) for table in _TABLES):
        raise ValueError(
            f"{annotations} is not in COCO's format: it must be an object with the lists {', '.join(_TABLES)}"
        )
    faults = _faults(content)
    if faults:
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ValueError(f"{annotations} is not in COCO's format:\n  " + "\n  ".join(faults[:_SHOWN]) + more)
    categories = sorted(content["categories"], key=lambda category: category["id"])
    label = {category["id"]: number for number, category in enumerate(categories, start=1)}
    shown: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in content["annotations"]:
        shown[annotation["image_id"]].append(annotation)
    images = sorted(content["images"], key=lambda image: image["id"])
    files = [pictures / image["file_name"] for image in images]
    require_pictures(files, str(annotations))
    return PictureSet(
        name=name or annotations.stem,
        classes=tuple(category["name"] for category in categories),
        pictures=tuple(files),
        sizes=tuple((image["height"], image["width"]) for image in images),
        objects=tuple(_objects(shown[image["id"]], label) for image in images),
    )


def _objects(annotations: Sequence[Mapping[str, Any]], label: Mapping[int, int]) -> Objects:
    return Objects.of(
        [annotation["bbox"] for annotation in annotations],
        [label[annotation["category_id"]] for annotation in annotations],
        [bool(annotation.get("iscrowd", 0)) for annotation in annotations],
        [annotation.get("area", annotation["bbox"][2] * annotation["bbox"][3]) for annotation in annotations],
    )


def _faults(content: Mapping[str, list[Any]]) -> list[str]:
    """What is wrong with the entries, a line each."""
    faults = []
    numbers: dict[str, set[int]] = {}
    needed = {
        "images": {"id": int, "file_name": str, "width": int, "height": int},
        "categories": {"id": int, "name": str},
    }
    for table, keys in needed.items():
        numbers[table] = set()
        for position, entry in enumerate(content[table]):
            if wrong := _wrong_keys(entry, keys):
                faults.append(f"{table}[{position}]: {wrong}")
            elif entry["id"] in numbers[table]:
                faults.append(f"{table}[{position}]: the id {entry['id']} is there twice")
            else:
                numbers[table].add(entry["id"])
    for position, entry in enumerate(content["annotations"]):
        if wrong := _wrong_keys(entry, {"image_id": int, "category_id": int, "bbox": list}):
            faults.append(f"annotations[{position}]: {wrong}")
        elif entry["image_id"] not in numbers["images"]:
            faults.append(f"annotations[{position}]: there is no image {entry['image_id']}")
        elif entry["category_id"] not in numbers["categories"]:
            faults.append(f"annotations[{position}]: there is no category {entry['category_id']}")
        elif len(entry["bbox"]) != 4 or not all(_is_number(value) for value in entry["bbox"]):
            faults.append(f"annotations[{position}]: bbox is x, y, width, height, got {entry['bbox']}")
        elif not _is_number(entry.get("area", 0)):
            faults.append(f"annotations[{position}]: area is a number, or left out, got {entry['area']!r}")
    return faults


def _wrong_keys(entry: Any, keys: Mapping[str, type]) -> str | None:
    if not isinstance(entry, dict):
        return f"expected an object, got {type(entry).__name__}"
    for key, kind in keys.items():
        if not isinstance(entry.get(key), kind) or isinstance(entry.get(key), bool):
            found = repr(entry[key]) if key in entry else "nothing"
            return f"{key} must be of type {kind.__name__}, got {found}"
    return None


def _is_number(value: Any) -> bool:
    # Compared rather than converted: JSON's whole numbers may be too long for a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
