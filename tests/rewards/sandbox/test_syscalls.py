"""The filter of system calls, run by a small interpreter of the kernel's filter language."""

import struct

import pytest

from rewards.sandbox.inside.syscalls import ARCHES, NEWEST, build

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
OWN = 4321


def decide(code: bytes, number: int, arch: int, first: int = 0) -> int:
    """What the kernel would do with this call."""
    data = struct.pack("=IIQQ", number, arch, 0, first)
    program = list(struct.iter_unpack("=HBBI", code))
    place, value = 0, 0
    while True:
        operation, if_true, if_false, operand = program[place]
        place += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("=I", data, operand)
        elif operation == 0x06:
            return operand
        else:
            met = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}
            place += if_true if met[operation] else if_false


@pytest.mark.parametrize(
    ("machine", "calls"),
    [
        ("x86_64", {"read": 0, "socket": 41, "clone": 56, "fork": 57, "execve": 59, "kill": 62,
                    "chmod": 90, "ptrace": 101, "clone3": 435}),
        ("aarch64", {"read": 63, "socket": 198, "clone": 220, "execve": 221, "kill": 129,
                     "fchmod": 52, "ptrace": 117, "clone3": 435}),
    ],
)  # fmt: skip
def test_decisions(machine: str, calls: dict[str, int]) -> None:
    arch = ARCHES[machine]
    shared = build(machine, own_pid=OWN, shared_view=True, one_process=True)
    alone = build(machine, own_pid=OWN, shared_view=False, one_process=False)
    thread, process, namespace = 0x00010F00, 17, 0x10000000
    for name, number, first, in_shared, in_alone in (
        ("read", calls["read"], 0, ALLOW, ALLOW),
        ("socket", calls["socket"], 2, EPERM, EPERM),
        ("ptrace", calls["ptrace"], 0, EPERM, EPERM),
        ("thread", calls["clone"], thread, ALLOW, ALLOW),
        ("process", calls["clone"], process, EPERM, ALLOW),
        ("namespace", calls["clone"], namespace | process, EPERM, EPERM),
        ("clone3", calls["clone3"], 0, ENOSYS, ENOSYS),
        ("execve", calls["execve"], 0, EPERM, ALLOW),
        ("fork", calls.get("fork", calls["execve"]), 0, EPERM, ALLOW),
        ("chmod", calls.get("chmod", calls.get("fchmod", 0)), 0, EPERM, ALLOW),
        ("kill itself", calls["kill"], OWN, ALLOW, ALLOW),
        ("kill its group", calls["kill"], 0, ALLOW, ALLOW),
        ("kill another", calls["kill"], OWN + 1, EPERM, ALLOW),
        ("kill all", calls["kill"], 0xFFFFFFFF, EPERM, ALLOW),
        ("newer", NEWEST + 1, 0, ENOSYS, ENOSYS),
        ("32-bit", 0x40000000 + calls["socket"], 0, ENOSYS, ENOSYS),
    ):
        assert decide(shared, number, arch, first) == in_shared, name
        assert decide(alone, number, arch, first) == in_alone, name
        assert decide(shared, number, arch + 1, first) == KILL, name


def test_a_machine_without_a_table_has_no_filter() -> None:
    assert build("riscv64", own_pid=1, shared_view=True, one_process=True) == b""
