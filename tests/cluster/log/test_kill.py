from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from gwcluster.log import Hole, Reader
from gwcluster.wire.events import decode_header
from support.shard_log import open_log

APPENDING = """
import os, sys
from pathlib import Path
from support.shard_log import AT, open_log
writer = open_log(Path(sys.argv[1]), retention_bytes=64 << 20)
writer._output._chain._full_bytes = writer._output._chain.full_at = 300_000  # many segments
seq = writer.seq or 0
while True:
    for _ in range(1 + seq % 7):
        seq += 1
        writer.append(f"NAME_{seq % 5}", b"%d" % seq * (seq % 500), session=1, seq=seq, at=AT)
    writer.flush()
    os.write(1, b"%d\\n" % (writer.next_offset - 1))
"""


def test_every_flushed_record_outlives_sigkill(tmp_path: Path) -> None:
    dice = random.Random(7)
    flushed = -1
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", APPENDING, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(dice.uniform(0.0, 0.1))
            child.kill()
            told = child.stdout.read().split(b"\n")[:-1]
            flushed = int(told[-1]) if told else flushed
        writer = open_log(tmp_path)
        assert writer.next_offset > flushed
        assert writer.seq == writer.next_offset
        writer.close()
    last: dict[str, int] = {}
    for offset, record in enumerate(Reader(tmp_path).entries()):
        assert not isinstance(record, Hole)
        seq = offset + 1
        assert (record.offset, record.seq, record.name) == (offset, seq, f"NAME_{seq % 5}")
        assert record.payload == b"%d" % seq * (seq % 500)
        assert decode_header(record.header).prev == last.get(record.name)
        last[record.name] = offset
    assert len(last) == 5
