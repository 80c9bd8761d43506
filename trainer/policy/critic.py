"""The critic: a model that predicts the expected return of each state, with its own optimizer.

    separate backbone    a second model, which shares only the ranks with the policy
    shared backbone      a value head on the policy's layers, inside the policy's module and update
    frozen               a second model without an optimizer (a global value model)

`values[t]` is the value of the state before token t, as `logprobs[t]` is of the token after it;
`next_values[t]` is the value of the state after token t.
"""

from pathlib import Path

import torch
from torch import Tensor

from recipes.errors import RecipeError
from trainer.batch import TokenBatch, scored_tokens
from trainer.models.folder import path_of
from trainer.models.load import add_value_adapter, load_tokenizer, same_vocabulary
from trainer.models.value_model import (
    bins_range_of,
    expected_value,
    load_value_model,
    save_value_model,
)
from trainer.parallel.deepspeed import (
    DeepSpeedModule,
    PackedModel,
    freeze,
    gathered,
    loaded_in_parts,
)
from trainer.parallel.optimizer import Optimizers
from trainer.parallel.ranks import ParallelModule, Processes, Update
from trainer.parallel.replicated import ReplicatedModule
from trainer.parallel.state_files import Seals
from trainer.policy.weights import collected
from trainer.recipe.sections import CriticSpec, ModelSpec, ShardingSpec

_FOLDER = "critic"


class Critic:
    """A value model of its own, over the policy's ranks."""

    def __init__(
        self, spec: CriticSpec, policy: ModelSpec, sharding: ShardingSpec, processes: Processes
    ) -> None:
        path = spec.path or policy.path
        self._model = policy.model_copy(update={"path": path, "lora": spec.lora})
        self._processes = processes
        self._range = (spec.low, spec.high) if spec.bins else None
        if spec.path is not None:
            with path_of("critic.path"):
                same_vocabulary(policy, self._model)
        with loaded_in_parts(sharding, policy.torch_dtype, processes), path_of("critic.path"):
            self._values = load_value_model(
                self._model, spec.outputs, lambda some: gathered(sharding, some)
            )
        if spec.optimizer is None and self._values.fresh:
            raise RecipeError.of(
                f"{path} has no trained value head: a frozen critic would predict 0",
                path="critic.path",
                fix="name a critic that `temper export --critic` wrote or a reward model, or give "
                "critic.optimizer",
            )
        written, ours = bins_range_of(self._values), (spec.low, spec.high)
        if spec.bins and written not in (None, ours):
            raise RecipeError.of(
                f"the bins of {path} are spread over {written}, critic.low and critic.high say "
                f"{ours}",
                path="critic.low",
                fix="set both to the folder's, or start from a model without a value head",
            )
        if spec.lora:
            add_value_adapter(self._values.classifier.base_model, spec.lora)
        self._module: ParallelModule | None = None
        if spec.optimizer is None:
            self._score: PackedModel = freeze(self._values, policy.torch_dtype, sharding, processes)
            return
        optimizers = Optimizers(layers=spec.optimizer)
        if sharding.zero == 0:
            self._module = ReplicatedModule(self._values, optimizers, processes)
        else:
            dtype = policy.torch_dtype
            self._module = DeepSpeedModule(self._values, optimizers, sharding, dtype, processes)
        self._score = self._module

    @property
    def learns(self) -> bool:
        return self._module is not None

    def train(self, learning: bool) -> None:
        """Dropout of an adapter, on or off."""
        self._values.train(learning)

    def __call__(self, micro: TokenBatch) -> Tensor:
        """The head's outputs [T, bins or 1] after each token; every rank calls equally often."""
        if micro.num_tokens == 0:  # the other ranks wait for this one inside the model
            two = torch.arange(2, device=self._processes.device)
            return self._score(torch.zeros_like(two), two, [2])[0][:0]
        return self._score(micro.token_ids, micro.position_ids, micro.lengths.tolist())[0]

    def backward(self, total: Tensor) -> None:
        """Add a microbatch's part of the critic's objective to its gradient."""
        assert self._module is not None, "a frozen critic was given a loss"
        self._module.backward(total)

    def zero_grad(self) -> None:
        """Drop the gradient so far."""
        self._values.zero_grad()

    def step(self, lr: float) -> Update:
        """Move the critic by the gradient's sum over the ranks."""
        assert self._module is not None, "a frozen critic was told to step"
        return self._module.step(lr)

    def save(self, folder: Path) -> Seals:
        """Weights and optimizer, below a policy's checkpoint; a frozen critic has no state."""
        if self._module is None:
            return {}
        (folder / _FOLDER).mkdir(exist_ok=True)
        return self._module.save(folder / _FOLDER)

    def load(self, folder: Path) -> None:
        if self._module is not None:
            self._module.load(folder / _FOLDER)

    def export(self, folder: Path) -> None:
        """Write a Hugging Face folder of a token classifier, adapters merged, with tokenizer."""
        assert self._module is not None, "a frozen critic is what it was loaded from"
        model = self._values.classifier
        tensors = collected(model, self._module, self._processes.is_main)
        if self._processes.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            save_value_model(self._values, tensors, folder, self._range)
            load_tokenizer(self._model).save_pretrained(folder)
        self._processes.barrier()


def split_values(
    micro: TokenBatch, outputs: Tensor, spec: CriticSpec
) -> tuple[Tensor, Tensor, Tensor]:
    """The head's outputs after each token [T, K] as (values [T], next_values [T], logits [T, K]).

    `values` and `logits` speak of the state before the token. Reward units; zero on the prompt.
    """
    scored = scored_tokens(micro)
    said = expected_value(outputs, spec.low, spec.high)
    zeros = said.new_zeros(micro.num_tokens)
    before = zeros.index_copy(0, scored, said[scored - 1])
    after = zeros.index_copy(0, scored, said[scored])
    logits = torch.zeros_like(outputs).index_copy(0, scored, outputs[scored - 1])
    return before, after, logits
