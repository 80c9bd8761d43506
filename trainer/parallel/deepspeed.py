"""The model's state shared out between the ranks by DeepSpeed (ZeRO 1 to 3).

DeepSpeed means to average: it divides by the number of ranks and of accumulation steps. Ours is a
sum, so the loss is multiplied by the number of ranks, and accumulation is unmanaged: every
`backward` adds, `step` is the boundary.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recipes.errors import RecipeError
from recipes.slots.spec import JSON
from trainer.models.logprob_model import LogprobModel
from trainer.models.value_model import ValueModel
from trainer.parallel.optimizer import Optimizers, reset_idle_steps, set_rates
from trainer.parallel.ranks import Processes, Update
from trainer.parallel.state_files import Seals
from trainer.recipe.sections import ShardingSpec

_TAG = "zero"
_SCRIPTS = "zero_to_*.py"
_BUCKET = 2 * 10**8  # elements that travel together at most

PackedModel = Callable[..., tuple[Tensor, ...]]
"""A `LogprobModel` or `ValueModel`, over however many ranks; all of them call it equally often."""


def deepspeed_module(processes: Processes) -> Any:
    """The package, told where it runs before it looks around; RecipeError when not installed."""
    if processes.device.type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    try:
        import deepspeed
    except ImportError as error:
        raise RecipeError.of(
            "sharding.zero needs DeepSpeed, which is not installed",
            path="sharding.zero",
            fix="pip install 'temper-rl[deepspeed]', or set zero: 0",
        ) from error
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    deepspeed.init_distributed(dist_init_required=False, verbose=False)
    return deepspeed


@contextmanager
def loaded_in_parts(
    sharding: ShardingSpec, dtype: torch.dtype, processes: Processes
) -> Iterator[None]:
    """Within it `from_pretrained` gives each rank its part of the weights only (zero 3)."""
    if sharding.zero < 3:
        yield
        return
    from transformers.integrations import HfDeepSpeedConfig
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    deepspeed_module(processes)
    known = HfDeepSpeedConfig(_config(sharding, dtype, processes))  # transformers keeps a weak ref
    try:
        yield
    finally:
        unset_hf_deepspeed_config()
        del known


@contextmanager
def gathered(sharding: ShardingSpec, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Within it the parameters of a model that was loaded in parts are whole; all ranks enter."""
    if sharding.zero < 3:
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(list(parameters)):
        yield


def _config(sharding: ShardingSpec, dtype: torch.dtype, processes: Processes) -> dict[str, JSON]:
    """DeepSpeed's settings but for what depends on the model and the optimizer."""
    zero: dict[str, JSON] = {
        "stage": sharding.zero,
        "overlap_comm": sharding.zero == 3,
        "contiguous_gradients": True,
    }
    if sharding.offload == "cpu":
        host = {"device": "cpu", "pin_memory": processes.device.type == "cuda"}
        zero["offload_optimizer"] = host
        if sharding.zero == 3:
            zero["offload_param"] = host
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "bf16": {"enabled": dtype == torch.bfloat16, "check_grad_overflow": True},
        "communication_data_type": "fp32",
        "data_types": {"grad_accum_dtype": "fp32"},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # torch's fused AdamW is vectorised on the CPU too
        "steps_per_print": 2**31,
        "zero_optimization": zero,
    }


def _sized(config: dict[str, JSON], module: LogprobModel | ValueModel) -> dict[str, JSON]:
    """The settings with bucket sizes that fit the model; a tiny one needs no large buffers."""
    parameters: Iterator[Any] = module.parameters()  # whole, also where this rank holds a part
    total = sum(int(p.ds_numel if _is_partitioned(p) else p.numel()) for p in parameters)
    most = min(_BUCKET, total + total % 2)  # DeepSpeed wants an even number
    sizes = {"reduce_bucket_size": most, "allgather_bucket_size": most}
    if config["zero_optimization"]["stage"] == 3:
        sizes["stage3_prefetch_bucket_size"] = most
        sizes["stage3_param_persistence_threshold"] = (
            10 * module.hidden_size
        )  # norms and biases stay whole
    return {**config, "zero_optimization": {**config["zero_optimization"], **sizes}}


def _dimensions(parameter: Any) -> int:
    """Of the whole parameter, also where this rank holds a part."""
    return len(parameter.ds_shape if _is_partitioned(parameter) else parameter.shape)


