"""The house rules of the source: imports go down only, and nothing decides behind the user's back.

Each rule is a function from a module to its complaints. It is shown to find what it forbids before it is applied.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import decant

ROOT = Path(decant.__file__).parent
LAYERS = (
    {"losses", "interfaces"},
    {"data", "models", "methods"},
    {"recipe", "evidence"},
    {"engine"},
    {"report", "studies", "detection"},
    {"cli"},
    {"", "__main__"},  # the package itself gathers the public names, `python -m decant` starts the command line
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MOST_LINES = 320


@dataclass(frozen=True)
class Module:
    """A source file by its path inside the package."""

    path: str
    source: str

    @property
    def part(self) -> str:
        """The layer's part that it belongs to: `losses` for losses/kd.py, nothing for the package's own __init__.py."""
        first, _, rest = self.path.partition("/")
        return first if rest else first.removesuffix(".py").removeprefix("__init__")

    @property
    def nodes(self) -> Iterator[ast.AST]:
        """Everything in it, function bodies included: a late import is an import."""
        return ast.walk(ast.parse(self.source))

    @property
    def imports(self) -> Iterator[str]:
        """Full names of what it imports; relative imports are written out."""
        package = ["decant", *self.path.split("/")[:-1]]
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) - node.level + 1] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_go_down(module: Module) -> Iterator[str]:
    """A part imports itself and the layers below; parts side by side do not know each other."""
    for name in module.imports:
        first, *rest = name.split(".")
        if first != "decant":
            continue
        target = rest[0] if rest and rest[0] in RANK else ""
        if target != module.part and RANK[target] >= RANK[module.part]:
            yield f"{module.part or 'the package'} imports {name}"


def the_lowest_layer_stands_on_torch_alone(module: Module) -> Iterator[str]:
    if module.part in LAYERS[0]:
        own = f"decant.{module.part}"
        # Triton comes with torch where there is CUDA; the file with the kernels is imported only where they are used.
        known = {"torch", "triton"} if module.path == "losses/triton_rows.py" else {"torch"}
        for name in module.imports:
            first = name.split(".")[0]
            if first not in known and first not in sys.stdlib_module_names and not name.startswith(own):
                yield f"imports {name}"


def processes_are_the_affair_of_two_files(module: Module) -> Iterator[str]:
    if module.path == "engine/parallel.py":
        return
    yield from (f"imports {name}" for name in module.imports if name.startswith("accelerate"))
    if module.path == "engine/all_processes.py":
        return
    yield from (f"imports {name}" for name in module.imports if name.startswith("torch.distributed"))
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.distributed":
            yield "uses torch.distributed"


def devices_are_arguments(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cuda":
            yield f"line {node.lineno} calls .cuda()"


def surroundings_decide_nothing(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "getcwd", "cwd"}:
            yield f"line {node.lineno} asks for {ast.unparse(node)}"
        if isinstance(node, ast.Global):
            yield f"line {node.lineno} changes a global"
    yield from (f"imports {name}" for name in module.imports if name in {"os.environ", "os.getenv", "os.getcwd"})


def trackers_are_called_in_one_file(module: Module) -> Iterator[str]:
    trackers = {"tensorboard", "tensorboardX", "wandb", "mlflow"}
    if module.path != "engine/record.py":
        yield from (f"imports {name}" for name in module.imports if trackers & set(name.split(".")))


def files_of_others_run_no_code(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        safe = any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)
        if called == "torch.load" and not safe:
            yield f"line {node.lineno}: torch.load without weights_only=True"
        if called.split(".")[0] in {"pickle", "dill", "cloudpickle"} and called.endswith(
            ("load", "loads", "Unpickler")
        ):
            yield f"line {node.lineno}: {called}"


def a_name_says_what_is_in_it(module: Module) -> Iterator[str]:
    words = {"utils", "util", "common", "helpers", "helper", "misc"}
    for part in module.path.removesuffix(".py").split("/"):
        if words & set(part.split("_")):
            yield f"{part} says nothing"


def files_stay_short(module: Module) -> Iterator[str]:
    if (lines := len(module.source.splitlines())) > MOST_LINES:
        yield f"{lines} lines, {MOST_LINES} at most"


Rule = Callable[[Module], Iterator[str]]

FORBIDDEN: list[tuple[Rule, str, str]] = [
    (imports_go_down, "losses/kd.py", "from decant.methods import METHODS"),
    (imports_go_down, "losses/kd.py", "from decant.interfaces import Batch"),
    (imports_go_down, "methods/kd.py", "import decant.models"),
    (imports_go_down, "methods/kd.py", "from decant import models"),
    (imports_go_down, "methods/kd.py", "from ..models import create"),
    (imports_go_down, "methods/kd.py", "from .. import models"),
    (imports_go_down, "models/vgg.py", "from decant.data.views import Views"),
    (imports_go_down, "data/views.py", "def later():\n    from decant.engine import train"),
    (imports_go_down, "recipe/loader.py", "from decant.evidence import read_run"),
    (imports_go_down, "evidence/runs.py", "from decant.engine.run import train"),
    (imports_go_down, "engine/run.py", "from decant.report import chart"),
    (imports_go_down, "report/chart.py", "from decant.cli import app"),
    (imports_go_down, "interfaces.py", "from decant.losses import kd_loss"),
    (imports_go_down, "engine/run.py", "from decant import Distiller"),
    (the_lowest_layer_stands_on_torch_alone, "losses/kd.py", "import numpy"),
    (the_lowest_layer_stands_on_torch_alone, "interfaces.py", "from torchvision import ops"),
    (the_lowest_layer_stands_on_torch_alone, "losses/dkd.py", "import triton"),
    (processes_are_the_affair_of_two_files, "engine/fit.py", "from accelerate import Accelerator"),
    (processes_are_the_affair_of_two_files, "engine/all_processes.py", "from accelerate import Accelerator"),
    (processes_are_the_affair_of_two_files, "engine/fit.py", "import torch.distributed as dist"),
    (processes_are_the_affair_of_two_files, "engine/fit.py", "from torch import distributed"),
    (processes_are_the_affair_of_two_files, "losses/kd.py", "import torch\ntorch.distributed.get_rank()"),
    (devices_are_arguments, "models/vgg.py", "network.cuda()"),
    (surroundings_decide_nothing, "engine/run.py", "import os\nos.environ['SEED']"),
    (surroundings_decide_nothing, "engine/run.py", "from os import environ"),
    (surroundings_decide_nothing, "engine/run.py", "from pathlib import Path\nPath.cwd()"),
    (surroundings_decide_nothing, "engine/run.py", "def f():\n    global seed\n    seed = 1"),
    (trackers_are_called_in_one_file, "engine/run.py", "import wandb"),
    (trackers_are_called_in_one_file, "engine/fit.py", "from torch.utils.tensorboard import SummaryWriter"),
    (files_of_others_run_no_code, "models/weights.py", "torch.load(path)"),
    (files_of_others_run_no_code, "models/weights.py", "torch.load(path, weights_only=False)"),
    (files_of_others_run_no_code, "models/weights.py", "pickle.load(file)"),
    (a_name_says_what_is_in_it, "engine/utils.py", ""),
    (a_name_says_what_is_in_it, "engine/loop_helpers.py", ""),
    (files_stay_short, "engine/run.py", "x = 1\n" * (MOST_LINES + 1)),
]

ALLOWED: list[tuple[Rule, str, str]] = [
    (imports_go_down, "methods/kd.py", "from decant.losses import kd_loss\nfrom decant.methods.task import hard_loss"),
    (imports_go_down, "methods/kd.py", "from .task import hard_loss\nfrom ..interfaces import Batch"),
    (imports_go_down, "cli.py", "from decant.engine import train\nfrom decant.report import chart"),
    (imports_go_down, "__init__.py", "from decant.engine import Distiller"),
    (imports_go_down, "__main__.py", "from decant.cli import main"),
    (the_lowest_layer_stands_on_torch_alone, "losses/kd.py", "import math, torch\nfrom decant.losses import dkd"),
    (the_lowest_layer_stands_on_torch_alone, "losses/triton_rows.py", "import triton"),
    (processes_are_the_affair_of_two_files, "engine/parallel.py", "import torch.distributed, accelerate"),
    (processes_are_the_affair_of_two_files, "engine/all_processes.py", "import torch\ntorch.distributed.get_rank()"),
    (devices_are_arguments, "models/vgg.py", "torch.cuda.is_available()  # not x.cuda()"),
    (files_of_others_run_no_code, "models/weights.py", "torch.load(path, weights_only=True)\njson.load(file)"),
    (files_stay_short, "engine/run.py", "x = 1\n" * MOST_LINES),
]

RULES = list(dict.fromkeys(rule for rule, _, _ in FORBIDDEN))
MODULES = [
    Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))
]


@pytest.mark.parametrize(("rule", "path", "source"), FORBIDDEN)
def test_the_rule_finds_what_it_forbids(rule: Rule, path: str, source: str) -> None:
    assert list(rule(Module(path, source)))


@pytest.mark.parametrize(("rule", "path", "source"), ALLOWED)
def test_the_rule_lets_through_what_it_allows(rule: Rule, path: str, source: str) -> None:
    assert list(rule(Module(path, source))) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rule(rule: Rule) -> None:
    complaints = [f"{module.path}: {complaint}" for module in MODULES for complaint in rule(module)]
    assert not complaints, "\n".join(complaints)


def test_every_module_has_a_layer() -> None:
    assert len(MODULES) > 50
    assert {module.part for module in MODULES} <= RANK.keys()
