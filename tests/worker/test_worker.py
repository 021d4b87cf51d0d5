from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells, and only there it is done")
def test_a_new_loop_has_no_pages_for_reads_that_nobody_makes() -> None:
    script = """
import uvloop
from gwworker.heap import resident_bytes
from gwworker.worker import new_loop
uvloop.new_event_loop().close()
new_loop().close()
before = resident_bytes()
fat = uvloop.new_event_loop()
between = resident_bytes()
lean = new_loop()
print(between - before, resident_bytes() - between)
fat.close(), lean.close()
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    fat, lean = map(int, done.stdout.split())
    assert fat > 200 << 10, "else uvloop has become lean, and giving back is of no use any more"
    assert lean < 64 << 10
