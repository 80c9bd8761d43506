"""Lock a confined process down, in three steps; the first untrusted byte is read after the last.

    isolate        namespaces, once for a sandbox: what can be seen
    lock           a temporary folder, limits, Landlock, user, no rights: before each program
    seccomp.seal   the filter of system calls, which also forbids what the steps before need

    started by the trainer    waits for process 1, takes over its exit status
      `- process 1            waits for the role; when it ends, the kernel kills all the rest
           `- the role        sees only the folders it was given

At `bubblewrap` the first of the three is bubblewrap, and process 1 is ours again: bubblewrap's own
would outlive it for a moment, and stay unreaped where the machine's first process reaps nobody.
A step that fails ends the process before the program starts; the trainer's side then reports a
sandbox failure, never a weaker sandbox.
"""

import os
import resource
import sys

from rewards.sandbox.inside import kernel
from rewards.sandbox.inside.launch_order import LaunchOrder

THREADS = 64  # tasks a program of one process may have

_ROOT = "/proc"  # the new root is mounted here: the one place that holds nothing we need
_TEMPORARY = "/tmp"
_ASIDE = "/dev/shm"  # an empty folder at both upper levels


def isolate(order: LaunchOrder) -> None:
    """Move this process into its namespaces; returns only in the innermost child."""
    if sys.platform == "linux" and order.level != "bubblewrap":
        kernel.die_with_parent(order.parent)
    if order.level == "bubblewrap":
        continue_in_child()
    if order.level == "namespaces":
        user, group = os.geteuid(), os.getegid()
        kernel.unshare(kernel.EVERYTHING | (kernel.NEW_USERS if order.mapped else 0))
        if order.mapped:
            # Inside, this user is called nobody; outside, it is who it always was.
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"65534 {user} 1")
            _write("/proc/self/gid_map", f"65534 {group} 1")
        continue_in_child()
        build_root(order)
        continue_in_child()


def lock(order: LaunchOrder, *, parent: int = 0) -> None:
    """Give up everything but a new temporary folder, the library and the time that is allowed.

    parent: the process whose end ends this one too, where no process 1 does that.
    """
    if order.level != "rlimits":
        kernel.unshare(kernel.NEW_MOUNTS)
        empty_temporary(order)
    if order.folder:
        os.chdir(order.folder)
    os.umask(0o077)
    if order.level == "rlimits" and order.user >= 0:
        keep_library_reachable()
    set_limits(order)
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
        kernel.die_with_parent(parent or order.parent)  # forgotten when user and rights changed


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def continue_in_child() -> None:
    """Fork; the child returns, the parent waits for it and ends as it ended.

    The parent closes its files, so that end of file means that the program ended.
    """
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


def build_root(order: LaunchOrder) -> None:
    """A root of its own: the given folders read-only, a few devices, and an empty /tmp."""
    kernel.mount("none", "/", "", kernel.RECURSIVE | kernel.PRIVATE)
    plain = kernel.NO_SUID | kernel.NO_DEVICES
    kernel.mount("tmpfs", _ROOT, "tmpfs", plain, "mode=0755,size=1m")
    os.makedirs(_ROOT + _TEMPORARY)  # a checkout or an interpreter may be below it
    _mount_empty(_ROOT + _TEMPORARY, order)
    for path in order.readable:
        _show(path, _ROOT + path, kernel.READ_ONLY | plain)
    for device in ("null", "zero", "full", "urandom", "random"):
        _show(f"/dev/{device}", f"{_ROOT}/dev/{device}", kernel.NO_SUID)
    os.makedirs(_ROOT + _ASIDE)
    os.mkdir(f"{_ROOT}/.old")
    kernel.pivot_root(_ROOT, f"{_ROOT}/.old")
    os.rmdir("/.old")
    kernel.restrict_mount("/", kernel.READ_ONLY, below=False)


def _mount_empty(folder: str, order: LaunchOrder) -> None:
    """A folder in memory that the program may write to."""
    flags = kernel.NO_SUID | kernel.NO_DEVICES | kernel.NO_EXEC
    data = f"mode=1777,size={order.disk_mb}m,nr_inodes={order.inodes}"
    kernel.mount("tmpfs", folder, "tmpfs", flags, data)


def empty_temporary(order: LaunchOrder) -> None:
    """A new, empty /tmp; what may be read below it stays where it is."""
    below = [path for path in order.readable if path.startswith(f"{_TEMPORARY}/")]
    if below:
        kernel.mount(_TEMPORARY, _ASIDE, "", kernel.BIND | kernel.RECURSIVE)
    _mount_empty(_TEMPORARY, order)
    for path in below:
        _show(_ASIDE + path.removeprefix(_TEMPORARY), path, kernel.READ_ONLY)
    if below:
        kernel.unmount(_ASIDE)


def _show(path: str, target: str, flags: int) -> None:
    """Bind `path` at another place; a link is made anew as a link."""
    if not os.path.lexists(path):
        return
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


def set_limits(order: LaunchOrder) -> None:
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


def keep_library_reachable() -> None:
    """Import the library through open folders, in case the new user cannot walk to it by name."""
    held = {}
    for path in sys.path:
        if os.path.isdir(path):
            held[path] = f"/proc/self/fd/{os.open(path, os.O_RDONLY)}"
    sys.path[:] = held.values()
    longest_first = sorted(held, key=len, reverse=True)
    for module in list(sys.modules.values()):
        folders = module.__dict__.get("__path__")
        if not isinstance(folders, list):
            continue
        for place, folder in enumerate(folders):
            base = next((path for path in longest_first if folder.startswith(path)), "")
            folders[place] = held[base] + folder.removeprefix(base) if base else folder
