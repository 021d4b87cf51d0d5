"""Lays out a heap whose forks are to share most of it (does).

CPython counts references in the objects themselves, so a process that runs a function writes to its code,
which lies between others that it never runs. A fork copies each page that is written to. So what runs is
moved together, and what is free between all the rest is taken, since new objects would be put there.

Sources:
    https://github.com/python/cpython/blob/3.11/Objects/obmalloc.c
    https://docs.python.org/3/library/gc.html#gc.freeze
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, ClassVar, Final

from gwworker.libc import LIBC

_ALIGNMENT: Final = 16
_POOL_BYTES: Final = 16 << 10
_POOL_LIMIT: Final = 512
"""CPython takes blocks up to this from pools of blocks of one size, and larger ones from malloc."""

_MAX_HOLES: Final = 1 << 13
"""Of each size. There are some thousands; more would be a search that doesn't end."""

_LARGEST_HOLE: Final = 64 << 10
_SMALLEST_HOLE: Final = 24
_SET_ASIDE: Final = 1032 + 128
"""Up to nearly this, glibc keeps some free blocks of each size aside, for that size alone (its tcache)."""

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_ZEROS: Final = bytes(_PAGE_BYTES)
_MADV_DONTNEED: Final = 4


def gather(ran: set[CodeType]) -> int:
    """Give all functions that have code in `ran` new code, side by side; return how many those are."""
    # type(): isinstance would ask a weak proxy for what it stands for, which may be gone.
    functions = [found for found in gc.get_objects() if type(found) is FunctionType]
    for function in functions:
        _unpack(function.__code__)
    again = {code: _again(code, ran) for code in {function.__code__ for function in functions}}
    moved = [function for function in functions if again[function.__code__] is not function.__code__]
    for function in moved:
        function.__code__ = again[function.__code__]
    return len(moved)


def _unpack(code: CodeType) -> None:
    """Have the copies' bytecode made beforehand, that it may not lie between them."""
    assert code.co_code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            _unpack(each)


def _again(code: CodeType, ran: set[CodeType]) -> CodeType:
    """Return a copy of a code that ran, also within others; of another the very same."""
    constants = tuple(_again(each, ran) if isinstance(each, CodeType) else each for each in code.co_consts)
    if any(new is not old for new, old in zip(constants, code.co_consts, strict=True)):
        return code.replace(co_consts=constants)
    return code.replace() if code in ran else code


def fill_holes() -> list[object]:
    """Take the free blocks between objects; keep what is returned for as long as there are forks."""
    return [*_fill_pools(), *_fill_malloc()]


def _fill_pools() -> list[object]:
    kept: list[object] = []
    for size in range(_ALIGNMENT, _POOL_LIMIT + 1, _ALIGNMENT):
        make = _maker(size)
        whole = _POOL_BYTES // size - _ALIGNMENT
        for _ in range(0, _MAX_HOLES, whole):
            blocks = [make() for _ in range(2 * whole)]
            kept += blocks
            if _run(blocks, size) >= whole:  # a pool that was free: those in use are full
                break
    return kept


def _maker(size: int) -> Callable[[], object]:
    """Return what makes objects of `size` bytes, and no others on the way."""
    overhead = b"".__sizeof__()
    if size >= overhead:
        return lambda: bytes(size - overhead)
    return object if size == object().__sizeof__() else complex


def _run(blocks: list[object], size: int) -> int:
    """Return how many of the blocks, at most, lie side by side."""
    longest = run = 1
    for one, next_ in pairwise(sorted(map(id, blocks))):
        run = run + 1 if next_ - one == size else 1
        longest = max(longest, run)
    return longest


class _Usage(ctypes.Structure):
    """`struct mallinfo2`: https://man7.org/linux/man-pages/man3/mallinfo.3.html"""

    _fields_: ClassVar[Any] = [
        *((f"other_{index}", ctypes.c_size_t) for index in range(9)),
        ("keepcost", ctypes.c_size_t),
    ]


def _fill_malloc() -> list[object]:
    """Take all that malloc would give from between other blocks. What it gives from the end is no hole."""
    with suppress(AttributeError):  # another C library than glibc, or an old one
        LIBC.malloc_trim(ctypes.c_size_t(0))
        LIBC.mallinfo2.restype = _Usage
        LIBC.malloc.restype = ctypes.c_void_p
        size, taken = _LARGEST_HOLE, 0
        while size >= _SMALLEST_HOLE and taken < _MAX_HOLES:
            end = LIBC.mallinfo2().keepcost
            block = LIBC.malloc(ctypes.c_size_t(size))
            taken += 1
            if LIBC.mallinfo2().keepcost != end:
                LIBC.free(ctypes.c_void_p(block))
                size -= _ALIGNMENT if size <= _SET_ASIDE else size // 8
    return []


def trim() -> None:
    """Give back to the system what malloc holds of free pages."""
    with suppress(AttributeError):  # only glibc has it
        LIBC.malloc_trim(ctypes.c_size_t(0))


def give_back_zeros(thing: object) -> None:
    """Give back the pages of a new, large object that hold nothing but zeros: they are read as zeros again.

    No other thread may write to it meanwhile.
    """
    if sys.platform != "linux":  # elsewhere it may be read as something else
        return
    begin = -(-id(thing) // _PAGE_BYTES) * _PAGE_BYTES
    for page in range(begin, id(thing) + thing.__sizeof__() - _PAGE_BYTES + 1, _PAGE_BYTES):
        if ctypes.string_at(page, _PAGE_BYTES) == _ZEROS:
            LIBC.madvise(ctypes.c_void_p(page), ctypes.c_size_t(_PAGE_BYTES), _MADV_DONTNEED)


def resident_bytes() -> int:
    """Return how much of this process is in memory, shared pages included; 0 where nobody tells."""
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
