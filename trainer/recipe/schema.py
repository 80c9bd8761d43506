"""What `temper schema` prints, and `recipes/schema.json` holds: the files of all commands."""

import json

from recipes.slots.json_schema import files_schema
from recipes.slots.schedules import number
from rollout.buffers import buffer
from rollout.engines import engine
from rollout.environments import environment
from rollout.filters import filter_
from rollout.samplers import sampler
from rollout.sources import source
from trainer.advantages import advantage
from trainer.corrections import correction
from trainer.loggers import logger
from trainer.losses import loss
from trainer.masks import mask
from trainer.recipe.kinds import KINDS
from trainer.reductions import reduction
from trainer.selections import selection
from trainer.shaping import shaping
from trainer.terms import term
from trainer.verifiers import verifier

REGISTRIES = (
    source, sampler, engine, environment, verifier, filter_, buffer,
    shaping, advantage, selection, mask, correction, reduction, loss, term, number, logger,
)  # fmt: skip


def schema_text() -> str:
    """The JSON Schema of a recipe, a suite, or a fragment of either, as text."""
    return json.dumps(files_schema(KINDS, REGISTRIES), indent=1, ensure_ascii=False) + "\n"
