"""Supervised cold start with TRL's SFTTrainer: `temper sft RECIPE`.

The recipe names a model, or has a `tiny` section from which one is made, and problems whose
`solution` column holds a demonstration. Only the demonstration's tokens are trained on.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from recipes.errors import RecipeError
from recipes.loading.load import find, load
from recipes.loading.validate import validate
from recipes.slots.spec import Spec
from rewards.types import Problem
from rollout.problems import ProblemsSpec, load_problems
from trainer.commands.muon import MuonWithAdamW
from trainer.models.load import model_folder
from trainer.models.tiny import TinySpec, make_tiny
from trainer.monitor.run_lock import locked
from trainer.recipe.sections import ModelSpec


class SftOptimizerSpec(Spec):
    """What moves the weights in the cold start."""

    name: Literal["adamw", "muon"] = "adamw"
    lr: Annotated[float, Field(gt=0, description="AdamW learning rate")] = 1e-5
    muon_lr: Annotated[
        float, Field(gt=0, description="Learning rate of the matrices, for muon")
    ] = 0.01


class SftRecipe(Spec):
    """A supervised cold start."""

    model: Annotated[str, Field(description="Model folder or hub name; '' with `tiny`")] = ""
    tiny: TinySpec = TinySpec()
    problems: ProblemsSpec
    demonstration: Annotated[
        str, Field(description="Column of the text to imitate; answer = the gold answer")
    ] = "solution"
    steps: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0, description="Number of demonstrations per step")] = 64
    optimizer: SftOptimizerSpec = SftOptimizerSpec()
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    seed: int = 0
    output: Annotated[str, Field(description="Output folder of the model")]


def run_sft(name: str, overrides: Sequence[str]) -> None:
    """Train on the recipe's demonstrations and write a Hugging Face model folder."""
    recipe = validate(SftRecipe, load(find(name), overrides))
    output = Path(recipe.output)
    with locked(output):
        source = str(output / "initial")
        if recipe.model:
            source = str(model_folder(ModelSpec(path=recipe.model, context_length=1)))
        if not recipe.model:
            make_tiny(recipe.tiny, Path(source), seed=recipe.seed)
        warm_start(recipe, source, load_problems(recipe.problems))


def warm_start(recipe: SftRecipe, source: str, problems: Sequence[Problem]) -> None:
    """Train `source` on the problems' demonstrations for the recipe's steps."""
    import datasets
    from transformers import AutoModelForCausalLM, AutoTokenizer, get_scheduler
    from trl import SFTConfig, SFTTrainer

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    rows = datasets.Dataset.from_list([_row(p, recipe.demonstration) for p in problems])
    model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(source)
    spec = recipe.optimizer
    optimizer: torch.optim.Optimizer
    if spec.name == "muon":
        optimizer = MuonWithAdamW(model, muon_lr=spec.muon_lr, adamw_lr=spec.lr)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=spec.lr, weight_decay=0.0)
    schedule = get_scheduler("linear", optimizer, recipe.steps // 20, recipe.steps)
    config = SFTConfig(
        output_dir=str(Path(recipe.output) / "trainer"),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.batch_size,
        max_grad_norm=recipe.max_grad_norm,
        max_length=model.config.max_position_embeddings,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=max(recipe.steps // 10, 1),
        save_strategy="no",
        report_to=[],
        seed=recipe.seed,
        dataloader_pin_memory=False,
        disable_tqdm=not sys.stderr.isatty(),
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=rows,
        processing_class=tokenizer,
        optimizers=(optimizer, schedule),
    )
    trainer.train()
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(config.output_dir)
    model.save_pretrained(recipe.output)
    tokenizer.save_pretrained(recipe.output)


def _row(problem: Problem, column: str) -> dict[str, Any]:
    text = problem.answer if column == "answer" else problem.columns.get(column)
    if not isinstance(text, str) or not text:
        raise RecipeError.of(
            f"problem {problem.id} has no demonstration in column '{column}' "
            f"(columns: {', '.join(sorted(problem.columns)) or 'none'})",
            path="demonstration",
            fix="name the column that holds the text to imitate",
        )
    prompt = [{"role": m.role, "content": m.content} for m in problem.messages]
    return {"prompt": prompt, "completion": [{"role": "assistant", "content": text}]}
