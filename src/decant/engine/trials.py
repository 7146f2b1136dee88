"""Which values to try next, kept in a file from which a search goes on: optuna behind three calls."""

import importlib
import importlib.util
import logging
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from decant.engine.search import Space

_FEWEST = 4
"""Trials below which nothing can be said about what mattered."""


class Trials:
    """The trials of a search, in a journal that outlives the process.

    Args:
        journal: the file.
        space: what is searched.
        first: the values of the first trial; one that is not above 0 is drawn instead.

    Raises:
        ValueError: optuna is not installed, or the journal is of another space.
    """

    def __init__(self, journal: Path, space: Space, first: Mapping[str, float]) -> None:
        self.space = space
        self._optuna = optuna = _optuna()
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
        self.study: Any = optuna.create_study(
            storage=storage, study_name="search", direction="maximize", load_if_exists=True
        )
        self._first, self._trial = dict(first), cast(Any, None)
        searched = {name for trial in self._complete() for name in trial.params}
        if searched - set(space):
            raise ValueError(f"{journal} searched {', '.join(sorted(searched))}; give another folder with --out")

    @property
    def finished(self) -> list[tuple[dict[str, float], float]]:
        """Values and score of every finished trial, in their order."""
        return [(dict(trial.params), float(trial.value)) for trial in self._complete()]

    def ask(self) -> dict[str, float]:
        """The values to try next: those of a trial that was interrupted, if there is one."""
        optuna, study = self._optuna, self.study
        running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        for trial in running:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params, skip_if_exists=False)
        waiting = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
        if not waiting and not self.finished:
            # Logarithmic ranges hold no 0 (a term that the recipe leaves out): such a setting is drawn.
            study.enqueue_trial({name: value for name, value in self._first.items() if value > 0})
        # A seed of its own for each trial: a search that goes on must not draw again what it drew before.
        study.sampler = optuna.samplers.TPESampler(seed=len(study.get_trials(deepcopy=False)))
        with warnings.catch_warnings(action="ignore"):  # the first trial may lie outside the ranges
            self._trial = study.ask(
                {
                    name: optuna.distributions.FloatDistribution(each.low, each.high, log=True)
                    for name, each in self.space.items()
                }
            )
        return dict(self._trial.params)

    def tell(self, score: float) -> None:
        """The score of the values that were asked for last."""
        self.study.tell(self._trial, score)

    def _complete(self) -> list[Any]:
        found: list[Any] = self.study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.COMPLETE,))
        return found


def importances(trials: Trials) -> dict[str, float]:
    """Setting -> share of the variation between trials that it explains (Hutter et al., fANOVA), largest first.

    Empty below four trials, for one setting alone, and where all scored much the same.
    """
    if len(trials.finished) < _FEWEST or len(trials.space) < 2:
        return {}
    evaluator = trials._optuna.importance.FanovaImportanceEvaluator(seed=0)
    with warnings.catch_warnings(action="ignore"):  # of a mean over no trees, where nothing varies
        found = trials._optuna.importance.get_param_importances(trials.study, evaluator=evaluator)
    shares = {str(name): float(share) for name, share in found.items()}
    return shares if all(map(math.isfinite, shares.values())) else {}


def _optuna() -> Any:
    if importlib.util.find_spec("optuna") is None:
        raise ValueError("tuning needs optuna, which is not installed: pip install 'decant-kd[tune]'")
    optuna = importlib.import_module("optuna")
    logging.getLogger("optuna").setLevel(logging.WARNING)  # what is told goes through the reporter
    return optuna
