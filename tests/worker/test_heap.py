"""Where objects lie is CPython's business, so these look at addresses."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref
from collections.abc import Callable
from types import CodeType, FunctionType

import pytest

from gwworker.heap import fill_holes, gather, resident_bytes, trim
from gwworker.ran import noted

pytestmark = pytest.mark.skipif(platform.python_implementation() != "CPython", reason="it is about CPython")


def runs(value: int) -> Callable[[], int]:
    def inner() -> int:
        return sum(each + value for each in range(3))

    return inner


def rests() -> str:
    return "never called"


def in_a_process(script: str) -> str:
    """Run a script in a heap that no test has used; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_what_ran_gets_new_code_that_does_the_same() -> None:
    with noted() as ran:
        assert runs(2)() == 9
    before, resting = runs.__code__, rests.__code__
    inner = next(each for each in before.co_consts if isinstance(each, CodeType))
    assert gather(ran) > 0
    assert runs.__code__ is not before
    assert runs.__code__ == before
    assert all(each is not inner for each in runs.__code__.co_consts)
    assert rests.__code__ is resting
    assert runs(2)() == 9


def test_a_weak_proxy_of_what_is_gone_does_not_matter() -> None:
    class Gone:
        pass

    proxy = weakref.proxy(Gone())
    with noted() as ran:
        runs(2)()
    assert gather(ran) > 0
    assert type(proxy) is weakref.ProxyType


def test_code_within_code_that_ran_is_moved_with_it() -> None:
    def outer() -> Callable[[], int]:
        return lambda: 7

    inner = next(each for each in outer.__code__.co_consts if isinstance(each, CodeType))
    made = outer()
    with noted() as ran:
        made()
    gather(ran)
    assert all(each is not inner for each in outer.__code__.co_consts)
    assert isinstance(made, FunctionType)
    assert made.__code__ is not inner
    assert made() == outer()() == 7


@pytest.mark.parametrize("size", [64, 112, 480, 900, 3000])
def test_a_heap_that_was_filled_has_no_holes_for_new_objects(size: int) -> None:
    script = f"""
import gc
from gwworker.heap import fill_holes
blocks = [bytes({size} - 33) for _ in range(2000)]
holes = {{id(block) for block in blocks[10:1990:2]}}
del blocks[10:1990:2]
gc.collect()
kept = fill_holes()
new = [bytes({size} - 33) for _ in range(500)]
print(sum(id(block) in holes for block in new))
"""
    if sys.platform != "linux" and size > 512:
        pytest.skip("only glibc says where its heap ends")
    assert int(in_a_process(script)) == 0
    unfilled = script.replace("kept = fill_holes()", "kept = []")
    assert int(in_a_process(unfilled)) > 250, "else this test shows nothing"


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc sets free blocks aside")
def test_a_heap_that_was_filled_has_no_free_blocks_set_aside_either() -> None:
    script = """
from gwworker.heap import fill_holes
sizes = range(528, 1040, 16)
blocks = [b"x" * (size - 41) for size in sizes for _ in range(20)]
holes = {id(block) for block in blocks[::4]}
del blocks[::4]
kept = fill_holes()
new = [b"x" * (size - 41) for size in sizes for _ in range(5)]
print(sum(id(block) in holes for block in new))
"""
    assert int(in_a_process(script)) == 0
    unfilled = script.replace("kept = fill_holes()", "kept = []")
    assert int(in_a_process(unfilled)) > 100, "else this test shows nothing"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells, and only there it is done")
def test_pages_of_zeros_are_given_back_and_read_as_they_were() -> None:
    script = """
from gwworker.heap import give_back_zeros, resident_bytes
thing = bytes(bytearray(2 << 20)) + b"x" * (1 << 20) + bytes(100)
whole = hash(thing)
held = resident_bytes()
give_back_zeros(thing)
print(held - resident_bytes())
assert thing == bytes(2 << 20) + b"x" * (1 << 20) + bytes(100)
"""
    assert (2 << 20) - (64 << 10) < int(in_a_process(script)) <= 2 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells, and only glibc keeps")
def test_what_malloc_holds_free_is_given_back() -> None:
    script = """
import gc
from gwworker.heap import resident_bytes, trim
blocks = [bytes(20_000) for _ in range(1000)]
del blocks[:-1]
held = resident_bytes()
trim()
print(held - resident_bytes())
"""
    assert int(in_a_process(script)) > 15 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_size_of_this_process_is_known() -> None:
    assert 5 << 20 < resident_bytes() < 5 << 30
    trim()
    gc.collect()
    assert fill_holes()
