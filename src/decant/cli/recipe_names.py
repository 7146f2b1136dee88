"""What a recipe is called on the command line, and where its run goes."""

from pathlib import Path


def recipe_name(path: Path) -> str:
    """A shipped recipe's name, or the file's: what a command that is written down calls it."""
    from decant.recipe import shipped_recipes

    names = {file.resolve(): name for name, file in shipped_recipes().items()}
    return names.get(path.resolve(), path.stem)


def default_folder(path: Path) -> Path:
    """Beside the others; for a recipe out of a run folder that folder itself, where the run goes on."""
    return path.parent if path.name == "recipe.json" else Path("runs") / recipe_name(path)
