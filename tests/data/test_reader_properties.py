"""Whatever a table of pictures holds, it is a listing or a message that names the table."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from decant.data.pictures.listing import list_pictures

GOOD = "path,label,split\na.png,cat,train\nb.png,dog,train\nc.png,dog,test\n"
same_folder = [HealthCheck.function_scoped_fixture]
many = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=same_folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"never opened")
    return tmp_path


def listed(table: Path, content: bytes) -> None:
    table.write_bytes(content)
    try:
        listing = list_pictures(table)
    except ValueError as error:
        if str(table) not in str(error):
            raise
        return
    assert len(listing.labels) >= 2
    assert all(entry.label in listing.labels for entry in listing.entries)
    assert {entry.path for entry in listing.entries}.isdisjoint(listing.lost)


@given(place=st.integers(0, len(GOOD)), length=st.integers(0, 12), by=st.binary(max_size=8))
@example(place=0, length=0, by=b"")
@example(place=17, length=0, by=b"\0")
@many
def test_a_table_with_some_bytes_replaced(folder: Path, place: int, length: int, by: bytes) -> None:
    content = GOOD.encode()
    listed(folder / "table.csv", content[:place] + by + content[place + length :])


@given(text=st.text(max_size=60))
@many
def test_any_text(folder: Path, text: str) -> None:
    listed(folder / "table.tsv", text.encode("utf-8", "surrogatepass"))


@given(place=st.integers(0, 2), path=st.text(min_size=1, max_size=300))
@many
def test_any_path(folder: Path, place: int, path: str) -> None:
    rows = GOOD.splitlines()
    rows[1 + place] = f'"{path.replace(chr(34), "")}",cat,train'
    listed(folder / "table.csv", "\n".join(rows).encode("utf-8", "surrogatepass"))
