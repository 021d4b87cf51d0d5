from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gwworker.scan import (
    Ack,
    BadPayloadError,
    BareResumed,
    BeatRequest,
    Dispatch,
    Hello,
    InvalidSession,
    Ready,
    Reconnect,
    UnknownOp,
    parse,
    parse_ready,
    read,
    scan,
)

NESTED = {"op": 9, "t": "READY", "s": 999, "guild_id": "1", "d": {"op": 7, "t": "X", "s": 5, "d": None}}
TEXT = '{"t":"READY","op":0,"s":999}'
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(["t", "s", "op", "d"]), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.from_regex(r"[A-Z0-9_]{1,30}", fullmatch=True)


def wire(value: Any, *, ascii_only: bool = False) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only).encode(errors="surrogatepass")


def dispatch(d: Any, name: str = "MESSAGE_CREATE", seq: int = 7) -> bytes:
    """A dispatch in Discord's own key order."""
    return wire({"t": name, "s": seq, "op": 0, "d": d}, ascii_only=True)


# The fast path


def test_a_dispatch_in_discords_own_order_takes_the_fast_path() -> None:
    payload = b'{"t":"MESSAGE_CREATE","s":7,"op":0,"d":{"id":"1"}}'
    assert scan(payload) == parse(payload) == Dispatch("MESSAGE_CREATE", 7)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"t":null,"s":null,"op":11,"d":null}',
        b'{"t":null,"s":null,"op":0,"d":{}}',
        b'{"op":0,"d":{},"s":7,"t":"A"}',
        b' {"t":"A","s":7,"op":0,"d":{}}',
        b'{"t": "A","s":7,"op":0,"d":{}}',
        b'{"t":"A","s":7,"op":0,"d":{}}\n',
        b'{"t":"A","s":-7,"op":0,"d":{}}',
        b'{"t":"A","s":07,"op":0,"d":{}}',
        b'{"t":"A","s":7.0,"op":0,"d":{}}',
        b'{"t":"A","s":1234567890123456789,"op":0,"d":{}}',
        b'{"t":"\\u0041","s":7,"op":0,"d":{}}',
        b'{"t":"' + b"A" * 101 + b'","s":7,"op":0,"d":{}}',
        b'{"t":"A","s":7,"op":0,"d":{}}{"t":"B","s":8,"op":0,"d":{}}',
    ],
)
def test_whatever_differs_from_it_does_not(payload: bytes) -> None:
    assert scan(payload) is None


@pytest.mark.parametrize("order", list(itertools.permutations(["t", "s", "op", "d", "x"])))
def test_keys_in_any_order_mean_the_same_and_nested_ones_nothing(order: tuple[str, ...]) -> None:
    fields = {"t": "GUILD_CREATE", "s": 7, "op": 0, "d": NESTED, "x": NESTED}
    payload = wire({key: fields[key] for key in order})
    assert (scan(payload) or parse(payload)) == Dispatch("GUILD_CREATE", 7)


@pytest.mark.parametrize("text", [TEXT, TEXT + TEXT, "}{", '}{"', '"}}', "\\", '\\"', "\0", "\u2028"])
def test_no_text_of_a_user_is_taken_for_a_header(text: str) -> None:
    payload = dispatch({"content": text, text: 1})
    assert (scan(payload) or parse(payload)) == Dispatch("MESSAGE_CREATE", 7)
    assert read(payload) == [(Dispatch("MESSAGE_CREATE", 7), payload)]


@pytest.mark.parametrize("value", [2**53 + 1, 2**64, 1e400, 0.1, [[]] * 3, "\ud800", "\0", "é"])
def test_values_that_parsers_trip_over_are_none_of_our_business(value: Any) -> None:
    payload = dispatch({"value": value})
    assert scan(payload) == Dispatch("MESSAGE_CREATE", 7)
    assert parse(payload) == Dispatch("MESSAGE_CREATE", 7)


def test_a_hundred_levels_are_fine_and_a_hundred_thousand_are_a_broken_payload() -> None:
    deep = b'{"op":0,"t":"A","s":1,"d":%s%s}'
    assert parse(deep % (b"[" * 100, b"]" * 100)) == Dispatch("A", 1)
    with pytest.raises(BadPayloadError):
        read(deep % (b"[" * 100_000, b"]" * 100_000))


@given(NAMES, st.integers(0, 10**18 - 1), JSON)
@example("A", 0, {"d": '}{"'})
@example("A", 1, "}")
def test_the_fast_path_agrees_with_the_full_parse_whenever_it_answers(name: str, seq: int, d: Any) -> None:
    payload = dispatch(d, name, seq)
    whole = json.loads(payload)
    assert scan(payload) in {None, Dispatch(whole["t"], whole["s"])}
    assert parse(payload) == Dispatch(name, seq)


