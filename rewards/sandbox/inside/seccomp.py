"""The system calls that a confined program may make, as a classic BPF filter for seccomp.

An allow-list: a call that is not named here is refused, whether the kernel has it today or gets it
tomorrow. Some calls are allowed only with certain arguments, such as `clone` for threads. The
numbers are those of the kernel's tables for x86-64 and 64-bit Arm, and a test compares them with
libseccomp's; on another machine there is no filter, and the sandbox level reports that.
"""

import ctypes
import os
import struct
from collections.abc import Iterable

from rewards.sandbox.inside import kernel
from rewards.sandbox.inside.launch_order import LaunchOrder

Numbers = dict[str, tuple[int, int]]  # name: (x86-64, 64-bit Arm); -1 where there is no such call

ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

ALLOWED: Numbers = {
    # reading and writing what is open
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "preadv": (295, 69), "pwritev": (296, 70), "preadv2": (327, 286),
    "pwritev2": (328, 287), "close": (3, 57), "close_range": (436, 436), "lseek": (8, 62),
    "fstat": (5, 80), "ftruncate": (77, 46), "fallocate": (285, 47), "fsync": (74, 82),
    "fdatasync": (75, 83), "fadvise64": (221, 223), "readahead": (187, 213),
    "copy_file_range": (326, 285), "sendfile": (40, 71), "dup": (32, 23), "dup2": (33, -1),
    "dup3": (292, 24), "pipe": (22, -1), "pipe2": (293, 59), "fstatfs": (138, 44),
    # files by name, as far as the view, Landlock and the modes go
    "open": (2, -1), "openat": (257, 56), "stat": (4, -1), "lstat": (6, -1),
    "newfstatat": (262, 79), "statx": (332, 291), "access": (21, -1), "faccessat": (269, 48),
    "faccessat2": (439, 439), "readlink": (89, -1), "readlinkat": (267, 78), "getdents": (78, -1),
    "getdents64": (217, 61), "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50),
    "rename": (82, -1), "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, -1),
    "mkdirat": (258, 34), "rmdir": (84, -1), "unlink": (87, -1), "unlinkat": (263, 35),
    "link": (86, -1), "linkat": (265, 37), "symlink": (88, -1), "symlinkat": (266, 36),
    "umask": (95, 166), "statfs": (137, 43),
    # memory, threads and waiting
    "mmap": (9, 222), "munmap": (11, 215), "mprotect": (10, 226), "mremap": (25, 216),
    "madvise": (28, 233), "brk": (12, 214), "msync": (26, 227), "futex": (202, 98),
    "set_robust_list": (273, 99), "set_tid_address": (218, 96), "rseq": (334, 293),
    "sched_yield": (24, 124), "membarrier": (324, 283), "getcpu": (309, 168),
    "arch_prctl": (158, -1), "poll": (7, -1), "ppoll": (271, 73), "select": (23, -1),
    "pselect6": (270, 72), "epoll_create": (213, -1), "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21), "epoll_wait": (232, -1), "epoll_pwait": (281, 22),
    "eventfd2": (290, 19), "wait4": (61, 260), "waitid": (247, 95), "exit": (60, 93),
    "exit_group": (231, 94), "restart_syscall": (219, 128), "pause": (34, -1),
    # a pair of sockets that `socketpair` made, for event loops
    "sendto": (44, 206), "recvfrom": (45, 207), "shutdown": (48, 210), "getsockname": (51, 204),
    "getpeername": (52, 205), "getsockopt": (55, 209),
    # time and signals of the program itself
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "rt_sigsuspend": (130, 133), "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137),
    "sigaltstack": (131, 132), "nanosleep": (35, 101), "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169),
    "time": (201, -1), "times": (100, 153), "getrusage": (98, 165), "setitimer": (38, 103),
    "getitimer": (36, 102), "alarm": (37, -1), "getrlimit": (97, 163), "setrlimit": (160, 164),
    # who and where am I
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getresuid": (118, 148),
    "getresgid": (120, 150), "getgroups": (115, 158), "getpgrp": (111, -1), "uname": (63, 160),
    "sysinfo": (99, 179), "getrandom": (318, 278),
}  # fmt: skip

# Changes to files that Landlock does not cover: only where all files in view are the program's.
OWN_VIEW: Numbers = {
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
    "truncate": (76, 45), "getxattr": (191, 8), "lgetxattr": (192, 9), "fgetxattr": (193, 10),
    "listxattr": (194, 11), "llistxattr": (195, 12), "flistxattr": (196, 13),
}  # fmt: skip

