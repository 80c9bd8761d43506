"""Supervised cold start with TRL's SFTTrainer: `temper sft RECIPE`.

The recipe names a model, or has a `tiny` section from which one is made, and problems whose
`solution` column holds a demonstration. Only the demonstration's tokens are trained on.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from recipes.loading.recipe_tree import with_source_location
from recipes.loading.validate import validate
from rollout.problems import load_problems
from trainer.commands.muon import MuonWithAdamW
from trainer.models.folder import (
    LEFTOVERS,
    check_language_model,
    model_folder,
    path_of,
    refuse_occupied,
)
from trainer.models.load import language_model, readable_model
from trainer.models.logprob_model import LogprobModel, check_logprobs
from trainer.models.tiny import make_tiny
from trainer.models.trl_settings import trl_settings
from trainer.monitor.run_lock import locked
from trainer.recipe.kinds import SftRecipe, load_for
from trainer.recipe.sections import ModelSpec


def run_sft(name: str, overrides: Sequence[str], *, overwrite: bool = False) -> None:
    """Train on the recipe's demonstrations and write a Hugging Face model folder.

    Raises RecipeError where its output folder holds files: with `overwrite` an earlier model is
    replaced, and nothing else is.
    """
    loaded = load_for("sft", name, overrides)
    recipe = validate(SftRecipe, loaded)
    output = Path(recipe.output)
    with with_source_location(loaded, "problems"):
        problems = load_problems(recipe.problems)
    with with_source_location(loaded):
        texts = [recipe.demonstration_of(problem) for problem in problems]
    rows: list[dict[str, Any]] = [
        {
            "prompt": [{"role": m.role, "content": m.content} for m in problem.messages],
            "completion": [{"role": "assistant", "content": text}],
        }
        for problem, text in zip(problems, texts, strict=True)
    ]
    with locked(output):
        with with_source_location(loaded):
            refuse_occupied(output, overwrite=overwrite, leftovers=LEFTOVERS, path="output")
        source = str(output / "initial")
        if recipe.model:
            with with_source_location(loaded), path_of("model"):
                source = str(model_folder(ModelSpec(path=recipe.model, context_length=1)))
        else:
            make_tiny(recipe.tiny, Path(source), seed=recipe.seed)
        with with_source_location(loaded):
            warm_start(recipe, source, rows)


def warm_start(recipe: SftRecipe, source: str, rows: Sequence[dict[str, Any]]) -> None:
    """Train `source` on rows of a prompt and its completion for the recipe's steps."""
    import datasets
    from transformers import AutoModelForCausalLM, AutoTokenizer, get_scheduler
    from trl import SFTConfig, SFTTrainer

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    with path_of("model"), readable_model(source):
        check_language_model(Path(source))
        with language_model(source):
            model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
            tokenizer: Any = AutoTokenizer.from_pretrained(source)
        check_logprobs(LogprobModel(model))  # what is trained here is trained on afterwards
    spec = recipe.optimizer
    optimizer: torch.optim.Optimizer
    if spec.name == "muon":
        optimizer = MuonWithAdamW(model, muon_lr=spec.muon_lr, adamw_lr=spec.lr)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=spec.lr, weight_decay=0.0)
    schedule = get_scheduler("linear", optimizer, recipe.steps // 20, recipe.steps)
    with trl_settings(
        Path(recipe.output),
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        max_grad_norm=recipe.max_grad_norm,
        seed=recipe.seed,
    ) as settings:
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(**settings, max_length=model.config.max_position_embeddings, bf16=False),
            train_dataset=datasets.Dataset.from_list(list(rows)),
            processing_class=tokenizer,
            optimizers=(optimizer, schedule),
        )
        trainer.train()
    model.save_pretrained(recipe.output)
    tokenizer.save_pretrained(recipe.output)
