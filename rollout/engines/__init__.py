"""SLOT engine: draws completions from the policy's current weights. One file per engine.

The three folders hold what the engines are made of, and import none of the files here.
"""

from recipes.slots.registry import Registry
from rollout.generation import Engine, EngineContext

engine: Registry[[EngineContext], Engine] = Registry(
    "engine", params=("context",), packages=["rollout.engines"]
)
