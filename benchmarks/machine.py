"""What something was measured on, in a line."""

from typing import Any


def machine(environment: dict[str, Any]) -> str:
    """Device, threads and versions.

    Args:
        environment: as `decant.engine.environment.describe_environment` gives it.
    """
    source = environment["source"]
    commit = source["commit"][:12] + (" with changes" if source["changed"] else "") if source else "unknown"
    threads, torch = environment["threads"], environment["packages"]["torch"]
    return f"{environment['device']}, {threads} threads, torch {torch}, commit {commit}"