# Only where the program has process ids of its own, so that it reaches nobody else's processes.
PROCESSES: Numbers = {
    "fork": (57, -1), "vfork": (58, -1), "execve": (59, 221), "execveat": (322, 281),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "setsid": (112, 157),
    "setpgid": (109, 154), "getsid": (124, 156), "getpgid": (121, 155),
}  # fmt: skip

# Allowed for some arguments: (number of the argument, bits that count, values of those bits).
_THREAD, _NEW_NAMESPACE = 0x00010000, 0x7E020000  # flags of clone
_ALL = 0xFFFFFFFF
CONDITIONS: dict[str, tuple[tuple[int, int], tuple[tuple[int, int, tuple[int, ...]], ...]]] = {
    # AF_UNIX, SOCK_STREAM: connected for good, so no name can be reached from it
    "socketpair": ((53, 199), ((0, _ALL, (1,)), (1, 0xF, (1,)))),
    # copies and flags of an open file; no owner for signals, no locks, leases or seals
    "fcntl": ((72, 25), ((1, _ALL, (0, 1, 2, 3, 4, 1030)),)),
    # is it a terminal and how wide, how much can be read, blocking or not, closed on exec or not
    "ioctl": ((16, 29), ((1, _ALL, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),)),
    # its own name, and names of its memory areas; reading what is set
    "prctl": ((157, 167), ((0, _ALL, (2, 3, 15, 16, 21, 23, 0x53564D41)),)),
    # its own limits and processors
    "prlimit64": ((302, 261), ((0, _ALL, (0,)),)),
    "sched_getaffinity": ((204, 123), ((0, _ALL, (0,)),)),
}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_FIRST_OPTIONAL = 424  # from here on a C library must do without a call, so "not implemented" fits

EPERM, ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

Instruction = tuple[int, int, int, int]


def build(machine: str, *, shared_view: bool, one_process: bool) -> bytes:
    """The filter as an array of `struct sock_filter`; empty where the machine is not known.

    shared_view: the process shares process ids and files with the rest of the machine.
    one_process: threads may be started, processes and programs may not.
    """
    if machine not in ARCHES:
        return b""
    column = list(ARCHES).index(machine)
    free = [*ALLOWED.values()]
    free += [] if shared_view else OWN_VIEW.values()
    free += [] if one_process else PROCESSES.values()
    code = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, ARCHES[machine]), (_RETURN, 0, 0, _KILL)]
    code += [(_LOAD, 0, 0, _NUMBER)]
    for numbers in free:
        if numbers[column] >= 0:
            code += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _ALLOW)]
    for numbers, tests in CONDITIONS.values():
        code += _only_if(numbers[column], tests)
    flags, wanted = (_THREAD | _NEW_NAMESPACE, _THREAD) if one_process else (_NEW_NAMESPACE, 0)
    code += _only_if(_CLONE[column], ((0, flags, (wanted,)),))
    code += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ERRNO | ENOSYS)]
    code += [(_AT_LEAST, 0, 1, _FIRST_OPTIONAL), (_RETURN, 0, 0, _ERRNO | ENOSYS)]
    code += [(_RETURN, 0, 0, _ERRNO | EPERM)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _only_if(number: int, tests: Iterable[tuple[int, int, tuple[int, ...]]]) -> list[Instruction]:
    """Allow the call when each argument has one of its values, and refuse it otherwise."""
    body: list[Instruction] = []
    for argument, bits, values in tests:
        body += [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument), (_AND, 0, 0, bits)]
        for place, value in enumerate(values):  # past the other values, and the refusal
            body += [(_EQUAL, len(values) - place, 0, value)]
        body += [(_RETURN, 0, 0, _ERRNO | EPERM)]
    body += [(_RETURN, 0, 0, _ALLOW)]
    return [(_EQUAL, 0, len(body), number), *body]


def seal(order: LaunchOrder) -> None:
    """Install the filter for this thread and all that it starts: the last step before the program.

    It also forbids what `lock` needs, so it comes after it.
    """
    if not order.filtered:
        return
    machine = os.uname().machine
    code = build(machine, shared_view=order.level == "rlimits", one_process=order.processes == 1)
    if not code:
        raise OSError(f"no filter of system calls for {machine}")
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    kernel.install_filter(ctypes.create_string_buffer(program, len(program)))
