"""SLOT controller: numbers that follow the run, usable wherever a recipe takes a number.

Factories `(*, options) -> Controller`, registered with `@number.controller()`.
"""

from recipes.slots.schedules import Controller, number

__all__ = ["Controller", "number"]

number.extend("trainer.controllers")
