"""The few kernel calls that Python's `os` lacks, through ctypes: prctl, mounts, Landlock.

Every function raises OSError when the kernel refuses; who calls decides whether that is fatal.
"""

import ctypes
import os
import struct
import sys

NEW_MOUNTS, NEW_USERS = 0x00020000, 0x10000000
EVERYTHING = NEW_MOUNTS | 0x6C000000  # and host name, IPC, process ids, network
READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC, BIND = 1, 2, 4, 8, 4096
RECURSIVE, PRIVATE, DETACH = 16384, 1 << 18, 2

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_FILTER = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR, _AT_RECURSIVE = 442, 0x8000
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_BENEATH_READ = 0b1101  # execute, read file, read folder
_BENEATH_WRITE = 1 << 1 | 1 << 5 | 1 << 8 | 1 << 14  # write, remove and make files, truncate
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int, extra: int = 0) -> None:
    arguments = [ctypes.c_ulong(n) for n in (value, extra, 0, 0)]
    _check(_libc.prctl(option, *arguments), f"prctl {option}")


def die_with_parent(parent: int) -> None:
    """SIGKILL for this process when the thread that started it ends."""
    _prctl(_PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:
        os._exit(1)


def hide_memory() -> None:
    """No process of the same user may read this one's memory, environment or open files."""
    _prctl(_PR_SET_DUMPABLE, 0)


def no_new_privileges() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _check(result, f"mount {target}")


def restrict_mount(target: str, flags: int, *, below: bool = True) -> None:
    """Add `flags` to the mount at `target` and to those below it; none is taken away."""
    attributes = struct.pack("=4Q", flags, 0, 0, 0)
    reach = ctypes.c_uint(_AT_RECURSIVE if below else 0)
    arguments = (ctypes.c_int(-100), target.encode(), reach, attributes, ctypes.c_size_t(32))
    result = _libc.syscall(ctypes.c_long(_MOUNT_SETATTR), *arguments)
    _check(result, f"mount attributes of {target}")


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root; the old one appears at `old`, and is detached at once."""
    number = ctypes.c_long(_PIVOT_ROOT[os.uname().machine])
    _check(_libc.syscall(number, new.encode(), old.encode()), "pivot_root")
    os.chdir("/")
    unmount(old.removeprefix(new))


def unmount(target: str) -> None:
    """Take away the mount at `target` with those below it."""
    _check(_libc.umount2(target.encode(), DETACH), f"umount {target}")


def drop_capabilities() -> None:
    """Give up every capability of this process, in this and any nested user namespace."""
    header = struct.pack("=Ii", 0x20080522, 0)
    _check(_libc.capset(header, bytes(24)), "capset")


def install_filter(program: "ctypes.Array[ctypes.c_char]") -> None:
    """Install a seccomp filter, a `struct sock_fprog`, for this thread and all that it starts."""
    _prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, ctypes.addressof(program))


def restrict_files(readable: list[str], writable: str) -> int:
    """Landlock: read below `readable`, make and write plain files in `writable`, nothing else.

    Returns the version of the kernel's interface that is in force. Needs `no_new_privileges`.
    """
    if sys.platform != "linux":
        raise OSError("Landlock is Linux only")
    version = _check(_landlock(_LANDLOCK_CREATE, None, 0, 1), "Landlock")
    handled = _RIGHTS[max(known for known in _RIGHTS if known <= version)]
    rules = struct.pack("=Q", handled)
    ruleset = _check(_landlock(_LANDLOCK_CREATE, rules, len(rules), 0), "Landlock ruleset")
    devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random"]
    for path in readable:
        _allow_beneath(ruleset, path, _BENEATH_READ & handled)
    for path in [writable, *devices] if writable else devices:
        _allow_beneath(ruleset, path, (_BENEATH_READ | _BENEATH_WRITE) & handled)
    _check(_landlock(_LANDLOCK_RESTRICT, ruleset, 0), "Landlock")
    os.close(ruleset)
    return version


def _landlock(number: int, first: int | bytes | None, *rest: int) -> int:
    arguments = [ctypes.c_long(value) for value in rest]
    start = ctypes.c_long(first) if isinstance(first, int) else first
    return int(_libc.syscall(ctypes.c_long(number), start, *arguments))


def _allow_beneath(ruleset: int, path: str, rights: int) -> None:
    if not os.path.exists(path):
        return
    if not os.path.isdir(path):
        rights &= 1 | 1 << 1 | 1 << 2 | 1 << 14  # what a file itself can grant
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place))
    number = ctypes.c_long(_LANDLOCK_ADD)
    arguments = (ctypes.c_long(ruleset), ctypes.c_long(1), rule, ctypes.c_long(0))
    _check(_libc.syscall(number, *arguments), f"Landlock rule for {path}")
    os.close(place)
