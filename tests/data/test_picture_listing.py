"""Folders and tables of pictures: what is found, what is left aside and said, and what is refused."""

import os
from pathlib import Path

import pytest

from data.made_pictures import folder, save
from decant.data.pictures.listing import Entry, Listing, list_pictures


def paths(listing: Listing) -> list[str]:
    return [entry.path for entry in listing.entries]


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    folder(tmp_path, {"dog": 2, "cat": 1, "empty": 0})
    listing = list_pictures(tmp_path)
    assert listing.labels == ("cat", "dog", "empty")
    assert paths(listing) == ["cat/000.png", "dog/000.png", "dog/001.png"]
    size = (tmp_path / "cat/000.png").stat().st_size
    assert listing.entries[0] == Entry("cat/000.png", size, "cat", None)


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_parts_by_folder(tmp_path: Path, word: str) -> None:
    folder(tmp_path, {"train/a": 1, "train/b": 1, f"{word}/a": 1, "test/b": 1, "docs/a": 1})
    listing = list_pictures(tmp_path)
    assert {(entry.path.split("/")[0], entry.part) for entry in listing.entries} == {
        ("train", "train"),
        (word, "val"),
        ("test", "test"),
    }
    assert listing.labels == ("a", "b")
    assert listing.notes == ("not looked at, beside train: docs",)


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    assert list_pictures(folder(tmp_path, {"test": 1, "control": 1})).labels == ("control", "test")


def test_deeper_folders_hidden_files_and_other_files(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 1, "b/day/one": 1, ".hidden": 1})
    save(tmp_path / "a" / ".thumbnail.png", seed=0)
    save(tmp_path / "a" / "loud.PNG", seed=0)
    (tmp_path / "a" / "notes.txt").write_text("not a picture")
    (tmp_path / "readme.md").write_text("beside the classes")
    listing = list_pictures(tmp_path)
    assert paths(listing) == ["a/000.png", "a/loud.PNG", "b/day/one/000.png"]
    assert listing.entries[2].label == "b"
    assert listing.notes == ("1 files do not end like a picture and are left aside",)


def test_unicode_names_in_both_forms_are_one_class(tmp_path: Path) -> None:
    folder(tmp_path, {"train/caf\u00e9": 1, "train/東京": 1, "val/cafe\u0301": 1, "val/東京": 1})
    listing = list_pictures(tmp_path)
    assert listing.labels == ("café", "東京")
    assert len(listing.entries) == 4


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 1, "b": 1})
    try:
        (tmp_path / "a" / "000.png").rename(tmp_path / "a" / os.fsdecode(b"\xff\xfe.png"))
    except OSError:
        pytest.skip("this file system has unicode names alone")
    listing = list_pictures(tmp_path)
    assert os.fsencode(paths(listing)[0]) == b"a/\xff\xfe.png"
    assert listing.fingerprint()


def test_links_are_followed_and_those_to_nothing_are_named(tmp_path: Path) -> None:
    folder(tmp_path, {"pictures/a": 2, "away/b": 1, "pictures/c": 0})
    (tmp_path / "pictures/b").symlink_to(tmp_path / "away/b")
    (tmp_path / "pictures/c/one.png").symlink_to(tmp_path / "pictures/a/000.png")
    (tmp_path / "pictures/c/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "pictures/c/self.png").symlink_to(tmp_path / "pictures/c/self.png")
    listing = list_pictures(tmp_path / "pictures")
    assert paths(listing) == ["a/000.png", "a/001.png", "b/000.png", "c/one.png"]
    assert set(listing.lost) == {"c/gone.png", "c/self.png"}
    assert listing.entries[3].bytes == listing.entries[0].bytes, "of what the link points to"


def test_a_link_that_leads_back_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 1, "b/deep": 1})
    (tmp_path / "b/deep/again").symlink_to(tmp_path / "b")
    with pytest.raises(ValueError, match=r"b/deep/again is a link that leads back to a folder around it; remove"):
        list_pictures(tmp_path)


