import base64
import hashlib
import io
import json

from gwsimulator.ledger import Ledger
from gwsimulator.records import Frame, Hello, Identify, Refused, Stall, Violation

PAYLOAD = b'{"t":"A","s":1,"op":0,"d":null}'


def fill(ledger: Ledger, count: int) -> None:
    for seq in range(1, count + 1):
        ledger.dispatch(10_000.0, "a" * 32, (0, 2), seq, "A", PAYLOAD)


def test_dispatches_are_found_by_session_shard_and_name() -> None:
    ledger = Ledger()
    ledger.dispatch(10_000.0, "s", (0, 2), 1, "A", PAYLOAD)
    ledger.dispatch(10_000.0, "t", (1, 2), 1, "B", PAYLOAD)
    assert [one.session for one in ledger.dispatches()] == ["s", "t"]
    assert [one.session for one in ledger.dispatches(shard=1)] == ["t"]
    assert [one.session for one in ledger.dispatches(session="s")] == ["s"]
    assert [one.session for one in ledger.dispatches(name="B")] == ["t"]


def test_only_so_many_dispatches_are_kept_but_all_are_counted() -> None:
    ledger = Ledger(keep_dispatches=3)
    fill(ledger, 10)
    assert [one.seq for one in ledger.dispatches()] == [8, 9, 10]
    assert ledger.dispatched == 10


def test_beyond_its_bytes_a_payload_is_kept_as_a_digest() -> None:
    ledger = Ledger(keep_payload_bytes=len(PAYLOAD) * 2)
    fill(ledger, 3)
    assert [one.payload for one in ledger.dispatches()] == [PAYLOAD, PAYLOAD, None]
    assert {one.sha256 for one in ledger.dispatches()} == {hashlib.sha256(PAYLOAD).hexdigest()}


def test_forgotten_payloads_make_room_for_new_ones() -> None:
    ledger = Ledger(keep_dispatches=2, keep_payload_bytes=len(PAYLOAD) * 2)
    fill(ledger, 50)
    assert [one.payload for one in ledger.dispatches()] == [PAYLOAD, PAYLOAD]


def test_lines_are_json_with_the_digest_of_each_payload() -> None:
    lines = io.StringIO()
    fill(Ledger(sink=lines), 1)
    assert json.loads(lines.getvalue()) == {
        "kind": "dispatch",
        "at": 10_000.0,
        "session": "a" * 32,
        "shard": 0,
        "shards": 2,
        "seq": 1,
        "name": "A",
        "size": len(PAYLOAD),
        "sha256": hashlib.sha256(PAYLOAD).hexdigest(),
    }


def test_lines_can_have_the_payload_instead() -> None:
    lines = io.StringIO()
    fill(Ledger(sink=lines, sink_payloads=True), 1)
    assert base64.b64decode(json.loads(lines.getvalue())["payload"]) == PAYLOAD


def test_other_records_say_their_kind() -> None:
    lines = io.StringIO()
    ledger = Ledger(sink=lines)
    ledger.add(Identify(10_000.0, 1, 0, 2, 513, "ready", "s"))
    ledger.add(Violation(10_001.0, "too_large", 0, "4097 bytes"))
    kinds = [json.loads(line)["kind"] for line in lines.getvalue().splitlines()]
    assert kinds == ["identify", "violation"]
    assert ledger.rules_broken() == {"too_large"}


def test_what_invariants_are_read_off_has_lines_too() -> None:
    lines = io.StringIO()
    ledger = Ledger(sink=lines)
    ledger.add(Refused(10_000.0, "resume", 503))
    ledger.add(Hello(10_000.0, 1, 41.25))
    ledger.add(Frame(10_001.0, 1, 99))
    ledger.add(Stall(10_002.0, 1, True))
    assert [json.loads(line) for line in lines.getvalue().splitlines()] == [
        {"kind": "refused", "at": 10_000.0, "host": "resume", "status": 503},
        {"kind": "hello", "at": 10_000.0, "link": 1, "interval_s": 41.25},
        {"kind": "frame", "at": 10_001.0, "link": 1, "size": 99},
        {"kind": "stall", "at": 10_002.0, "link": 1, "stalled": True},
    ]
    assert (len(ledger.refused), len(ledger.hellos), len(ledger.frames), len(ledger.stalls)) == (1, 1, 1, 1)
