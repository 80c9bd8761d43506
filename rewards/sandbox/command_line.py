"""The command line that starts a confined process at each level."""

import functools
import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from rewards.sandbox.inside.launch_order import LaunchOrder

HERE = Path(__file__).resolve().parent
NOBODY = "65534"

# Read by the interpreter that runs the program; the trainer's own variables are not passed on.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/tmp",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def environment(order: LaunchOrder) -> dict[str, str]:
    """Everything a confined process finds in its environment.

    Sets come out in the same order each time, so that a program's verdict is the same each time.
    """
    fixed = {"PYTHONHASHSEED": "0"} if order.role != "grader" else {}
    place = {"HOME": order.folder, "TMPDIR": order.folder} if order.folder else {}
    return ENVIRONMENT | fixed | place


def command(order: LaunchOrder) -> list[str]:
    """The whole command; `order.level` says how much of the isolation is bubblewrap's."""
    flags = ["-s", "-P", "-S", "-B", "-X", "utf8"]
    python = [interpreter(), *flags, str(HERE / "inside" / "boot.py"), order.encode()]
    return [*_bubblewrap(order), *python] if order.level == "bubblewrap" else python


def interpreter() -> str:
    """The real file of this interpreter: a virtual environment's link is not visible inside."""
    return os.path.realpath(sys.executable)


@functools.cache
def library() -> tuple[str, ...]:
    """Folders and files that an interpreter needs to run, and that anybody may read."""
    inner = [path for part in ("inside", "grading") for path in (HERE / part).glob("*.py")]
    warm = [f"rewards.sandbox.{path.parent.name}.{path.stem}" for path in sorted(inner)]
    for module in warm:
        importlib.import_module(module)  # leaves compiled files that the inside cannot write
    base = os.path.realpath(sys.base_prefix)
    wanted = [
        *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache"),
        *("/nix/store", interpreter(), f"{base}/lib", f"{base}/lib64", str(HERE)),
    ]
    kept: list[str] = []
    for path in wanted:
        covered = any(Path(path).is_relative_to(other) for other in kept)
        if os.path.lexists(path) and not covered:
            kept.append(path)
    return tuple(kept)


def site_packages() -> str:
    """The folder of the packages installed beside the trainer."""
    return os.path.realpath(sysconfig.get_path("purelib"))


@functools.cache
def bubblewrap_options() -> str:
    """The options that the installed bubblewrap has, as it lists them; empty without one."""
    path = shutil.which("bwrap")
    if path is None:
        return ""
    done = subprocess.run([path, "--help"], capture_output=True, text=True, env=ENVIRONMENT)
    return done.stdout + done.stderr


def _bubblewrap(order: LaunchOrder) -> list[str]:
    """As root without a user namespace and with a user id of its own, so that the kernel's count
    of tasks is this program's alone; otherwise as nobody in a user namespace that allows no other.
    """
    parts = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--as-pid-1"]
    if not order.mapped:
        parts += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        parts += ["--unshare-cgroup-try", "--cap-drop", "ALL"]
        for right in ("CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN", "CAP_KILL"):  # dropped by `lock`
            parts += ["--cap-add", right]
    else:
        parts += ["--unshare-all", "--unshare-user", "--uid", NOBODY, "--gid", NOBODY]
        if "--disable-userns" in bubblewrap_options():
            parts += ["--disable-userns"]
        parts += ["--cap-add", "CAP_SYS_ADMIN"]  # in that namespace; dropped by `lock`
    size = str(order.disk_mb << 20)
    # before what is shown: a checkout or an interpreter may be below /tmp
    parts += ["--hostname", "sandbox", "--perms", "1777", "--size", size, "--tmpfs", "/tmp"]
    above = sorted({str(parent) for path in order.readable for parent in Path(path).parents})
    for folder in above:  # bubblewrap's own choice is closed to the user that we become
        if folder not in (*order.readable, "/", "/tmp"):
            parts += ["--perms", "0755", "--dir", folder]
    for path in order.readable:
        if os.path.islink(path):
            parts += ["--symlink", os.readlink(path), path]
        else:
            parts += ["--ro-bind", path, path]
    parts += ["--dev", "/dev"]
    return [*parts, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--"]
