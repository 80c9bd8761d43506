"""What runs inside vLLM's workers: one push of weights.

vLLM adds the class's methods to its worker (`worker_extension_cls`), in this process or in
another. The module must import in either without vLLM's help.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner


class PolicyWorker:
    """Methods that vLLM's worker gets; `model_runner` and `reload_weights` are its own."""

    model_runner: "GPUModelRunner"
    reload_weights: Callable[..., None]

    def load_policy(self, weights: "Iterable[tuple[str, Tensor]] | None", folder: str) -> None:
        """Replace all weights, from tensors by checkpoint name or from a folder of safetensors.

        The whole model goes through one call: in several, vLLM's layer-wise reload corrupts it.
        """
        if weights is None:
            self.reload_weights(weights_path=folder, is_checkpoint_format=True)
        else:
            self.reload_weights(weights_iterator=weights, is_checkpoint_format=True)
        repack_tied_head(self.model_runner.get_model(), self.model_runner.device)


def repack_tied_head(model: "PreTrainedModel", device: "torch.device") -> None:
    """On the CPU a reload leaves the packed copy of a tied head at the old weights."""
    import torch
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    tied = model.config.get_text_config().tie_word_embeddings
    if not tied or device.type != "cpu":
        return
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, ParallelLMHead):
                dispatch_cpu_unquantized_gemm(module, remove_weight=False)