@given(st.dictionaries(st.sampled_from(["t", "s", "op", "d", "x"]), JSON), st.booleans())
def test_the_fast_path_answers_no_other_object(fields: dict[str, Any], ascii_only: bool) -> None:
    payload = wire(fields, ascii_only=ascii_only)
    if (found := scan(payload)) is not None:
        assert (fields["t"], fields["s"], fields["op"]) == (found.name, found.seq, 0)


@pytest.mark.parametrize("d", [{"content": "hi", "author": {"id": "1"}, "mentions": [{}]}, [{"a": 1}], {}])
def test_a_payload_cut_anywhere_is_broken(d: Any) -> None:
    payload = dispatch(d)
    for end in range(len(payload)):
        cut = payload[:end]
        assert scan(cut) is None, cut
        with pytest.raises(BadPayloadError):
            read(cut)


@pytest.mark.parametrize(
    "broken",
    [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80", b"\xc0\xaf"],
)
def test_what_is_not_utf_8_is_broken(broken: bytes) -> None:
    payload = b'{"t":"A","s":1,"op":0,"d":{"content":"' + broken + b'"}}'
    assert scan(payload) is None
    with pytest.raises(BadPayloadError):
        read(payload)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_json_in_another_encoding_is_broken(encoding: str) -> None:
    with pytest.raises(BadPayloadError):
        read('{"t":"A","s":1,"op":0,"d":{}}'.encode(encoding))


# The full parse


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250,"_trace":[]}}', Hello(41.25)),
        (b'{"op":10,"d":{"heartbeat_interval":45000}}', Hello(45.0)),
        (b'{"op":10,"d":{"heartbeat_interval":100.5}}', Hello(0.1005)),
        (b'{"t":null,"s":null,"op":11,"d":null}', Ack()),
        (b'{"t":"RESUMED","s":null,"op":0,"d":{}}', BareResumed()),
        (b'{"t":"RESUMED","s":12,"op":0,"d":{}}', Dispatch("RESUMED", 12)),
        (b'{"op":11}', Ack()),
        (b'{"op":1,"d":251}', BeatRequest()),
        (b'{"t":null,"s":null,"op":7,"d":null}', Reconnect()),
        (b'{"t":null,"s":null,"op":9,"d":true}', InvalidSession(resumable=True)),
        (b'{"t":null,"s":null,"op":9,"d":false}', InvalidSession(resumable=False)),
        (b'{"op":9}', InvalidSession(resumable=False)),
        (b'{"op":9,"d":1}', InvalidSession(resumable=False)),
        (b'{"op":9,"d":"true"}', InvalidSession(resumable=False)),
        (b'{"op":99,"d":{}}', UnknownOp(99)),
        (b'{"op":-1}', UnknownOp(-1)),
        (b' { "op" : 0 , "s" : 3, "t":"SOMETHING_NEW"}\n', Dispatch("SOMETHING_NEW", 3)),
        (b'{"op":0,"s":999999999999999999,"t":"A","d":null}', Dispatch("A", 999_999_999_999_999_999)),
    ],
)
def test_what_a_payload_says(payload: bytes, said: object) -> None:
    assert parse(payload) == said
    assert read(payload) == [(said, payload)]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"op"',
        b"{",
        b"{}",
        b'{"op":null}',
        b'{"op":"0"}',
        b'{"op":true}',
        b'{"op":0.0}',
        b'{"op":0,"d":{}}',
        b'{"op":0,"t":"A","s":null}',
        b'{"op":0,"t":"A","s":true}',
        b'{"op":0,"t":"A","s":1.5}',
        b'{"op":0,"t":"A","s":-1}',
        b'{"op":0,"t":"A","s":1000000000000000000}',
        b'{"op":0,"t":null,"s":1}',
        b'{"op":0,"t":"","s":1}',
        b'{"op":0,"t":"A.B","s":1}',
        b'{"op":0,"t":"A\\n","s":1}',
        b'{"op":10}',
        b'{"op":10,"d":{}}',
        b'{"op":10,"d":{"heartbeat_interval":0}}',
        b'{"op":10,"d":{"heartbeat_interval":-41250}}',
        b'{"op":10,"d":{"heartbeat_interval":0.999}}',
        b'{"op":10,"d":{"heartbeat_interval":1e-323}}',  # nothing at all, in seconds
        b'{"op":10,"d":{"heartbeat_interval":"41250"}}',
        b'{"op":10,"d":{"heartbeat_interval":true}}',
        b'{"op":10,"d":{"heartbeat_interval":NaN}}',
        b'{"op":10,"d":{"heartbeat_interval":Infinity}}',
        b'{"op":10,"d":{"heartbeat_interval":3600001}}',
        b'{"op":10,"d":{"heartbeat_interval":1' + b"0" * 400 + b"}}",
        b'{"op":10,"d":{"heartbeat_interval":1' + b"0" * 5000 + b"}}",
    ],
)
def test_what_is_no_payload(payload: bytes) -> None:
    with pytest.raises(BadPayloadError) as caught:
        read(payload)
    assert len(str(caught.value)) < 700


