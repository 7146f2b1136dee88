"""Numbers that a study measures besides its runs, kept in a file so that nothing is measured twice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from decant.engine.checkpoint import write_text


class Kept:
    """Measurements by name, in one JSON file.

    Args:
        path: the file; made with the first measurement.

    Raises:
        ValueError: the file is there and holds no measurements.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = Kept(Path(folder) / "measured.json").measure("one", lambda: 1.5)
    ...     Kept(Path(folder) / "measured.json").measure("one", lambda: 2.5)
    1.5
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        if path.exists():
            try:
                self._values = dict(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f"{path} does not hold what was measured ({error}); remove it, and it is measured again"
                ) from None

    def measure(self, name: str, work: Callable[[], Any]) -> Any:
        """What was measured under this name; by ``work``, as plain JSON values, where it was not yet."""
        if name not in self._values:
            self._values[name] = work()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(self._values, indent=2) + "\n")
        return self._values[name]
