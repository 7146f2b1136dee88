"""Pictures inside tar files: the layout of WebDataset, found again by their place instead of read in a row.

A WebDataset reader streams shards and mixes what passes by in a buffer, so order and batches depend on workers and
shards. Here the headers are read once; then a picture is a stretch of bytes in a file, and shards serve the same
batches as a folder does, for any number of workers, resumed at any step. That takes files that can be read at any
place: uncompressed ones, on a disk or a network's file system.
"""

import hashlib
import io
import json
import re
import tarfile
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from decant.data.pictures.decode import SUFFIXES

_PLACE = re.compile(r"(.+?\.tar):(\d+):(\d+):", re.IGNORECASE)
_LONGEST_LABEL = 2**16
_BLOCK = 512


@dataclass(frozen=True)
class Shard:
    """What the headers of a tar file say.

    Attributes:
        samples: (name, offset, bytes, label) of each picture; the label None where nothing in the file names one.
        lost: name -> why there is nothing to read.
        aside: members that are no part of a picture's sample.
    """

    samples: tuple[tuple[str, int, int, str | None], ...]
    lost: dict[str, str] = field(default_factory=dict)
    aside: int = 0


class Shards:
    """Pictures are stretches of tar files; paths are those of :func:`place`."""

    def open(self, root: Path, path: str) -> io.BytesIO:
        """The bytes of the picture.

        Raises:
            OSError: the file is not there, or is shorter than it was.
        """
        found = _PLACE.match(path)
        if found is None:
            raise ValueError(f"{path} is no place in a shard")
        shard, offset, size = found[1], int(found[2]), int(found[3])
        with (root / shard).open("rb") as file:
            file.seek(offset)
            content = file.read(size)
        if len(content) < size:
            raise OSError(f"{root / shard} ends before {path} does")
        return io.BytesIO(content)

    def where(self, root: Path, path: str) -> str:
        """The member, and the tar file that it is in."""
        found = _PLACE.match(path)
        return f"{path[found.end() :]} in {root / found[1]}" if found is not None else path


def place(shard: str, name: str, offset: int, size: int) -> str:
    """Where a picture is, as one text: ``train-000.tar:1536:4711:n01440764/1.jpg``."""
    return f"{shard}:{offset}:{size}:{name}"


def index_shard(path: Path, cache: Path | None = None) -> Shard:
    """The pictures of a tar file, from its headers and its labels; nothing is unpacked.

    A sample is what has one name up to the first dot of its last part: a picture, and ``.cls`` (its class, as a name or
    a number) or ``.json`` with ``label``; without either, the folder that it lies in is its class.

    Args:
        path: an uncompressed tar file.
        cache: folder where the finding is kept, by the file's full path, size and time; None keeps nothing.

    Raises:
        ValueError: a compressed file, or none of tar's.
    """
    facts = path.stat()
    # The whole path: shards of two folders may be alike in name, size and time.
    key = hashlib.sha256(repr((str(path.resolve()), facts.st_size, facts.st_mtime_ns)).encode()).hexdigest()[:24]
    kept = cache / f"shard-{key}.json" if cache is not None else None
    if kept is not None and kept.is_file():
        values = json.loads(kept.read_text(encoding="utf-8"))
        return Shard(tuple((n, o, s, label) for n, o, s, label in values["samples"]), values["lost"], values["aside"])
    found = _read_headers(path, facts.st_size)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        written = kept.with_suffix(".tmp")  # whole or absent
        written.write_text(json.dumps(asdict(found)), encoding="utf-8")
        written.replace(kept)
    return found


def _read_headers(path: Path, size: int) -> Shard:
    pictures: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, str] = {}
    lost: dict[str, str] = {}
    aside = 0
    with path.open("rb") as file:
        try:
            tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115, it has nothing to close
        except tarfile.TarError as error:
            raise ValueError(
                f"{path} is not an uncompressed tar file ({error}); pictures are read at their place in it, which a "
                "compressed one does not have: unpack it to .tar"
            ) from None
        fault = None
        while True:
            try:
                member = tar.next()
            except (tarfile.TarError, OSError, ValueError) as error:
                fault = str(error)
                break
            vars(tar).update(members=[])  # it would keep all of them
            if member is None:
                break
            kind, key = _kind(member)
            if kind == "":
                aside += not member.isdir()
            elif not _inside(member.name):
                lost[member.name] = "a name that leads out of the shard"
            elif member.offset_data + member.size > size:
                lost[member.name] = "cut off at the end of the shard"
            elif kind == "picture" and key in pictures:
                lost[member.name] = f"a second picture of one sample, beside {pictures[key][0]}"
            elif kind == "picture":
                pictures[key] = (member.name, member.offset_data, member.size)
            else:
                _note_label(labels, lost, key, kind, member, _content(file, member))
        end = _end(file, tar.offset)
    if fault or end:
        lost[path.name] = f"damaged or cut off after {len(pictures):,} pictures ({fault or end})"
    samples = [(*pictures[key], labels.get(key, _folder(key))) for key in pictures]
    return Shard(tuple(samples), lost, aside)


def _kind(member: tarfile.TarInfo) -> tuple[str, str]:
    """("picture", "cls", "json" or nothing, the sample's name)."""
    name = PurePosixPath(member.name)
    stem, _, ending = name.name.partition(".")
    if not member.isreg() or member.issparse() or not stem:
        return "", ""
    ending = ending.lower()
    kind = "picture" if f".{ending}" in SUFFIXES else ending if ending in ("cls", "json") else ""
    return kind, str(name.with_name(stem))


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _folder(key: str) -> str | None:
    parts = PurePosixPath(key).parts
    return parts[-2] if len(parts) > 1 else None


def _content(file: io.BufferedReader, member: tarfile.TarInfo) -> bytes:
    before = file.tell()
    file.seek(member.offset_data)
    content = file.read(min(member.size, _LONGEST_LABEL))
    file.seek(before)
    return content


def _note_label(
    labels: dict[str, str], lost: dict[str, str], key: str, kind: str, member: tarfile.TarInfo, content: bytes
) -> None:
    try:
        text = content.decode("utf-8").strip()
        label = json.loads(text).get("label") if kind == "json" else text
    except (ValueError, AttributeError, RecursionError):
        lost[member.name] = "no label that can be read"
        return
    if isinstance(label, str | int) and not isinstance(label, bool) and str(label):
        labels.setdefault(key, str(label))


def _end(file: io.BufferedReader, offset: int) -> str | None:
    """What is wrong with the end of the archive; tarfile takes anything that is no header for it."""
    file.seek(offset)
    block = file.read(_BLOCK)
    return None if len(block) == _BLOCK and not any(block) else "no end-of-archive mark"
