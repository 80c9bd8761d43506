"""What a vLLM server's workers run where there is no NCCL: weights received over gloo.

A server is started with `--worker-extension-cls rollout.engines.vllm_remote.gloo.GlooWorker`,
which makes every worker import this file, and with
`--weight-transfer-config '{"backend": "gloo"}'`.
"""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from recipes.slots.spec import JSON
from rollout.engines.vllm_remote.gloo_group import GlooGroup, Meeting, join, receive
from rollout.engines.vllm_remote.worker_extension import repack_tied_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from vllm.config import VllmConfig, WeightTransferConfig

BACKEND = "gloo"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlooInit:
    """What a server is told once; its first worker has rank `rank_offset` of the group."""

    address: str
    port: int
    world_size: int
    timeout_s: float
    rank_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GlooUpdate:
    """The tensors of one push, in the order in which they are sent."""

    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]


class GlooEngine:
    """vLLM's WeightTransferEngine by its methods alone, so that this file imports without vLLM.

    vLLM's own base class waits for an accelerator after each update, which the CPU refuses.
    """

    supports_draft_weight_update: ClassVar[bool] = False
    defers_processing: ClassVar[bool] = False

    def __init__(
        self,
        config: "WeightTransferConfig",
        vllm_config: "VllmConfig",
        device: torch.device,
        model: "PreTrainedModel",
    ) -> None:
        self._parallel = vllm_config.parallel_config
        self._model_config = vllm_config.model_config
        self._device = device
        self._model = model
        self._group: GlooGroup | None = None

    def parse_init_info(self, info: dict[str, JSON]) -> GlooInit:
        return GlooInit(**info)

    def init_transfer_engine(self, info: GlooInit) -> None:
        """Join the trainer's group; ranks count through all workers of all replicas."""
        parallel = self._parallel
        rank = info.rank_offset + parallel.data_parallel_index * parallel.world_size + parallel.rank
        meeting = Meeting(
            address=info.address,
            port=info.port,
            world_size=info.world_size,
            timeout_s=info.timeout_s,
        )
        self._group = join(meeting, rank)

    def start_weight_update(self) -> None:
        from vllm.model_executor.model_loader.reload import initialize_layerwise_reload

        initialize_layerwise_reload(self._model)

    def update_weights(self, update_info: dict[str, JSON]) -> None:
        """Receive all tensors of one push and load them in a single call."""
        assert self._group is not None, "the group is joined before the first push"
        info = GlooUpdate(**update_info)
        tensors = receive(self._group, info.names, info.dtype_names, info.shapes)
        self._model.load_weights((name, tensor.to(self._device)) for name, tensor in tensors)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def finish_weight_update(self) -> None:
        from vllm.model_executor.model_loader.reload import finalize_layerwise_reload

        finalize_layerwise_reload(self._model, self._model_config)
        repack_tied_head(self._model, self._device)

    def reset_weight_update_target(self) -> None:
        """There is one target: the model itself."""

    def drain_pending(self) -> None:
        """Nothing is ever pending."""

    def shutdown(self) -> None:
        self._group = None


class GlooWorker:
    """Adds no method to vLLM's worker: that the worker imports this file is all it is for."""


if sys.modules.get("vllm") is not None:  # in vLLM's worker; elsewhere it is a long import
    from vllm.distributed.weight_transfer import WeightTransferEngineFactory

    WeightTransferEngineFactory.register_engine(BACKEND, GlooEngine)
