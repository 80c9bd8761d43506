"""Recipes: shipped YAML files, how they are read (`loading`) and how slots are filled (`slots`).

Import `RecipeError` from `errors`; everything else from the folders below.
"""
