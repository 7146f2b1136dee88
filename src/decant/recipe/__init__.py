"""Recipes: frozen dataclasses that decide a result, loaded strictly from TOML."""

from decant.recipe.comparison import KD_MATCHED, CompareSettings, method_settings, with_candidate
from decant.recipe.loader import RecipeError, load_recipe, recipe_from_dict, recipe_hash, recipe_to_dict
from decant.recipe.settings import NetworkSettings, Recipe, TeacherSettings
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
    "CompareSettings",
    "Cosine",
    "DOTSettings",
    "MultiStep",
    "NetworkSettings",
    "OneCycle",
    "OptimizerSettings",
    "Recipe",
    "RecipeError",
    "SGDSettings",
    "Schedule",
    "TeacherSettings",
    "TrainSettings",
    "find_recipe",
    "load_recipe",
    "method_settings",
    "recipe_from_dict",
    "recipe_hash",
    "recipe_to_dict",
    "shipped_recipes",
    "with_candidate",
]