def test_an_error_quotes_at_most_80_characters_of_a_payload() -> None:
    with pytest.raises(BadPayloadError) as caught:
        read(b'{"secret":"' + b"x" * 10_000)
    assert str(caught.value).count("x") < 80


@given(st.binary(max_size=60))
@example(b'{"op":0,"t":"A","s":1}{"op":')
def test_any_bytes_are_payloads_or_broken(data: bytes) -> None:
    try:
        pieces = read(data)
    except BadPayloadError:
        assert scan(data) is None
    else:
        assert pieces


# Glued payloads


def test_two_payloads_in_one_message_are_two() -> None:
    one, two = dispatch({"a": "é"}, "A", 1), dispatch({"b": {}}, "B", 2)
    assert read(one + two) == [(Dispatch("A", 1), one), (Dispatch("B", 2), two)]


def test_the_braces_of_a_payload_known_to_be_whole_are_not_counted_but_its_end_is_looked_at() -> None:
    uneven = dispatch({"content": "{"}, "A", 1)
    assert scan(uneven) is None
    assert scan(uneven, whole=True) == Dispatch("A", 1)
    assert scan(uneven[:-2], whole=True) is None
    assert scan(dispatch({}, "A", 1) * 2, whole=True) is None


def test_an_ack_glued_to_a_dispatch_gets_lost_neither_way() -> None:
    one, ack = dispatch({}, "A", 1), b'{"t":null,"s":null,"op":11,"d":null}'
    assert [said for said, _ in read(ack + one)] == [Ack(), Dispatch("A", 1)]
    assert scan(one + ack) is None
    assert [said for said, _ in read(one + ack)] == [Dispatch("A", 1), Ack()]


def test_a_broken_payload_glued_to_a_good_one_is_broken() -> None:
    one = dispatch({}, "A", 1)
    for second in (one[:-1], b"x", b"{}", b'{"op":0}'):
        with pytest.raises(BadPayloadError):
            read(one + second)


# READY


def test_payloads_glued_with_white_space_between_them_are_taken_apart() -> None:
    assert read(b' {"op":11}\r\n\t{"op":7} ') == [(Ack(), b'{"op":11}'), (Reconnect(), b'{"op":7}')]


def test_a_great_many_glued_values_are_refused_at_the_first_bad_one() -> None:
    with pytest.raises(BadPayloadError, match="without an opcode"):
        read(b"{}" * 1_000_000)  # copying the rest after each would take minutes
    assert len(read(b'{"op":11}' * 10_000)) == 10_000


def test_ready_gives_the_session_and_where_to_resume_it() -> None:
    d = {"v": 10, "session_id": "a" * 32, "resume_gateway_url": "wss://gateway-us-east1-c.discord.gg"}
    assert parse_ready(dispatch(d, "READY", 1), 1) == Ready(
        1, "a" * 32, "wss://gateway-us-east1-c.discord.gg"
    )


def test_ready_lists_guilds_by_their_ids_and_what_else_is_in_the_list_is_none() -> None:
    guilds = [{"id": "17", "unavailable": True}, {"id": "18", "name": "a", "owner": {"id": "5"}}, {"id": 19}]
    others = [{"id": ""}, {"id": "x"}, {}, None, "20", -1, True, 1.5, 1 << 64]
    d = {"session_id": "a" * 32, "user": {"id": "1"}, "id": "2", "guilds": guilds + others}
    payload = dispatch(d, "READY", 1)[:-1] + b',"id":"3"}'
    assert parse_ready(payload, 1) == Ready(1, "a" * 32, None, (17, 18))


def test_thousands_of_guilds_in_ready_are_never_in_memory_as_objects_at_once() -> None:
    guilds = [{"id": str((1 << 60) + number), "unavailable": True} for number in range(2500)]
    payload = dispatch({"session_id": "a" * 32, "guilds": guilds}, "READY", 1)
    parse_ready(payload, 1)
    tracemalloc.start()
    try:
        assert len(parse_ready(payload, 1).guilds) == 2500
        assert tracemalloc.get_traced_memory()[1] < 3 * len(payload)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("url", [None, 5, []])
def test_ready_without_an_address_resumes_where_it_identified(url: Any) -> None:
    d = {"session_id": "a" * 32, "resume_gateway_url": url}
    assert parse_ready(dispatch(d, "READY", 1), 1) == Ready(1, "a" * 32, None)


@pytest.mark.parametrize(
    "d",
    [None, [], {}, {"session_id": None}, {"session_id": 5}, {"session_id": ""}, {"session_id": "a" * 257}],
)
def test_ready_without_a_session_id_is_broken(d: Any) -> None:
    with pytest.raises(BadPayloadError):
        parse_ready(dispatch(d, "READY", 1), 1)
