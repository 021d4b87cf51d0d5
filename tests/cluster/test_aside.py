from __future__ import annotations

import subprocess
import sys
import threading

from gwcluster.aside import Aside


def test_work_that_hangs_holds_up_neither_who_began_it_nor_more_than_its_like() -> None:
    aside, hangs, done = Aside(), threading.Event(), threading.Semaphore(0)

    def work() -> None:
        assert hangs.wait(20)
        done.release()

    assert aside.run(work)
    assert not aside.run(done.release)
    hangs.set()
    assert done.acquire(timeout=20)
    assert aside._thread is not None
    aside._thread.join(20)
    assert aside.run(done.release)
    assert done.acquire(timeout=20)


def test_a_process_ends_in_spite_of_it() -> None:
    script = "import threading; from gwcluster.aside import Aside; print(Aside().run(threading.Event().wait))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)
