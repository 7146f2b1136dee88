"""Recipes: frozen dataclasses that decide a result, loaded strictly from TOML."""

from decant.recipe.comparison import KD_MATCHED, ROLES, CompareSettings, Roles, method_settings, with_candidate
from decant.recipe.loader import (
    AnyRecipe,
    RecipeError,
    load_as,
    load_recipe,
    recipe_as,
    recipe_from_dict,
    recipe_hash,
    recipe_to_dict,
    task_of,
    with_changes,
    with_overrides,
)
from decant.recipe.own_code import CodeFile, code_files, is_own, named_code
from decant.recipe.own_networks import network_named, network_of_code
from decant.recipe.settings import NetworkSettings, Recipe, SightSettings, TeacherSettings
from decant.recipe.shelf import find_recipe, shipped_recipes
from decant.recipe.training import (
    Cosine,
    DOTSettings,
    MultiStep,
    OneCycle,
    OptimizerSettings,
    Schedule,
    SGDSettings,
    TrainSettings,
)

__all__ = [
    "KD_MATCHED",
    "ROLES",
    "AnyRecipe",
    "CodeFile",
    "CompareSettings",
    "Cosine",
    "DOTSettings",
    "MultiStep",
    "NetworkSettings",
    "OneCycle",
    "OptimizerSettings",
    "Recipe",
    "RecipeError",
    "Roles",
    "SGDSettings",
    "Schedule",
    "SightSettings",
    "TeacherSettings",
    "TrainSettings",
    "code_files",
    "find_recipe",
    "is_own",
    "load_as",
    "load_recipe",
    "method_settings",
    "named_code",
    "network_named",
    "network_of_code",
    "recipe_as",
    "recipe_from_dict",
    "recipe_hash",
    "recipe_to_dict",
    "shipped_recipes",
    "task_of",
    "with_candidate",
    "with_changes",
    "with_overrides",
]
