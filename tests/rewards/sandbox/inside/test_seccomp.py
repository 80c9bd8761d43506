"""The table of system calls and the filter made of it, decided on by a small interpreter of BPF."""

import ctypes
import ctypes.util
import struct

import pytest

from rewards.sandbox.inside.seccomp import (
    ALLOWED,
    ARCHES,
    CONDITIONS,
    ENOSYS,
    EPERM,
    OWN_VIEW,
    PROCESSES,
    build,
)

ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSED, UNKNOWN = 0x00050000 | EPERM, 0x00050000 | ENOSYS


def decide(code: bytes, number: int, arch: int, *arguments: int) -> int:
    """What the kernel would do with this call."""
    filled = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=IIQ6Q", number, arch, 0, *filled)
    program = list(struct.iter_unpack("=HBBI", code))
    place, value = 0, 0
    while True:
        operation, if_true, if_false, operand = program[place]
        place += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("=I", data, operand)
        elif operation == 0x54:
            value &= operand
        elif operation == 0x06:
            return operand
        else:
            met = {0x15: value == operand, 0x35: value >= operand}
            place += if_true if met[operation] else if_false


THREAD, PROCESS, NAMESPACE = 0x00010F00, 17, 0x10000000
STREAM, DATAGRAM, SEQUENCED, CLOSE_ON_EXEC = 1, 2, 5, 0o2000000
SET_OWNER, SET_LOCK, SET_FLAGS = 8, 6, 4

# x86-64 and 64-bit Arm, the arguments, what happens with a shared view and one process, and alone
CALLS = {
    "read": ((0, 63), (), ALLOW, ALLOW),
    "socket": ((41, 198), (2, 1), REFUSED, REFUSED),
    "ptrace": ((101, 117), (), REFUSED, REFUSED),
    "msgsnd": ((69, 189), (0,), REFUSED, REFUSED),
    "shmat": ((30, 196), (0,), REFUSED, REFUSED),
    "memfd_create": ((319, 279), (), REFUSED, REFUSED),
    "seccomp": ((317, 277), (), REFUSED, REFUSED),
    "a thread": ((56, 220), (THREAD,), ALLOW, ALLOW),
    "a process": ((56, 220), (PROCESS,), REFUSED, ALLOW),
    "a thread in a namespace": ((56, 220), (THREAD | NAMESPACE,), REFUSED, REFUSED),
    "a process in a namespace": ((56, 220), (PROCESS | NAMESPACE,), REFUSED, REFUSED),
    "clone3": ((435, 435), (), UNKNOWN, UNKNOWN),
    "execve": ((59, 221), (), REFUSED, ALLOW),
    "kill": ((62, 129), (0,), REFUSED, ALLOW),
    "fchmod": ((91, 52), (), REFUSED, ALLOW),
    "a pair of streams": ((53, 199), (1, STREAM | CLOSE_ON_EXEC), ALLOW, ALLOW),
    "a pair for datagrams": ((53, 199), (1, DATAGRAM), REFUSED, REFUSED),
    "a sequenced pair": ((53, 199), (1, SEQUENCED), REFUSED, REFUSED),
    "a pair of another family": ((53, 199), (2, STREAM), REFUSED, REFUSED),
    "flags of a file": ((72, 25), (3, SET_FLAGS, 0), ALLOW, ALLOW),
    "owner of a file": ((72, 25), (3, SET_OWNER, 1), REFUSED, REFUSED),
    "lock on a file": ((72, 25), (3, SET_LOCK), REFUSED, REFUSED),
    "input for a terminal": ((16, 29), (0, 0x5412), REFUSED, REFUSED),
    "bytes to be read": ((16, 29), (0, 0x541B), ALLOW, ALLOW),
    "name of a thread": ((157, 167), (15,), ALLOW, ALLOW),
    "signal at the parent's end": ((157, 167), (1,), REFUSED, REFUSED),
    "limits of another": ((302, 261), (4321,), REFUSED, REFUSED),
    "own limits": ((302, 261), (0,), ALLOW, ALLOW),
    "newest": ((470, 470), (), UNKNOWN, UNKNOWN),
    "32-bit": ((0x40000000 + 41, 0x40000000 + 41), (), UNKNOWN, UNKNOWN),
    "none": ((0xFFFFFFFF, 0xFFFFFFFF), (), UNKNOWN, UNKNOWN),
}


@pytest.mark.parametrize("machine", ARCHES)
@pytest.mark.parametrize("name", CALLS)
def test_decisions(name: str, machine: str) -> None:
    numbers, arguments, in_shared, in_alone = CALLS[name]
    number, arch = numbers[list(ARCHES).index(machine)], ARCHES[machine]
    shared = build(machine, shared_view=True, one_process=True)
    alone = build(machine, shared_view=False, one_process=False)
    assert decide(shared, number, arch, *arguments) == in_shared
    assert decide(alone, number, arch, *arguments) == in_alone
    assert decide(shared, number, arch + 1, *arguments) == KILL


@pytest.mark.parametrize("machine", ARCHES)
def test_whatever_is_not_in_the_table_is_refused(machine: str) -> None:
    """All numbers of today's kernels and some beyond: exactly the table is allowed."""
    column = list(ARCHES).index(machine)
    code = build(machine, shared_view=True, one_process=True)
    allowed = {n for n in range(600) if decide(code, n, ARCHES[machine], *[0xFFFF] * 6) == ALLOW}
    assert allowed == {numbers[column] for numbers in ALLOWED.values()} - {-1}


@pytest.mark.parametrize("machine", ARCHES)
def test_the_numbers_are_those_of_libseccomp(machine: str) -> None:
    path = ctypes.util.find_library("seccomp")
    if path is None:
        pytest.skip("libseccomp is not installed")
    number_of = ctypes.CDLL(path).seccomp_syscall_resolve_name_arch
    conditions = {name: numbers for name, (numbers, _) in CONDITIONS.items()}
    table = ALLOWED | OWN_VIEW | PROCESSES | conditions
    column = list(ARCHES).index(machine)
    for name, numbers in table.items():
        there = number_of(ctypes.c_uint32(ARCHES[machine]), name.encode())
        if name != "fchmodat2":  # newer than the library of Debian 12
            assert max(there, -1) == numbers[column], name


def test_a_machine_without_a_table_has_no_filter() -> None:
    assert build("riscv64", shared_view=True, one_process=True) == b""
