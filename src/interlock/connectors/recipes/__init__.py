"""Recipes: what documents of others become here, and what our messages become there. The language is told in docs/mappings.md."""

from interlock.connectors.recipes.compile import compile_recipe, compile_template, settings_of
from interlock.connectors.recipes.made import Made
from interlock.connectors.recipes.recipe import Origin, Recipe
from interlock.connectors.recipes.template import Template
from interlock.connectors.recipes.wrong import RecipeWrong

__all__ = [
    "Made",
    "Origin",
    "Recipe",
    "RecipeWrong",
    "Template",
    "compile_recipe",
    "compile_template",
    "settings_of",
]
