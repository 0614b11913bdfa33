"""A process that may no longer make some system calls, as in a sandbox that filters them."""

from __future__ import annotations

import ctypes
import errno
import os
import platform

# By machine: what readahead would like to use.
_NUMBERS = {
    "x86_64": {"madvise": 28, "fadvise64": 221, "preadv2": 327, "cachestat": 451},
    "aarch64": {"madvise": 233, "fadvise64": 223, "preadv2": 286, "cachestat": 451},
}
CALLS = tuple(_NUMBERS["x86_64"])

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_SECCOMP_MODE_FILTER = 2
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


class _Instruction(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction))]


def refuse(*calls: str) -> None:
    """From now on these calls fail with EPERM in this process, threads that it starts included."""
    numbers = [_NUMBERS[platform.machine()][call] for call in calls]
    program = [(_LOAD_WORD, 0, 0, 0)]  # the number of the call
    for i, number in enumerate(numbers):
        program.append((_JUMP_IF_EQUAL, len(numbers) - i, 0, number))
    program.append((_RETURN, 0, 0, _ALLOW))
    program.append((_RETURN, 0, 0, _FAIL | errno.EPERM))
    instructions = (_Instruction * len(program))(*program)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (
            _PR_SET_SECCOMP,
            _SECCOMP_MODE_FILTER,
            ctypes.byref(_Program(len(program), instructions)),
            0,
            0,
        ),
    ):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
