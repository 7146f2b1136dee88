"""What a network was judged to be, as a table."""

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from decant.engine.judge import Judged


def score_table(judged: "Judged") -> Table:
    """The score of one network on one set of images."""
    from decant.engine.multilabel_score import MultilabelScore

    score = judged.measured
    if isinstance(score, MultilabelScore):
        percents = {"mean average precision %": score.map, "F1 %": score.f1, "all right %": score.exact}
        told = {name: f"{value:.2f}" for name, value in percents.items()}
    else:
        told = {"top-1 %": f"{score.top1:.2f}", "top-5 %": "-" if score.top5 is None else f"{score.top5:.2f}"}
    table = Table("network", "images", *told, "loss (nats)", "samples")
    name = judged.recipe.student.name
    table.add_row(name, judged.images, *told.values(), f"{score.loss:.4f}", str(score.samples))
    return table
