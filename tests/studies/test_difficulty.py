from pathlib import Path

from decant.studies import SIZES, STUDIES
from decant.studies.difficulty import NOISE
from studies.small import PAIR, study

TASKS = {"as it is": PAIR, "RandAugment": f"{PAIR}-randaugment"} | {
    f"{share:.0%} wrong labels": f"{PAIR}-noise-{share:g}" for share in NOISE
}


def test_student_and_teacher_learn_the_harder_task(ground: Path) -> None:
    found = study("difficulty", ground)
    assert list(found.comparisons) == list(TASKS.values())
    for share, name in zip((0.1, 0.3), (f"{PAIR}-noise-0.1", f"{PAIR}-noise-0.3"), strict=True):
        trial = STUDIES["difficulty"].trials(SIZES["demo"]())[name]
        assert trial.recipe.teacher is not None
        assert trial.recipe.teacher.recipe is not None
        assert trial.recipe.data.label_noise == trial.recipe.teacher.recipe.data.label_noise == share
        assert found.comparisons[name].data["label_noise"] == share
    assert found.comparisons[f"{PAIR}-randaugment"].data["all_strong"] is True
    teachers = {comparison.teachers[0]["sha256"] for comparison in found.comparisons.values()}
    assert len(teachers) == len(TASKS)


def test_the_table_holds_what_tckd_adds_to_each_task(ground: Path) -> None:
    found = study("difficulty", ground)
    rows = {str(row[0]): row for row in found.tables[0].rows}
    for what, name in TASKS.items():
        comparison = found.comparisons[name]
        assert rows[what][4] == comparison.difference("dkd", "nckd")
        assert rows[what][5] == comparison.teachers[0]["top1"]


def test_the_paper_s_size_has_an_easier_data_set_beside_it() -> None:
    trials = STUDIES["difficulty"].trials(SIZES["paper"]())
    assert {trial.recipe.data.name for trial in trials.values()} == {"cifar10", "cifar100"}
