"""Pictures of the `datasets` library: `hf:OWNER/NAME` out of its cache, or `hf:FOLDER`, which it saved to disk."""

import importlib
import importlib.util
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from decant.data.pictures.listing import PARTS, Entry, Listing
from decant.data.pictures.shard_listing import class_names

PREFIX = "hf:"
_CHOICES = ("config", "image", "label")
_LABELS = ("label", "labels", "class")


class Rows:
    """Pictures are rows of tables, by part; paths are ``train/000000012``.

    Args:
        tables: part as the library calls it -> a table of one column, whose pictures are not decoded.
        column: its name.
    """

    def __init__(self, tables: Mapping[str, Any], column: str) -> None:
        self.tables, self.column = dict(tables), column

    def open(self, root: Path, path: str) -> Path | io.BytesIO:
        """The bytes of the picture, or the file that the row points to.

        Raises:
            OSError: the row has neither.
        """
        part, _, row = path.rpartition("/")
        return _source(self.tables[part][int(row)][self.column], path)

    def where(self, root: Path, path: str) -> str:
        """The row, and the data set that it is in."""
        part, _, row = path.rpartition("/")
        return f"row {int(row)} of {part} in {root}"


def is_hub(root: Path) -> bool:
    """Whether this names a data set of the library."""
    return str(root).startswith(PREFIX)


def list_hub(root: Path, *, download: bool = False) -> Listing:
    """The pictures of a data set.

    The picture is in the one column of pictures, the class in the one column of classes, or else in one called
    ``label``; where there are several, ``hf:NAME?image=img&label=fine_label`` says which, and ``config=`` a
    configuration. Parts are named as folders are: train, validation or val, test.

    Args:
        root: ``hf:`` and a name of the hub, or a folder that ``save_to_disk`` wrote.
        download: whether what is not in the library's cache may be fetched. Never done unless asked for.

    Raises:
        ValueError: the library is not installed; columns that cannot be told.
        FileNotFoundError: nothing of that name on this machine.
    """
    name, choices = _parsed(root)
    if importlib.util.find_spec("datasets") is None:
        raise ValueError(f"{root} needs datasets, which is not installed: pip install 'decant-kd[hf]'")
    library: Any = importlib.import_module("datasets")
    parts, notes = _parts(root, _loaded(library, name, choices.get("config"), download))
    features = next(iter(parts.values())).features
    image, label = _columns(library, root, features, choices)
    tables = {part: _pictures(library, table, image) for part, table in parts.items()}
    found: list[tuple[str, int, str, str | None]] = []
    lost: dict[str, str] = {}
    for part, table in parts.items():
        for row, (size, value) in enumerate(zip(_sizes(tables[part], image), _labels(table, label), strict=True)):
            path = f"{part}/{row:09}"
            if value is None:
                lost[path] = "no class"
            else:
                found.append((path, size, value, PARTS.get(part)))
    names = class_names({value for _, _, value, _ in found}, None)
    entries = tuple(Entry(path, size, names[value], part) for path, size, value, part in found)
    return Listing(root, entries, tuple(sorted(set(names.values()))), lost, tuple(notes), Rows(tables, image))


def _parsed(root: Path) -> tuple[str, dict[str, str]]:
    name, _, query = str(root).removeprefix(PREFIX).partition("?")
    choices = dict(parse_qsl(query))
    if not name or (unknown := sorted(choices.keys() - set(_CHOICES))):
        what = f"no choice called {unknown[0]!r}; there are {', '.join(_CHOICES)}" if name else "no name"
        raise ValueError(f"expected hf:NAME or hf:NAME?label=COLUMN, got {str(root)!r}: {what}")
    return name, choices


def _loaded(library: Any, name: str, config: str | None, download: bool) -> Any:
    folder = Path(name)
    if any((folder / file).is_file() for file in ("dataset_dict.json", "dataset_info.json")):
        return library.load_from_disk(name)
    try:
        if download:
            return library.load_dataset(name, config)
        with _offline(library):
            return library.load_dataset(name, config)
    except (OSError, ValueError) as error:  # ConnectionError is one of the first
        how = "" if download else "; nothing is fetched without --download"
        first = str(error).partition("\n")[0]
        raise FileNotFoundError(
            f"hf:{name} is no folder that datasets saved, and cannot be loaded by its name{how} ({first})"
        ) from error


@contextmanager
def _offline(library: Any) -> Iterator[None]:
    """Inside, the library and what it asks of the hub stay on this machine; it has no argument for that."""
    places = (library.config, importlib.import_module("huggingface_hub.constants"))
    before = [place.HF_HUB_OFFLINE for place in places]
    try:
        for place in places:
            vars(place)["HF_HUB_OFFLINE"] = True
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            vars(place)["HF_HUB_OFFLINE"] = value


def _parts(root: Path, loaded: Any) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(loaded, dict):
        return {"all": loaded}, []
    parts = {name: table for name, table in loaded.items() if name in PARTS}
    if "train" not in parts:
        raise ValueError(f"{root} has the parts {', '.join(loaded)}; expected train, and validation or test if any")
    beside = [name for name in loaded if name not in parts]
    return parts, [f"not looked at, beside train: {', '.join(beside)}"] if beside else []


def _columns(library: Any, root: Path, features: Mapping[str, Any], choices: Mapping[str, str]) -> tuple[str, str]:
    images = [name for name, kind in features.items() if isinstance(kind, library.Image)]
    labels = [name for name, kind in features.items() if isinstance(kind, library.ClassLabel)]
    image = choices.get("image") or (images[0] if len(images) == 1 else None)
    label = choices.get("label") or (labels[0] if len(labels) == 1 else None)
    label = label or next((name for name in _LABELS if name in features), None)
    if image not in images or label not in features:
        raise ValueError(
            f"{root}: which column has the pictures, and which the classes? Columns are {', '.join(features)}; of "
            f"pictures {', '.join(images) or 'none'}, of classes {', '.join(labels) or 'none'}. Say hf:NAME?image="
            "COLUMN&label=COLUMN"
        )
    return str(image), str(label)


def _pictures(library: Any, table: Any, image: str) -> Any:
    return table.select_columns([image]).cast_column(image, library.Image(decode=False))


def _sizes(table: Any, image: str) -> Iterator[int]:
    """Bytes of each picture, from the table's own offsets; 0 where a row has no picture."""
    for batch in table.with_format("arrow").iter(batch_size=1000):
        column = batch.column(image).combine_chunks()
        lengths = [None if content is None else len(content) for content in _buffers(column.field("bytes"))]
        for length, path in zip(lengths, column.field("path").to_pylist(), strict=True):
            yield length if length is not None else _file_size(path)


def _buffers(column: Any) -> Iterator[Any]:
    for value in column:
        yield value.as_buffer() if value.is_valid else None  # a view: no byte is read


def _file_size(path: str | None) -> int:
    return Path(path).stat().st_size if path is not None and Path(path).is_file() else 0


def _labels(table: Any, label: str) -> Iterator[str | None]:
    kind = table.features[label]
    names = getattr(kind, "names", None)
    for value in table.select_columns([label])[label]:
        if value is None or (names is not None and not 0 <= value < len(names)):
            yield None
        else:
            yield names[value] if names is not None else str(value)


def _source(cell: Mapping[str, Any], path: str) -> Path | io.BytesIO:
    if cell["bytes"] is not None:
        return io.BytesIO(cell["bytes"])
    if cell["path"] is None:
        raise OSError(f"{path} has no picture")
    return Path(cell["path"])