def _is_partitioned(parameter: Tensor) -> bool:
    return "ds_status" in vars(parameter)  # what DeepSpeed attaches when it takes one apart


class DeepSpeedModule:
    """A trained module in DeepSpeed's hands."""

    def __init__(
        self,
        module: LogprobModel | ValueModel,
        optimizers: Optimizers,
        sharding: ShardingSpec,
        dtype: torch.dtype,
        processes: Processes,
    ) -> None:
        deepspeed = deepspeed_module(processes)
        config = _sized(_config(sharding, dtype, processes), module)
        config["gradient_clipping"] = optimizers.max_grad_norm
        trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self._frozen = len(trained) < len(list(module.parameters()))
        moved = optimizers.build(trained, _dimensions)
        self._engine = deepspeed.initialize(
            model=module, optimizer=moved, config=config, dist_init_required=False
        )[0]
        self._gathered: Callable[..., Any] = deepspeed.zero.GatheredParameters
        from trainer.parallel.deepspeed_state import PlainCheckpointEngine

        self._files = PlainCheckpointEngine(self._engine.optimizer)
        self._engine.checkpoint_engine = self._files
        self._world_size = processes.world_size
        self._is_main = processes.is_main
        self.whole = sharding.zero < 3

    def __call__(self, *args: object) -> tuple[Tensor, ...]:
        said: tuple[Tensor, ...] = self._engine(*args)
        return said

    def backward(self, total: Tensor) -> None:
        # The factor is 1, or NaN for a loss that is not finite: its gradient may yet be finite.
        scaled = total * (1 + 0 * total.detach()) * self._world_size
        self._engine.backward(scaled, scale_wrt_gas=False)

    def step(self, lr: float | None, critic_lr: float = 0.0) -> Update:
        set_rates(self._engine.optimizer, lr, critic_lr)
        self._engine.step()
        optimizer = self._engine.optimizer
        if lr is None:
            reset_idle_steps(optimizer.optimizer)
        if optimizer.overflow and self.whole:
            # With offload, DeepSpeed 0.19 leaves the bad gradient to be added to the next.
            optimizer.averaged_gradients = dict.fromkeys(optimizer.averaged_gradients)
        norm = float(self._engine.get_global_grad_norm())
        return Update(norm=norm, skipped=bool(optimizer.overflow))

    @contextmanager
    def gathered(self, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
        with self._gathered(list(parameters), enabled=not self.whole):
            yield

    def save(self, folder: Path) -> Seals:
        self._engine.save_checkpoint(
            str(folder), tag=_TAG, save_latest=False, exclude_frozen_parameters=self._frozen
        )
        if self._is_main:  # a checkpoint holds data; DeepSpeed adds a script that unpickles it
            for script in folder.glob(_SCRIPTS):
                script.unlink()
        return self._files.take_seals()

    def load(self, folder: Path) -> None:
        self._engine.load_checkpoint(
            str(folder),
            tag=_TAG,
            load_module_strict=not self._frozen,
            load_lr_scheduler_states=False,
        )


class FrozenDeepSpeedModule:
    """A module that is only asked, its weights shared out between the ranks (zero 3)."""

    def __init__(
        self,
        module: LogprobModel | ValueModel,
        sharding: ShardingSpec,
        dtype: torch.dtype,
        processes: Processes,
    ) -> None:
        deepspeed = deepspeed_module(processes)
        config = _sized(_config(sharding, dtype, processes), module)
        config["zero_optimization"].pop("offload_optimizer", None)
        self._engine = deepspeed.initialize(model=module, config=config, dist_init_required=False)[
            0
        ]

    def __call__(self, *args: object) -> tuple[Tensor, ...]:
        said: tuple[Tensor, ...] = self._engine(*args)
        return said


def freeze(
    module: LogprobModel | ValueModel,
    dtype: torch.dtype,
    sharding: ShardingSpec,
    processes: Processes,
) -> PackedModel:
    """The module without gradients or dropout, laid over the ranks as `sharding` says."""
    module = module.requires_grad_(False).eval()
    if sharding.zero < 3:
        return module.to(processes.device)
    return FrozenDeepSpeedModule(module, sharding, dtype, processes)
