"""Studies: the paper's analyses, as code that anyone can rerun. One module each, its question in the first line."""

import difflib

from decant.studies import (
    bigger_teachers,
    decoupling,
    difficulty,
    efficiency,
    features,
    seeds,
    suppression,
    terms,
    transfer,
    weights,
)
from decant.studies.run import plans_of, run_study
from decant.studies.sizes import SIZES, Size
from decant.studies.study import Study

STUDIES: dict[str, Study] = {
    "terms": terms.STUDY,
    "weights": weights.STUDY,
    "suppression": suppression.STUDY,
    "decoupling": decoupling.STUDY,
    "seeds": seeds.STUDY,
    "difficulty": difficulty.STUDY,
    "features": features.STUDY,
    "transfer": transfer.STUDY,
    "efficiency": efficiency.STUDY,
    "bigger-teachers": bigger_teachers.STUDY,
}
"""Every study by the name that the command gives it."""


def find_study(name: str) -> Study:
    """The study of that name.

    Raises:
        ValueError: there is none; the message has the nearest names.
    """
    if name not in STUDIES:
        near = difflib.get_close_matches(name, STUDIES, n=3, cutoff=0.4)
        raise ValueError(f"no study {name!r}; {'nearest' if near else 'there are'}: {', '.join(near or STUDIES)}")
    return STUDIES[name]


__all__ = ["SIZES", "STUDIES", "Size", "Study", "find_study", "plans_of", "run_study"]
