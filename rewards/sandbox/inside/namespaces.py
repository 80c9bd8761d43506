"""Own namespaces without any helper program: what the `namespaces` level does before the program.

    started by the trainer    waits for process 1, takes over its exit status
      `- process 1            waits for the program; when it ends, the kernel kills all the rest
           `- the caller      goes on, sees only the folders it was given

At `bubblewrap` the first of the three is bubblewrap, and process 1 is ours again: bubblewrap's own
would outlive it for a moment, and stay unreaped where the machine's first process reaps nobody.

Both waiting processes close the caller's pipes, so that end of file means that the program ended.
"""

import os

from rewards.sandbox.inside import kernel

_ROOT = "/proc"  # the new root is mounted here: the one place that holds nothing we need


def enter(readable: list[str], disk_mb: int, *, mapped: bool) -> None:
    """Move this process into new namespaces; returns only in the innermost child.

    mapped: in a user namespace too, which gives the rights for the others.
    """
    user, group = os.geteuid(), os.getegid()
    flags = kernel.NEW_MOUNTS | kernel.NEW_PIDS | kernel.NEW_NETWORK | kernel.NEW_IPC
    flags |= kernel.NEW_HOSTNAME
    if mapped:
        flags |= kernel.NEW_USERS
    kernel.unshare(flags)
    if mapped:
        _map_ids(user, group)
    continue_in_child()
    _build_root(readable, disk_mb)
    continue_in_child()


def _map_ids(user: int, group: int) -> None:
    """Inside, this user is called nobody; outside, it is who it always was."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"65534 {user} 1"),
        ("gid_map", f"65534 {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def continue_in_child() -> None:
    """Fork; the child returns, the parent waits for it and ends as it ended."""
    parent = os.getpid()
    child = os.fork()
    if child:
        os.closerange(0, 1 << 20)
        while True:
            ended, status = os.waitpid(-1, 0)
            if ended == child:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
    # In a new process namespace the parent is invisible (0): then its death ends us anyway.
    kernel.die_with_parent(parent if os.getpid() != 1 else 0)


def _build_root(readable: list[str], disk_mb: int) -> None:
    """A root of its own: the given folders read-only, a few devices, and an empty /tmp."""
    kernel.mount("none", "/", "", kernel.RECURSIVE | kernel.PRIVATE)
    plain = kernel.NO_SUID | kernel.NO_DEVICES
    kernel.mount("tmpfs", _ROOT, "tmpfs", plain, "mode=0755,size=1m")
    _mount_empty("/tmp", disk_mb)  # first: a checkout or an interpreter may lie below it
    for path in readable:
        _show(path, kernel.READ_ONLY | plain)
    for device in ("null", "zero", "full", "urandom", "random"):
        _show(f"/dev/{device}", kernel.NO_SUID)
    _mount_empty("/dev/shm", 1)
    os.mkdir(f"{_ROOT}/.old")
    kernel.pivot_root(_ROOT, f"{_ROOT}/.old")
    os.rmdir("/.old")
    kernel.restrict_mount("/", kernel.READ_ONLY, below=False)


def _mount_empty(folder: str, size_mb: int) -> None:
    """A folder in memory that the program may write to."""
    os.makedirs(_ROOT + folder)
    flags = kernel.NO_SUID | kernel.NO_DEVICES | kernel.NO_EXEC
    kernel.mount(
        "tmpfs", _ROOT + folder, "tmpfs", flags, f"mode=1777,size={size_mb}m,nr_inodes=4096"
    )


def _show(path: str, flags: int) -> None:
    """Bind `path` at the same place below the new root; a link is made anew as a link."""
    if not os.path.lexists(path):
        return
    target = _ROOT + path
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.mount(path, target, "", kernel.BIND | kernel.RECURSIVE)
    kernel.restrict_mount(target, flags)
