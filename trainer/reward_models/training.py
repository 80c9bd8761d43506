"""Training a reward model with TRL's RewardTrainer: `temper reward RECIPE`.

The recipe names a model, or has a `tiny` section from which one is made, and preference pairs. What
is written is a sequence classifier with one label, as Hugging Face saves it, which `reward_model`
loads in process and vLLM serves with `--runner pooling`. Pairs that were held out say how often it
prefers what people preferred.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from eval.intervals import Estimate, bootstrap
from recipes.errors import RecipeError
from recipes.loading.recipe_tree import with_source_location
from recipes.loading.validate import validate
from rollout.data.pairs import Pairs, load_pairs
from trainer.models.folder import LEFTOVERS, refuse_occupied
from trainer.models.tiny import make_tiny
from trainer.models.trl_settings import trl_settings
from trainer.monitor.run_lock import locked
from trainer.recipe.kinds import RewardRecipe, load_for
from trainer.reward_models.conversation import (
    conversation_ids,
    own_pad_token,
    refuse_without_template,
)
from trainer.reward_models.decomposition import decompose
from trainer.reward_models.host import RewardOutput, classify

REPORT = "reward_report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardReport:
    """How a reward model does on pairs that it was not trained on."""

    accuracy: Estimate  # share of pairs whose chosen response has the higher output; ties a half
    mean: float  # of the outputs over both responses: `mean` and `std` of the verifier
    std: float
    left_out: int  # pairs with more than max_length tokens, of either kind

    @property
    def words(self) -> str:
        """For the user."""
        longer = f"; {self.left_out} pairs are too long and were left out" if self.left_out else ""
        found = self.accuracy
        return (
            f"accuracy {found.value:.3f} [{found.low:.3f}, {found.high:.3f}] on {found.problems} "
            f"held-out pairs, chance is 0.5{longer}\n"
            f"to normalise its output: {{mean: {self.mean:.4g}, std: {self.std:.4g}}}"
        )

    def write(self, folder: Path) -> None:
        facts = {
            "accuracy": self.accuracy.value,
            "interval": [self.accuracy.low, self.accuracy.high],
            "pairs": self.accuracy.problems,
            "mean": self.mean,
            "std": self.std,
            "left_out": self.left_out,
        }
        (folder / REPORT).write_text(json.dumps(facts, indent=2) + "\n")


def run_reward_training(
    name: str, overrides: Sequence[str], console: Console, *, overwrite: bool = False
) -> None:
    """Train as the recipe says, evaluate on the held-out pairs, write model and report.

    Raises RecipeError where its output folder holds files: with `overwrite` an earlier model is
    replaced, and nothing else is.
    """
    from transformers.utils import logging

    loaded = load_for("reward", name, overrides)
    recipe = validate(RewardRecipe, loaded)
    logging.disable_progress_bar()
    with with_source_location(loaded, "pairs"):
        pairs = load_pairs(recipe.pairs)
    console.print(pairs.report, highlight=False, soft_wrap=True)
    output = Path(recipe.output)
    with locked(output), with_source_location(loaded):
        refuse_occupied(output, overwrite=overwrite, leftovers=LEFTOVERS, path="output")
        report = train_reward_model(recipe, pairs)
    console.print(report.words, highlight=False, soft_wrap=True)
    console.print(f"reward model: {recipe.output}", highlight=False, soft_wrap=True)


def train_reward_model(recipe: RewardRecipe, pairs: Pairs) -> RewardReport:
    """The report of a model that was trained and saved to `recipe.output`."""
    output = Path(recipe.output)
    source = recipe.model or str(output / "initial")
    if not recipe.model:
        make_tiny(recipe.tiny, Path(source), seed=recipe.seed)
    model, tokenizer = _base(recipe, source)
    ids = (
        [
            (
                conversation_ids(tokenizer, pair.prompt, pair.chosen, plain=recipe.plain),
                conversation_ids(tokenizer, pair.prompt, pair.rejected, plain=recipe.plain),
            )
            for pair in side
        ]
        for side in (pairs.train, pairs.held_out)
    )
    train, held_out = (
        [pair for pair in side if max(map(len, pair)) <= recipe.max_length] for side in ids
    )
    left_out = len(pairs.train) + len(pairs.held_out) - len(train) - len(held_out)
    if not train or not held_out:
        raise RecipeError.of(
            f"{left_out} pairs have more than {recipe.max_length} tokens, which leaves "
            f"{len(train)} to train on and {len(held_out)} held out",
            path="max_length",
            fix="raise it, if the model's context allows",
        )
    _fit(recipe, model, tokenizer, train)
    model.eval()
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    if recipe.heads:
        found = [s.embedding for s in _scored(model, train, recipe.batch_size, embed=True)]
        embeddings = torch.stack([embedding for embedding in found if embedding is not None])
        preferred, refused = embeddings.chunk(2)
        decompose(preferred, refused, recipe.heads).write(output)
    scored = _scored(model, held_out, recipe.batch_size)
    report = _report(scored, left_out, recipe.seed)
    report.write(output)
    return report


_Ids = tuple[list[int], list[int]]  # chosen, rejected


def _base(recipe: RewardRecipe, source: str) -> tuple[Any, Any]:
    """The model with a fresh head, and its tokenizer with a pad token of its own."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl.trainer.reward_trainer import suppress_seqcls_warning

    torch.manual_seed(recipe.seed)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source)
        with suppress_seqcls_warning():
            model: Any = AutoModelForSequenceClassification.from_pretrained(
                source, num_labels=1, dtype=torch.float32
            )
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
        ImportError,
    ) as error:
        first = str(error).strip().split("\n", 1)[0]
        raise RecipeError.of(
            f"the model {source} cannot be loaded: {first}",
            path="model",
            fix="name a model folder or a hub name; leave it out to make the tiny one",
        ) from error
    refuse_without_template(tokenizer, source, plain=recipe.plain)
    if own_pad_token(tokenizer):
        model.resize_token_embeddings(len(tokenizer))
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def _fit(recipe: RewardRecipe, model: Any, tokenizer: Any, pairs: Sequence[_Ids]) -> None:
    """Run TRL's RewardTrainer on ids that are already made."""
    import datasets
    from trl import RewardConfig, RewardTrainer

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    rows = [{"chosen_ids": chosen, "rejected_ids": rejected} for chosen, rejected in pairs]
    with trl_settings(
        Path(recipe.output),
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        max_grad_norm=recipe.max_grad_norm,
        seed=recipe.seed,
    ) as settings:
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(
                **settings,
                learning_rate=recipe.lr,
                lr_scheduler_type="linear",
                warmup_steps=recipe.steps // 20,
                weight_decay=0.0,
                center_rewards_coefficient=recipe.center_coef or None,
                max_length=None,
                bf16=recipe.dtype == "bfloat16",
            ),
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        trainer.train()


def _scored(
    model: Any, pairs: Sequence[_Ids], batch: int, *, embed: bool = False
) -> list[RewardOutput]:
    """Both sides of every pair, the chosen ones first."""
    ids = [chosen for chosen, _ in pairs] + [rejected for _, rejected in pairs]
    starts = range(0, len(ids), batch)
    return [s for at in starts for s in classify(model, ids[at : at + batch], embed=embed)]


def _report(scored: Sequence[RewardOutput], left_out: int, seed: int) -> RewardReport:
    outputs = np.array([s.reward for s in scored])
    chosen, rejected = np.split(outputs, 2)
    right = (chosen > rejected) + 0.5 * (chosen == rejected)
    return RewardReport(
        accuracy=bootstrap(right, seed=seed),
        mean=float(outputs.mean()),
        std=float(outputs.std(ddof=1)),
        left_out=left_out,
    )
