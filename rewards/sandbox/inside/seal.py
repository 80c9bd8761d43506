"""The last step before untrusted code: the filter of system calls."""

from rewards.sandbox.inside import kernel
from rewards.sandbox.inside.launch_order import Order


def seal(order: Order) -> None:
    """Forbid, for good, what neither the program nor anything it starts may ask of the kernel."""
    if order.filtered:
        kernel.filter_calls(shared_view=order.level == "rlimits", one_process=order.processes == 1)
