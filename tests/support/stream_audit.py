"""What is in the shards' streams, read as a stranger to the program would: whether it is one unbroken log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import nats
from nats.js import JetStreamContext


def audited(urls: list[str], cluster: str, shards: Iterable[int]) -> list[str]:
    """Return a sentence for everything in the streams that isn't one log with one writer at a time.

    Offsets follow each other, seqs of a session rise, and behind a fence everything is of its writer, until
    the next one, whose token is higher, or the same if it is of the same host.
    """

    async def main() -> list[str]:
        client = await nats.connect(urls)
        try:
            js = client.jetstream(timeout=10.0)
            return [said for shard in shards for said in await _one(js, cluster, shard)]
        finally:
            await client.close()

    return asyncio.run(main())


async def _one(js: JetStreamContext, cluster: str, shard: int) -> list[str]:
    stream = f"gwcluster-{cluster}-log-{shard}"
    count = (await js.stream_info(stream)).state.messages
    messages = await js.subscribe(f"gwcluster.{cluster}.log.{shard}.>", stream=stream, ordered_consumer=True)
    audit = Audit(shard)
    for _ in range(count):
        message = await messages.next_msg(timeout=10.0)
        kind = message.subject.rpartition(".")[2]
        audit.take(message.metadata.sequence.stream, kind, message.headers or {})
    await messages.unsubscribe()
    if not audit.records:
        audit.found.append(f"shard {shard}: no records in its stream")
    return audit.found


@dataclass(slots=True)
class Audit:
    """One shard's stream so far, and what was wrong in it."""

    shard: int
    found: list[str] = field(default_factory=list)
    records: int = 0
    _following: int | None = None
    _seqs: dict[str, int] = field(default_factory=dict)
    _writer: str | None = None
    _token: int = 0
    _host: str = ""

    def take(self, sequence: int, kind: str, headers: Mapping[str, str]) -> None:
        """Look at the next message; `kind` is the last token of its subject."""
        where = f"shard {self.shard}, message {sequence} ({kind})"
        offset, writer = int(headers["Gw-Offset"]), headers["Gw-Writer"]
        if kind == "_fence":
            token, host = int(headers["Gw-Token"]), headers["Gw-Host"]
            if token < self._token or (token == self._token and host != self._host):
                self.found.append(f"{where}: token {token} of {host} after {self._token} of {self._host}")
            self._token, self._host, self._writer = token, host, writer
        elif self._writer is not None and writer != self._writer:
            self.found.append(f"{where}: of {writer}, behind a fence of {self._writer}")
        expected = self._following
        if expected is not None and offset not in {expected, expected + ("Gw-Lost" in headers)}:
            self.found.append(f"{where}: offset {offset} where {expected} should be")
        is_record = not kind.startswith("_")
        self._following = offset + is_record
        if is_record:
            self.records += 1
            if "Gw-Seq" in headers:
                self._rises(where, headers["Gw-Session"], int(headers["Gw-Seq"]))

    def _rises(self, where: str, session: str, seq: int) -> None:
        if seq <= self._seqs.get(session, 0):
            self.found.append(f"{where}: seq {seq} after {self._seqs[session]}")
        self._seqs[session] = seq
