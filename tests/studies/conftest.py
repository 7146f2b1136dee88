from pathlib import Path

import pytest

from decant.methods import METHODS
from decant.studies import decoupling, efficiency


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the studies of all tests: they share runs, as a user's do."""
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two teachers, two temperatures, two candidates and five methods where a study would have many."""
    monkeypatch.setitem(decoupling._LENGTHS, "demo", (0.4, 1.0))
    monkeypatch.setitem(decoupling._TEMPERATURES, "demo", (1.0, 8.0))
    monkeypatch.setitem(decoupling._CANDIDATES, "demo", (1.0, 16.0))
    some = ("supervised", "kd", "dkd", "fitnet", "crld")
    monkeypatch.setattr(efficiency, "METHODS", {name: METHODS[name] for name in some})
