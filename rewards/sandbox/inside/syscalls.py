"""System calls that a confined program may not make, as a classic BPF filter for seccomp.

The numbers are those of the kernel's own tables for x86-64 and 64-bit Arm; on other machines
`build` returns nothing and the level says that it has no filter. A deny list can miss a call, so
every number above the newest call of the table is refused as not implemented.
"""

import struct

EPERM, ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH, _ARG0 = 0, 4, 16  # offsets in struct seccomp_data

_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000  # every CLONE_NEW* flag of clone

ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NEWEST = 450  # set_mempolicy_home_node, Linux 5.17; the same number on both

# name: (x86-64, 64-bit Arm); 0 where the machine has no such call
ALWAYS: dict[str, tuple[int, int]] = {
    # other programs' memory and the kernel's
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "perf_event_open": (298, 241), "bpf": (321, 280),
    "userfaultfd": (323, 282), "lookup_dcookie": (212, 18), "vmsplice": (278, 75),
    # ways around this filter, and memory that no limit counts
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "personality": (135, 92),
    "modify_ldt": (154, 0), "uselib": (134, 0), "ustat": (136, 0),
    # network, and channels between processes that outlive them
    "socket": (41, 198), "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186),
    "mq_open": (240, 180), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "mknod": (133, 0), "mknodat": (259, 33), "swapon": (167, 224), "swapoff": (168, 225),
    # watching what others do
    "inotify_init": (253, 0), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263), "syslog": (103, 116), "acct": (163, 89),
    # the machine
    "reboot": (169, 142), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "iopl": (172, 0), "ioperm": (173, 0), "sethostname": (170, 161), "setdomainname": (171, 162),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "nfsservctl": (180, 42), "vhangup": (153, 58),
    # the scheduling of others, which shares its calls with one's own
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "mbind": (237, 235),
    "set_mempolicy": (238, 237), "set_mempolicy_home_node": (450, 450),
}  # fmt: skip

# Without a process namespace and a view of its own, a program of the same user could also reach
# what file permissions and Landlock do not cover: names, owners and times of files, and signals.
SHARED_VIEW: dict[str, tuple[int, int]] = {
    "chmod": (90, 0), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, 0),
    "fchown": (93, 55), "lchown": (94, 0), "fchownat": (260, 54), "utime": (132, 0),
    "utimes": (235, 0), "futimesat": (261, 0), "utimensat": (280, 88), "setxattr": (188, 5),
    "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "truncate": (76, 45),
}  # fmt: skip
ON_SELF = {  # refused unless the first argument is the caller's own process id (or 0)
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "prlimit64": (302, 261),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
}  # fmt: skip
NEW_PROCESSES: dict[str, tuple[int, int]] = {
    "fork": (57, 0), "vfork": (58, 0), "execve": (59, 221), "execveat": (322, 281),
    "setsid": (112, 157), "setpgid": (109, 154),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), (435, 435)


def build(machine: str, *, own_pid: int, shared_view: bool, one_process: bool) -> bytes:
    """The filter as an array of `struct sock_filter`; empty where the machine is not known.

    own_pid: signals to this process stay possible where `shared_view` forbids those to others.
    shared_view: the process shares process ids and files with the rest of the machine.
    one_process: threads may be started, processes and programs may not.
    """
    if machine not in ARCHES:
        return b""
    column = list(ARCHES).index(machine)
    denied = list(ALWAYS.values())
    denied += SHARED_VIEW.values() if shared_view else ()
    denied += NEW_PROCESSES.values() if one_process else ()
    code = [(_LOAD, 0, 0, _ARCH), (_JEQ, 1, 0, ARCHES[machine]), (_RET, 0, 0, _KILL)]
    code += [(_LOAD, 0, 0, _NR), (_JGE, 0, 1, NEWEST + 1), (_RET, 0, 0, _ERRNO | ENOSYS)]
    code += [(_JEQ, 0, 1, _CLONE3[column]), (_RET, 0, 0, _ERRNO | ENOSYS)]
    for numbers in denied:
        if numbers[column]:
            code += [(_JEQ, 0, 1, numbers[column]), (_RET, 0, 0, _ERRNO | EPERM)]
    for numbers in ON_SELF.values() if shared_view else ():
        code += [(_JEQ, 0, 5, numbers[column]), (_LOAD, 0, 0, _ARG0), (_JEQ, 2, 0, own_pid)]
        code += [(_JEQ, 1, 0, 0), (_RET, 0, 0, _ERRNO | EPERM), (_RET, 0, 0, _ALLOW)]
    deny, allow = (_RET, 0, 0, _ERRNO | EPERM), (_RET, 0, 0, _ALLOW)
    code += [(_JEQ, 0, 5, _CLONE[column]), (_LOAD, 0, 0, _ARG0)]
    code += [(_JSET, 2, 0, _CLONE_NAMESPACES), (_JSET, 2, 0, _CLONE_THREAD)]
    code += [deny if one_process else allow, deny, allow]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
