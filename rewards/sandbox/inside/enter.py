"""Lock this process down, then run what it was started for.

    lock        limits, namespaces, files, user: everything but the filter of system calls
    seal.seal   the filter, last, by the role itself, because it also forbids what `lock` needs

Nothing untrusted has been read when either runs. A step that fails ends the process before the
program starts; the trainer's side then reports a sandbox failure, never a weaker sandbox.
"""

import importlib
import os
import resource
import sys

from rewards.sandbox.inside import kernel, namespaces
from rewards.sandbox.inside.launch_order import Order

THREADS = 64  # tasks a program of one process may have


def main(argument: str) -> None:
    """Lock down, then hand over to the role, which seals before it touches anything untrusted."""
    order = Order.decode(argument)
    # Imported first: afterwards this folder may be out of reach.
    role = importlib.import_module(f"rewards.sandbox.inside.{order.role}")
    if order.packages:
        sys.path.append(order.packages)
    lock(order)
    role.main(order)


def lock(order: Order) -> None:
    if sys.platform == "linux" and order.level != "bubblewrap":
        kernel.die_with_parent(order.parent)
    if order.level == "bubblewrap":
        namespaces.continue_in_child()
    if order.level == "namespaces":
        namespaces.enter(list(order.readable), order.disk_mb, mapped=order.mapped)
    if order.folder:
        os.chdir(order.folder)
    os.umask(0o077)
    if order.level == "rlimits" and order.user >= 0:
        _keep_library_reachable()
    _limit(order)
    if sys.platform == "linux":
        kernel.no_new_privileges()
    if order.landlocked:  # while the paths can still be walked to
        kernel.restrict_files(list(order.readable), order.folder)
    if order.user >= 0:
        os.setgroups([])
        os.setresgid(order.user, order.user, order.user)
        os.setresuid(order.user, order.user, order.user)
    if sys.platform != "linux":
        return
    kernel.hide_memory()
    kernel.drop_capabilities()
    if order.level == "rlimits":
        kernel.die_with_parent(order.parent)  # forgotten when user and rights changed


def _limit(order: Order) -> None:
    """The kernel's own limits; hard ones, so they cannot be lifted again."""
    mega = 1 << 20
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: order.cpu_s,
        resource.RLIMIT_AS: order.memory_mb * mega,
        resource.RLIMIT_DATA: order.memory_mb * mega,
        resource.RLIMIT_FSIZE: order.disk_mb * mega,
        resource.RLIMIT_NOFILE: order.files,
        resource.RLIMIT_MEMLOCK: 0,
    }
    # The limit counts a user's tasks, so it only means ours where the user id is ours alone.
    if order.user >= 0 or order.level != "rlimits":
        wanted[resource.RLIMIT_NPROC] = max(order.processes, THREADS)
    for which, value in wanted.items():
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # One second between the signal that can be caught and the one that cannot.
        top = value + 1 if which == resource.RLIMIT_CPU else value
        top = top if hard == resource.RLIM_INFINITY else min(top, hard)
        resource.setrlimit(which, (min(value, top), top))


def _keep_library_reachable() -> None:
    """Import the library through open folders, in case the new user cannot walk to it by name."""
    held = {}
    for path in sys.path:
        if os.path.isdir(path):
            held[path] = f"/proc/self/fd/{os.open(path, os.O_RDONLY)}"
    sys.path[:] = held.values()
    longest_first = sorted(held, key=len, reverse=True)
    for module in list(sys.modules.values()):
        folders = module.__dict__.get("__path__")
        if isinstance(folders, list):
            folders[:] = [_held(folder, longest_first, held) for folder in folders]


def _held(folder: str, bases: list[str], held: dict[str, str]) -> str:
    base = next((path for path in bases if folder.startswith(path)), "")
    return held[base] + folder.removeprefix(base) if base else folder
