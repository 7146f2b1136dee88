"""A student's page says what its files say, and a page that a person changed is left alone."""

import json
from pathlib import Path

import pytest

from command_line import Run
from decant.engine import train
from decant.engine.checkpoint import read_about, save_weights
from decant.engine.record import read_summary
from decant.evidence import verdict
from decant.methods import DKDSettings
from decant.models import create
from decant.report.hub import parcel, send
from decant.report.model_card import model_card, untouched, write_card
from engine.tiny import places, recipe
from evidence.invented import comparison, result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    train(recipe(DKDSettings(beta=2.0, warmup=0), seed=3), folder / "run", places(folder))
    return folder / "run"


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    for file in run.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_the_numbers_are_those_of_the_run(run: Path) -> None:
    about, summary = read_about(run / "student.safetensors"), read_summary(run)
    card = model_card(about, command="decant train mine.toml")
    last = summary["last"]
    for told in (
        "# digits_student for 8 classes",
        "student distilled from digits_teacher by dkd",
        "decant train mine.toml",
        f"| top-1, % | {last['top1']:.2f} |",
        f"| cross-entropy, nats | {last['loss']:.4f} |",
        f"On 48 test images, after the last epoch ({last['epoch']})",
        "Method: dkd (alpha 1, beta 2, ",
        "64 training samples of 8 classes",
        summary["teacher"]["sha256"],
        summary["data"],
        "3 epochs, seed 3",
        "One seed: another would come out differently",
        "## Licence\n\nTo be filled in",
    ):
        assert told in card, told
    assert "license:" not in card, "the licence is the user's to choose"


def test_a_comparison_has_its_intervals_and_its_verdict(run: Path) -> None:
    about = read_about(run / "student.safetensors")
    made = comparison(result("supervised", [90.0, 90.2, 90.1]), result("dkd", [92.0, 92.3, 92.1]))
    card = model_card(about, command="decant distill PICTURES", comparison=made)
    assert "92.13 ± 0.15" in card
    assert "One seed" not in card
    said = verdict(made)
    assert said.lines
    assert all(line in card for line in said.lines)


def test_a_card_that_a_person_changed_is_left_alone(copied: Path) -> None:
    assert write_card(copied, command="decant train recipe.json")
    card = copied / "model-card.md"
    first = card.read_text()
    assert untouched(first)
    assert str(copied) not in first
    assert '"beta": 2.0' in first, "the recipe is in it"
    assert write_card(copied, command="decant train another.json")
    assert "another.json" in card.read_text()
    card.write_text(card.read_text().replace("To be filled in", "MIT"))
    mine = card.read_bytes()
    assert not write_card(copied, command="decant train recipe.json")
    assert card.read_bytes() == mine


def test_the_commands(decant: Run, copied: Path) -> None:
    code, out, err = decant("card", str(copied))
    assert (code, err) == (0, "")
    assert "its licence is for you to fill in" in out
    (copied / "model-card.md").write_text("mine")
    code, _, err = decant("card", str(copied))
    assert code == 2
    assert "was changed by hand and is left as it is" in err
    assert (copied / "model-card.md").read_text() == "mine"
    code, out, _ = decant("push", str(copied), "--to", "hf:me/mine", "--dry-run")
    assert code == 0
    assert "to https://huggingface.co/me/mine (private, if it is new):" in out
    assert "nothing was sent (--dry-run)" in out
    code, _, err = decant("push", str(copied), "--to", "me/mine", "--dry-run")
    assert code == 2
    assert "expected a destination hf:owner/name, got 'me/mine'" in err


def test_what_has_no_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no .*student\.safetensors"):
        write_card(tmp_path, command="x")
    network = create("digits_student", num_classes=2)
    for about, message in (({"task": "detection"}, "is a detector's"), ({"classes": ["a"]}, "an earlier version")):
        save_weights(tmp_path / "student.safetensors", network.state_dict(), {"decant": json.dumps(about)})
        with pytest.raises(ValueError, match=message):
            write_card(tmp_path, command="x")


class FakeHub:
    """Remembers what it was sent."""

    def __init__(self) -> None:
        self.made: list[tuple[str, bool]] = []
        self.sent: dict[str, bytes] = {}

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.made.append((repo_id, private))

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> None:
        assert repo_id == self.made[-1][0]
        assert commit_message
        self.sent = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}


def test_what_is_told_is_what_is_sent(copied: Path) -> None:
    with pytest.raises(FileNotFoundError, match="decant card"):
        parcel(copied, "hf:me/mine")
    write_card(copied, command="x")
    (copied / "student.onnx").write_bytes(b"onnx")
    sending, hub = parcel(copied, "hf:me/mine"), FakeHub()
    assert hub.sent == {}
    send(sending, hub)
    assert hub.made == [("me/mine", True)]
    assert sorted(hub.sent) == ["README.md", "student.onnx", "student.safetensors"]
    assert hub.sent["README.md"] == (copied / "model-card.md").read_bytes()
    assert all(any(f"  {name}  " in line for line in sending.lines) for name in hub.sent)
    send(parcel(copied, "hf:me/mine", private=False), hub)
    assert hub.made[-1] == ("me/mine", False)
