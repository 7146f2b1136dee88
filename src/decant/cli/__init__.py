"""The command line: parse, call, print. Everything it does is a call that Python users can make too."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from decant.cli.compare import compare
from decant.cli.distill import distill
from decant.cli.doctor import doctor
from decant.cli.export import export
from decant.cli.predict import predict
from decant.cli.publish import card, push
from decant.cli.report import report
from decant.cli.reproduce import reproduce
from decant.cli.shelf import list_, show
from decant.cli.study import study
from decant.cli.train import cache, evaluate, train
from decant.cli.tune import tune


class _Commands(TyperGroup):
    """All commands: an interrupt ends in words, before typer makes it a silent exit."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            Console(stderr=True).print("decant: interrupted; the same command goes on from here", style="red")
            raise typer.Exit(130) from None


app = typer.Typer(
    name="decant",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",  # "rich" would take what stands in square brackets, such as a default, for markup
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        Console().print(f"decant {version('decant-kd')}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code a fault arose.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", callback=_version)] = False,
) -> None:
    """Knowledge distillation for PyTorch, built around Decoupled Knowledge Distillation (DKD)."""


_COMMANDS: tuple[Callable[..., None], ...] = (
    train,
    compare,
    cache,
    evaluate,
    list_,
    show,
    distill,
    predict,
    export,
    card,
    push,
    tune,
    reproduce,
    study,
    report,
    doctor,
)
for _command in _COMMANDS:
    app.command(_command.__name__.rstrip("_"))(_command)


def main() -> None:
    """Run the command line; a fault of the user's ends in its message, a fault of ours in its traceback."""
    from decant.engine.lost_process import LostProcessError
    from decant.engine.meter import NonFiniteLossError
    from decant.engine.termination import EXIT_CODE, TerminatedError

    arguments = [argument for argument in sys.argv[1:] if argument != "--traceback"]  # wherever it was put
    try:
        app(args=arguments)
    except (
        ValueError,
        OSError,
        ImportError,
        MemoryError,
        NonFiniteLossError,
        TerminatedError,
        LostProcessError,
    ) as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        Console(stderr=True).print(f"decant: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(EXIT_CODE if isinstance(error, TerminatedError) else 2)