def test_each_file_is_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A hundred thousand links take a hundred thousand look-ups: nothing is resolved, opened or looked up twice.
    folder(tmp_path, {"real": 1, "other": 1, "links": 0})
    for place in range(300):
        (tmp_path / "links" / f"{place}.png").symlink_to(tmp_path / "real/000.png")
    looked_up: list[Path] = []
    stat = Path.stat

    def counted(self: Path, **how: bool) -> os.stat_result:
        looked_up.append(self)
        return stat(self, **how)

    monkeypatch.setattr(Path, "stat", counted)
    monkeypatch.setattr(Path, "resolve", lambda *_: pytest.fail("resolved"))
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("opened"))
    assert len(list_pictures(tmp_path).entries) == 302
    assert len(looked_up) < 20, "folders alone: files are told by the listing of their folder"


@pytest.mark.parametrize(("suffix", "mark"), [("csv", ","), ("tsv", "\t")])
@pytest.mark.parametrize("header", [True, False])
def test_a_table_of_paths_and_labels(tmp_path: Path, suffix: str, mark: str, header: bool) -> None:
    folder(tmp_path / "files", {"x": 2})
    rows = [["files/x/000.png", "röt"], ["files/x/001.png", "blue, or so"], ["files/gone.png", "blue, or so"]]
    lines = [mark.join(f'"{cell}"' for cell in row) for row in ([["path", "label"]] if header else []) + rows]
    table = tmp_path / f"all.{suffix}"
    table.write_text("\ufeff" + "\n".join(lines) + "\n\n", encoding="utf-8")
    listing = list_pictures(table)
    assert [(entry.path, entry.label, entry.part) for entry in listing.entries] == [
        ("files/x/000.png", "röt", None),
        ("files/x/001.png", "blue, or so", None),
    ]
    assert listing.lost == {"files/gone.png": "No such file or directory"}
    assert listing.root == tmp_path


def test_a_table_with_parts_and_columns_in_any_order(tmp_path: Path) -> None:
    folder(tmp_path, {"x": 3})
    (tmp_path / "t.csv").write_text("Label,note,Split,Path\na,,train,x/000.png\nb,,Val,x/001.png\nb,,test,x/002.png\n")
    assert [entry.part for entry in list_pictures(tmp_path / "t.csv").entries] == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\nx.png,a,b\n", r"row 2: expected 2 cells \(path, label\), got 3"),
        ("x.png\n", r"row 1: expected 2 cells"),
        ("path,label\nx.png,\n", "row 2: a path and a label are needed"),
        ("path,label,split\nx.png,a,holdout\n", "split is one of train, val, valid, validation, test, or empty"),
        ("path,label,split\nx/000.png,a,train\nx/001.png,b,\n", "split is given for some rows and missing for others"),
        ("", "expected at least two classes, a folder each; found none"),
        ("x/000.png,a\n", "expected at least two classes"),
    ],
)
def test_a_table_is_read_strictly(tmp_path: Path, text: str, message: str) -> None:
    folder(tmp_path, {"x": 2})
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        list_pictures(tmp_path / "t.csv")


def test_neither_folder_nor_table(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such folder or table"):
        list_pictures(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"expected a folder of class folders, or a \.csv or \.tsv file"):
        list_pictures(save(tmp_path / "one.png", seed=0))
    with pytest.raises(ValueError, match="expected at least two classes, a folder each; found a"):
        list_pictures(folder(tmp_path / "one", {"a": 1}))


def test_the_fingerprint_is_of_paths_sizes_and_labels(tmp_path: Path) -> None:
    here = list_pictures(folder(tmp_path / "here", {"a": 1, "b": 1}))
    there = list_pictures(folder(tmp_path / "there", {"a": 1, "b": 1}))
    assert here.fingerprint() == there.fingerprint()
    with (tmp_path / "there/a/000.png").open("ab") as file:
        file.write(b"!")
    assert list_pictures(tmp_path / "there").fingerprint() != here.fingerprint()
    (tmp_path / "here/a/000.png").rename(tmp_path / "here/a/001.png")
    assert list_pictures(tmp_path / "here").fingerprint() != here.fingerprint()
