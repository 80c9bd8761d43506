"""Installs a filter of system calls of its own under which no write happens."""

import ctypes
import struct


def attack():
    code = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)
    buffer = ctypes.create_string_buffer(code, 8)
    holder = ctypes.create_string_buffer(struct.pack("@HP", 1, ctypes.addressof(buffer)), 16)
    return ctypes.CDLL(None).prctl(22, 2, holder, 0, 0) == 0


def solve(n):
    return n * n if attack() else None
