"""What a confined process may use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds for one program; each is enforced by the kernel except `wall_s` and `output_kb`.

    Example: Limits(wall_s=6, cpu_s=6, memory_mb=1024)
    """

    wall_s: float = 10.0  # seconds from start to end, then killed
    cpu_s: int = 10  # seconds of processor time, over all its threads
    memory_mb: int = 1024  # address space of one process
    processes: int = 1  # 1: threads only; more needs a level with its own process ids
    disk_mb: int = 64  # in the temporary folder
    output_kb: int = 4096  # of standard output, and of standard error, then killed
    files: int = 128  # open at once
