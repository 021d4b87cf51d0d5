"""What idle shards hold in memory (does): prints it per process, before and after their guilds came.

Memory is the proportional set size (PSS), which shares pages fairly among those who map them. Only root may
look at gwcluster's processes. `--map` says where one worker's memory goes.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import trustme

from bench.processes import children, pss_kb, until, workers_of
from bench.scratch import scratch

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)")
_ARENA_BYTES = 64 << 20
_STACK_KB = 8192


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster; `gateway` prints a line for each shard that has all its guilds."""

    coordinator: int
    nursery: int
    workers: list[int]
    gateway: IO[str]


@contextmanager
def cluster(shards: int, compression: str, *, guilds: int, tls: bool) -> Iterator[Cluster]:
    """Run a gateway, and a cluster on it whose shards are about to be live."""
    with scratch(os.getpid()) as folder:
        environ, certificate = dict(os.environ), []
        if tls:
            environ["SSL_CERT_FILE"] = str(_trusted(folder))
            certificate = ["--certificate", str(folder / "certificate.pem")]
        script = str(Path(__file__).with_name("guilds.py"))
        numbers = ["--shards", str(shards), "--guilds", str(guilds)]
        gateway = subprocess.Popen(
            [sys.executable, script, *numbers, *certificate], stdout=subprocess.PIPE, text=True
        )
        assert gateway.stdout is not None
        file = folder / "cluster.yaml"
        file.write_text(
            "name: bench\ntoken: bench.mark.token\nintents: [GUILDS]\n"
            f"gateway: {{api: '{gateway.stdout.readline().split()[-1]}', compression: {compression}}}\n"
            f"events: {{bind: 'ipc://{folder}/events'}}\nhttp: {{bind: null}}\n"
            f"requests: {{bind: 'ipc://{folder}/requests'}}\nstate: {folder}/state\n"
            "log: {retention: {bytes: 8MiB}}\n"
        )
        run = subprocess.Popen(
            [sys.executable, "-m", "gwcluster", "run", str(file)],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("w"),
        )
        try:
            nursery = until(lambda: children(run.pid), "the nursery")[0]
            until(lambda: len(workers_of(nursery)) == shards, "the workers")
            workers = [pid for _, pid in sorted(workers_of(nursery).items())]
            yield Cluster(run.pid, nursery, workers, gateway.stdout)
        finally:
            run.send_signal(signal.SIGTERM)
            run.wait()
            gateway.kill()
            gateway.wait()


def _trusted(folder: Path) -> Path:
    """Return a file of what is trusted: all that a machine trusts, and the authority of this gateway."""
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "certificate.pem")
    trusted = folder / "trusted.pem"
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    trusted.write_bytes((system.read_bytes() if system.exists() else b"") + authority.cert_pem.bytes())
    return trusted


def kinds_of_memory(smaps: str) -> Mapping[str, tuple[int, int]]:
    """Return the PSS and what is of one process alone, both in KiB, for each kind of mapping in `smaps`."""
    pss: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    kind = ""
    for line in smaps.splitlines():
        if (head := _MAPPING.match(line)) is not None:
            start, end = int(head[1], 16), int(head[2], 16)
            kind = _kind(start, (end - start) >> 10, head[3], head[4])
            continue
        key, _, value = line.partition(":")
        if key == "Pss":
            pss[kind] += int(value.split()[0])
        elif key in {"Private_Dirty", "Private_Clean"}:
            alone[kind] += int(value.split()[0])
    return {kind: (size, alone[kind]) for kind, size in pss.most_common() if size}


def _kind(start: int, size_kb: int, permissions: str, name: str) -> str:
    if name.startswith("["):
        return {"[heap]": "malloc", "[stack]": "stack"}.get(name, name)
    if name:
        return f"{Path(name).name.split('.')[0]}, {'data' if 'w' in permissions else 'code'}"
    if start % _ARENA_BYTES == 0:
        return "malloc of threads"
    return "stacks of threads" if size_kb == _STACK_KB else "Python objects, and large blocks"


def measure(shards: int, *, tls: bool, guilds: int, args: argparse.Namespace) -> None:
    """Run one cluster, and print what it holds some seconds after all came."""
    with cluster(shards, args.compression, guilds=guilds, tls=tls) as running:
        for _ in range(shards if guilds else 0):
            running.gateway.readline()
        time.sleep(args.settle)
        pss = [pss_kb(worker) for worker in running.workers]
        print(
            f"{shards:>6}  {'wss' if tls else 'ws':<4}{guilds:>7}"
            f"{statistics.median(pss) * 1024 / 1e6:>10.2f}{max(pss) * 1024 / 1e6:>9.2f}"
            f"{pss_kb(running.coordinator) * 1024 / 1e6:>12.1f}{pss_kb(running.nursery) * 1024 / 1e6:>9.1f}",
            flush=True,
        )
        if args.map:
            for kind, (size, alone) in kinds_of_memory(
                Path(f"/proc/{running.workers[shards // 2]}/smaps").read_text()
            ).items():
                print(f"        {size:>7} KiB, {alone:>6} of it this worker's alone: {kind}")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--over", nargs="+", choices=("ws", "wss"), default=["ws", "wss"])
    parser.add_argument("--guilds", type=int, nargs="+", default=[0, 2_500], help="per shard")
    parser.add_argument(
        "--compression", default="zstd-stream", choices=("none", "zlib-stream", "zstd-stream")
    )
    parser.add_argument(
        "--settle", type=float, default=15.0, help="seconds from the last guild, or the start"
    )
    parser.add_argument("--map", action="store_true", help="say where the memory of one worker goes")
    args = parser.parse_args()
    print(
        f"{'shards':>6}  {'':<4}{'guilds':>7}{'worker':>10}{'largest':>9}{'coordinator':>12}{'nursery':>9} MB"
    )
    for shards in args.shards:
        for over in args.over:
            for guilds in args.guilds:
                measure(shards, tls=over == "wss", guilds=guilds, args=args)


if __name__ == "__main__":
    main()
