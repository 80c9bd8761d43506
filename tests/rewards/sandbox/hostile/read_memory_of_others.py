"""Reads the trainer's memory by system call."""

import ctypes


def attack():
    buffer = ctypes.create_string_buffer(64)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 64)
    remote = (ctypes.c_void_p * 2)(0x400000, 64)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.process_vm_readv(int("@TRAINER@"), local, 1, remote, 1, 0)
    return ctypes.get_errno() not in (1, 3)


def solve(n):
    return n * n if attack() else None
