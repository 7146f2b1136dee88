"""The engine: from a recipe to objects, training and results. The only layer that runs things."""

from decant.engine.all_processes import AllProcesses
from decant.engine.distilled import Distilled, DistilledApart
from decant.engine.distiller import Distiller
from decant.engine.dot import DOT
from decant.engine.own_networks import Distillation, distill
from decant.engine.places import Places
from decant.engine.record import read_summary
from decant.engine.run import find_teacher, load_data, train
from decant.engine.student_file import LoadedStudent, load_student

__all__ = [
    "DOT",
    "AllProcesses",
    "Distillation",
    "Distilled",
    "DistilledApart",
    "Distiller",
    "LoadedStudent",
    "Places",
    "distill",
    "find_teacher",
    "load_data",
    "load_student",
    "read_summary",
    "train",
]
