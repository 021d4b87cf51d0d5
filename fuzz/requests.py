"""What clients ask, and how (does): each message is answered once, in few bytes, with its own id."""

from __future__ import annotations

import random
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any, Final

from fuzz.asked import NO_ID, UNKNOWN, a_request, hostile
from fuzz.back_office import Office
from fuzz.cases import MIB, Target
from fuzz.log import MEMORY
from gwcluster.errors import WireError
from gwcluster.requests.clerk import Asker, Clerk
from gwcluster.requests.outbox import Message, Outbox
from gwcluster.wire.codec import pack, unpack_map
from gwcluster.wire.refusals import Refusal
from gwcluster.wire.requests import EXPIRED, WRONG_EPOCH, BadRequestError, parse

CODES: Final = {*Refusal, EXPIRED, WRONG_EPOCH}
CLIENTS: Final = (b"a", b"b", b"c", b"\x00\x80\x00\x41\xa7")
ENVELOPES: Final[tuple[list[bytes], ...]] = (
    [],
    [b""],
    [b"proxy", b""],
    [b"x"] * 7,
    [bytes(2047)],
    [bytes(2048)],
    [b"", bytes(3000)],
    [b""] * 40,
    [b"x" * 300] * 8,
)
PER_CLIENT_BYTES: Final = 3_000
TOTAL_BYTES: Final = 4_000
OVERHEAD_BYTES: Final = 200
"""What may wait in the outbox; each answer counts as so many bytes more than it has."""

ROOM_MIB: Final = 16
"""What one request may take while it is read: a thousand members for each of a thousand lists in lists."""


def case(dice: random.Random) -> None:
    """Play one of the games below."""
    dice.choice((in_any_order, in_any_order, bombs))(dice)


def bombs(dice: random.Random) -> None:
    """Whatever the bytes are, they are read or refused in few words, and take little room meanwhile."""
    body = hostile(dice) if dice.random() < 0.8 else a_request(dice)[0]
    tracemalloc.start()
    try:
        parse(body)
    except BadRequestError as error:
        assert len(str(error)) < 400
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < ROOM_MIB * MIB, f"{len(body)} bytes take {peak >> 20} MiB"


def in_any_order(dice: random.Random) -> None:
    """Messages of several clients, some of whom go or don't read, and answers that come in any order."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        scene = Scene(dice, Path(folder))
        for _ in range(dice.randrange(60)):
            scene.happens()
        scene.end(hangs=dice.random() < 0.2)


class Scene:
    """A clerk, what is behind it, and what it owes."""

    def __init__(self, dice: random.Random, folder: Path) -> None:
        self._dice = dice
        self._folder = folder
        self._mute: set[bytes] = set()
        self._expected: dict[tuple[bytes, bytes], Any] = {}
        self._unmarked = Counter[bytes]()  # messages whose envelope is too long to come back
        self._asked = 0
        self._gone: set[tuple[bytes, bytes]] = set()
        self.outbox = Outbox(per_client_bytes=PER_CLIENT_BYTES, total_bytes=TOTAL_BYTES)
        self.office = Office(dice, folder)
        self.clerk = Clerk(self.office, answer=self._answered, is_behind=self.outbox.has)

    def happens(self) -> None:
        """Let one thing happen."""
        client = self._dice.choice(CLIENTS)
        match self._dice.randrange(10):
            case 0:
                self.office.is_ready = self._dice.random() < 0.9
            case 1:
                self.clerk.forget(client)
                self.outbox.forget(client)
                self._gone.update(key for key in self._expected if key[0] == client)
            case 2:
                self._mute ^= {client}
                self._reads()
            case 3 | 4:
                self.office.calls_back()
            case 5:
                self.clerk.serve()
            case _:
                op = self._dice.choice((None, None, None, "replay", "send", "status", "restart"))
                for _ in range(self._dice.choice((1, 1, 1, 2, 10, 40))):
                    self._asks(client, op)

    def _asks(self, client: bytes, op: str | None) -> None:
        body, id = a_request(self._dice, op)  # noqa: A001 - the wire's word
        mark = b"%d" % self._asked
        self._asked += 1
        envelope = [*self._dice.choice(ENVELOPES), mark]
        if len(envelope) > 8 or sum(map(len, envelope)) > 2048:
            self._unmarked[client] += 1
        else:
            self._expected[client, mark] = id
        self.clerk.take([client, *envelope, body])

    def _answered(self, asker: Asker, body: bytes) -> None:
        found = well_formed(body)
        if asker.envelope in ([], [b""]):
            self._unmarked[asker.client] -= 1
            assert (found["id"], found["error"]["code"]) == (None, "bad_request")
            assert self._unmarked[asker.client] >= 0, "answered, and not asked"
        else:
            id = self._expected.pop((asker.client, asker.envelope[-1]))  # noqa: A001 - the wire's word
            if id is not UNKNOWN:
                assert pack(found["id"]) == pack(None if id is NO_ID else id)
        self._send([asker.client, *asker.envelope, body])

    def _send(self, message: Message) -> None:
        if message[0] in self._mute or self.outbox.has(message[0]):
            self.outbox.put(message[0], message)

    def _reads(self) -> list[int]:
        """Let everybody take what waits for it, except those who are mute; return how many bytes each was."""
        sizes = []
        for client in self.outbox.clients:
            while client not in self._mute and (message := self.outbox.first(client)) is not None:
                assert message[0] == client
                sizes.append(OVERHEAD_BYTES + sum(map(len, message)))
                self.outbox.sent(client)
        return sizes

    def end(self, *, hangs: bool) -> None:
        """Stop the clerk; every message must have been answered by then."""
        self.clerk.refuse_waiting()
        while not hangs and self.office.calls_back():
            pass
        if hangs:
            self.clerk.refuse_rest()
        owed = self._expected.keys() - self._gone
        assert len(owed) <= len(self.office.later), f"{len(owed)} messages weren't answered"
        assert not +self._unmarked
        self._mute.clear()
        waited = self._reads()
        assert sum(waited) <= TOTAL_BYTES or len(waited) == 1
        assert self.outbox.clients == []


def well_formed(body: bytes) -> dict[str, Any]:
    """Return what an answer says; fail if docs/wire.md has no such answer."""
    try:
        found = unpack_map(body, max_bytes=2 * MIB)
    except WireError as error:
        raise AssertionError(f"an answer that can't be read: {error}") from error
    assert found["v"] == 1
    assert "id" in found
    if found["ok"] is not True:
        assert found["ok"] is False
        said = found["error"]
        assert said["code"] in CODES
        assert 0 < len(said["message"]) < 400
        assert said.get("retry_after", 1.0) > 0
    return found


TARGET: Final = Target("requests", case, limit_mib=64)
