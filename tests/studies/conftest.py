from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the studies of all tests: they share runs, as a user's do."""
    return tmp_path_factory.mktemp("studies")
