"""`decant study`: from its runs to its page and its evidence."""

import json
from pathlib import Path

import pytest

from decant.cli import main
from decant.studies import SIZES, STUDIES
from studies.small import PAIR, SMALL


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's size trains in a blink."""
    monkeypatch.setitem(SIZES, "demo", lambda: SMALL)


def study(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["decant", "study", *arguments, "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_page_and_evidence_grow_and_never_shrink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("suppression", "--demo", "--results", "kept")
    assert study(monkeypatch, tmp_path, *asked, "--seeds", "1") == 0
    out = capsys.readouterr().out
    assert "study suppression, size demo: 1 comparisons of 13 runs in all, below runs/studies/demo" in out
    assert "in runs/studies/demo/suppression: README.md, figure.png, findings.json" in out
    kept = tmp_path / "kept" / "demo"
    page = (kept / "suppression" / "README.md").read_text()
    assert page == (tmp_path / "runs" / "studies" / "demo" / "suppression" / "README.md").read_text()
    assert "```\ndecant study suppression --demo --seeds 1\n```" in page
    summary = kept / "runs" / PAIR / "nckd" / "seed-0" / "summary.json"
    before = summary.read_bytes()
    assert (kept / "runs" / PAIR / "tuning" / "nckd-weight-4" / "seed-1000" / "summary.json").is_file()
    assert len(list((kept / "teachers").glob("digits_teacher-*/summary.json"))) == 1
    assert not list(kept.rglob("*.safetensors"))
    assert study(monkeypatch, tmp_path, *asked, "--seeds", "2") == 0
    assert summary.read_bytes() == before
    (comparison,) = json.loads((kept / "suppression" / "findings.json").read_text())["comparisons"].values()
    assert comparison["seeds"] == [0, 1]
    capsys.readouterr()
    assert study(monkeypatch, tmp_path, *asked, "--seeds", "1") == 2
    err = capsys.readouterr().err
    assert f"shows more than this study would (seeds [1] of {PAIR}); give at least 2 seeds" in " ".join(err.split())


def test_runs_of_two_origins_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "kept" / "demo" / "runs" / PAIR / "supervised" / "seed-0"
    foreign.mkdir(parents=True)
    (foreign / "summary.json").write_text("{}")
    assert study(monkeypatch, tmp_path, "suppression", "--demo", "--seeds", "1", "--results", "kept") == 2
    assert "runs of two origins are not mixed" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("place", ["runs/studies/demo/terms", "kept/demo/terms"])
def test_a_page_of_the_user_s_is_not_written_over(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "README.md").write_text("mine")
    assert study(monkeypatch, tmp_path, "terms", "--demo", "--seeds", "1", "--results", "kept") == 2
    assert "holds a page that is not a study's; give another folder" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / place / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("term", "--demo"), "no study 'term'; nearest: terms"),
        (("terms", "--demo", "--quick"), "--quick and --demo are two sizes"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert study(monkeypatch, tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_studies_are_listed_and_have_their_line_in_the_guide(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["decant", "list", "studies"])
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        main()
    out = capsys.readouterr().out
    guide = (Path(__file__).parents[1] / "docs" / "guides" / "studies.md").read_text()
    for name, one in STUDIES.items():
        assert name in out
        assert one.question in out
        assert f"| `{name}` | " in guide
