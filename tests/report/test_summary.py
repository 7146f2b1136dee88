import pytest

from decant.evidence import verdict
from decant.report import comparison_markdown, summary_markdown
from evidence.invented import comparison, result, tuned

COMMAND = "decant compare demo --seeds 3"
COMPARED = comparison(
    result("supervised", (93.0, 93.5, 92.5)),
    result("kd", (91.0, 91.75, 90.25)),
    result("kd-matched", (95.0, 95.5, 94.75), tuning=tuned("weight")),
    result("dkd", (95.5, 96.0, 95.75), tuning=tuned("beta")),
    data={"name": "digits", "train_per_class": 20, "view_seed": None, "flip": False, "fake_train": 512},
    notes=("The number of labels was chosen on other seeds.",),
)


def section(text: str, heading: str) -> str:
    assert text.count(f"\n## {heading}\n") == 1
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_page_says_what_was_run() -> None:
    page = summary_markdown(COMPARED, command=COMMAND)
    assert page.startswith("# digits: student digits_student, teacher digits_teacher\n")
    assert f"```\n{COMMAND}\n```" in page
    run = section(page, "What was run")
    assert "digits (train per class 20, view seed none, flip no)" in run
    assert f"digits_teacher, top-1 98.75%, weights sha256 `{'c0ffee' * 10}`" in run
    assert "digits_student, 3,778 parameters" in run
    assert "60 epochs, seeds 0 to 2" in run
    assert "the test split" in run


def test_the_page_shows_how_settings_were_chosen() -> None:
    tuning = section(summary_markdown(COMPARED, command=COMMAND), "Tuning")
    assert "| dkd | beta | 1: 91.00, 2: 92.00, 3: 93.00 | 3 | 100, 101 | validation |" in tuning
    assert "As given, not tuned: supervised, kd." in tuning
    untuned = comparison(result("dkd", (95.5, 96.0)))
    assert "Nothing was tuned" in section(summary_markdown(untuned, command=COMMAND), "Tuning")


def test_the_page_holds_the_table_and_every_seed() -> None:
    page = summary_markdown(COMPARED, command=COMMAND)
    assert comparison_markdown(COMPARED) in section(page, "Result")
    assert "the highest of those that were judged (`train.evaluate_every`)" in section(page, "Result")
    assert "| 1 | 93.50 | 91.75 | 95.50 | 96.00 |" in section(page, "Every seed")


def test_every_sentence_of_the_verdict_stands_once_under_what_it_shows() -> None:
    page = summary_markdown(COMPARED, command=COMMAND)
    said = verdict(COMPARED)
    outcomes = {claim.outcome for claim in said.claims}
    assert {"helped", "hurt", "no difference shown"} <= outcomes  # so that every kind is put to the test
    for claim in said.claims:
        shown = claim.outcome in ("helped", "hurt")
        assert f"- {claim.text}\n" in section(page, "What was shown" if shown else "What was not shown") + "\n"
    for line in said.lines:
        assert page.count(line) == 1
    assert all(caveat in section(page, "Read with care") for caveat in said.caveats)


def test_a_page_without_a_verdict_says_that_nothing_was_shown() -> None:
    page = summary_markdown(comparison(result("supervised", (93.0,)), result("dkd", (99.0,))), command=COMMAND)
    assert section(page, "What was shown").strip() == "Nothing."
    assert "- No verdict: 1 seed per method" in section(page, "What was not shown")


def test_a_page_with_nothing_left_open_says_so() -> None:
    page = summary_markdown(
        comparison(result("supervised", (93.0, 93.5, 92.5)), result("kd", (95.0, 95.25, 94.75))), command=COMMAND
    )
    assert section(page, "What was not shown").strip() == "- All questions have an answer."


def test_the_chart_is_linked_where_there_is_one() -> None:
    assert "](chart.png)" in section(summary_markdown(COMPARED, command=COMMAND, chart="chart.png"), "Result")
    assert "![" not in summary_markdown(COMPARED, command=COMMAND)


def test_results_without_their_command_are_refused() -> None:
    with pytest.raises(ValueError, match="the command that made these results"):
        summary_markdown(COMPARED, command=" ")
