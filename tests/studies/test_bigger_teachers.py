from pathlib import Path

from decant.evidence import paired_interval
from decant.models import create
from decant.studies import SIZES, STUDIES
from decant.studies.sizes import teacher_of
from engine.tiny import CLASSES
from studies.small import PAIR, last_score, study

SELF = "digits_student-digits_student"


def test_every_teacher_has_its_row_and_the_student_alone_is_run_once(ground: Path) -> None:
    found = study("bigger-teachers", ground)
    assert list(found.comparisons) == [SELF, PAIR]
    assert [result.name for result in found.comparisons[SELF].results] == ["kd-matched", "dkd"]
    rows = {row[0]: row for row in found.tables[0].rows}
    for name, trial in (("digits_student", SELF), ("digits_teacher", PAIR)):
        comparison = found.comparisons[trial]
        row, teacher = rows[name], create(name, num_classes=CLASSES, in_channels=3)
        assert row[1] == sum(parameter.numel() for parameter in teacher.parameters())
        assert (comparison.teachers[0]["name"], comparison.teachers[0]["top1"]) == (name, row[2])
        alone = last_score(ground, PAIR, "supervised")
        assert row[6] == paired_interval(last_score(ground, trial, "dkd"), alone)
        assert row[7] == comparison.difference("dkd", "kd-matched")


def test_shipped_recipes_train_the_teachers_where_there_are_any() -> None:
    for size in ("paper", "quick"):
        trials = STUDIES["bigger-teachers"].trials(SIZES[size]())
        teachers = {teacher_of(trial.recipe).student.name: teacher_of(trial.recipe) for trial in trials.values()}
        assert len(teachers) == len(trials) > 4
        assert len({trial.recipe.student.name for trial in trials.values()}) == 1
    assert teachers["wrn_16_2"].train.learning_rate == 0.2, "its own recipe's"
    assert teachers["resnet14"].train == teachers["resnet20"].train
