"""What a run ran on, for whoever wants to repeat it. No host name, user name or path."""

import functools
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from decant.engine.parallel import Parallel

_PACKAGES = ("decant-kd", "torch", "torchvision", "numpy", "accelerate", "safetensors", "pydantic", "scikit-learn")


def describe_environment(parallel: Parallel) -> dict[str, Any]:
    """Versions, device, threads, processes and the state of Decant's own source."""
    return {
        "python": sys.version.split()[0],
        "packages": {name: version_of(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "device": _device_name(parallel.device),
        "threads": torch.get_num_threads(),
        "processes": parallel.world,
        "precision": parallel.precision,
        **({"sharded": True} if parallel.sharded else {}),
        "source": _git_state(Path(__file__).parents[1]),
    }


def version_of(name: str) -> str | None:
    """Version of an installed distribution."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or "unknown"
    return f"cpu: {model}"


@functools.cache
def _git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that the package runs from, and whether it was changed since; None outside a checkout."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "interfaces.py")  # a site-packages folder inside somebody's repository
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.SubprocessError):
        return None
