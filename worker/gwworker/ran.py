"""Which code runs (does): in this process, or in a fork of it that may have threads."""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType


@contextmanager
def noted() -> Iterator[set[CodeType]]:
    """Yield a set that gets the code of each Python function that runs in this thread meanwhile."""
    ran: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            ran.add(frame.f_code)

    sys.setprofile(note)
    try:
        yield ran
    finally:
        sys.setprofile(None)


def noted_in_fork(life: Callable[[], object], *, within_s: float) -> set[CodeType]:
    """Run `life` in a fork; return which code of ours ran there, in all its threads and in forking itself.

    Raises:
        OSError: there can be no fork.
        RuntimeError: `life` failed, or took longer than `within_s`, and was ended.
    """
    known = {id(code): code for code in _all_code()}
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        with noted() as ran:
            pid = os.fork()
            if pid == 0:
                _tell_what_ran(life, ran, writer)
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as told:
        addresses = array("Q", _all_of(told.fileno(), pid, within_s))
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise RuntimeError(f"a life in a fork ended with {os.waitstatus_to_exitcode(status)}")
    return {known[address] for address in addresses if address in known}


def _tell_what_ran(life: Callable[[], object], ran: set[CodeType], writer: int) -> None:
    """Be the fork, to its end."""
    status = 1
    try:
        threading.setprofile(sys.getprofile())
        life()
        sys.setprofile(None)
        with os.fdopen(writer, "wb") as told:
            told.write(array("Q", map(id, ran.copy())).tobytes())
        status = 0
    finally:
        os._exit(status)


def _all_of(reader: int, pid: int, within_s: float) -> bytes:
    """Return what a child writes until it ends, or is ended."""
    poll, told, end_at = select.poll(), b"", time.monotonic() + within_s
    poll.register(reader, select.POLLIN)
    while poll.poll(max(0.0, end_at - time.monotonic()) * 1000):
        part = os.read(reader, 1 << 16)
        if not part:
            return told
        told += part
    os.kill(pid, signal.SIGKILL)
    return b""


def _all_code() -> Iterator[CodeType]:
    for found in gc.get_objects():
        if type(found) is FunctionType:
            yield from _with_inner(found.__code__)


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _with_inner(each)
