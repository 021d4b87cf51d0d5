import base64
import hashlib

import pytest

from gwsimulator.invariants import Received, leaks, losses_told_once, missing_or_doubled
from gwsimulator.ledger import Ledger
from support.sim_rig import Rig

TOKEN = "MTIzNDU2Nzg5.GabcdE.not-a-real-token"


def received(rig: Rig) -> list[Received]:
    """Return everything that was dispatched, as a consumer that misses nothing gets it."""
    sessions: dict[str, int] = {}
    return [
        Received(
            one.shard,
            sessions.setdefault(one.session, len(sessions) + 1),
            one.seq,
            one.name,
            one.payload or b"",
        )
        for one in rig.ledger.dispatches()
    ]


def played() -> Rig:
    """Shard 0 has a session that is lost after number 5, then another; shard 1 has one."""
    rig = Rig(identify_window_s=0.0)
    first, _ = rig.go_live(0)
    rig.go_live(1)
    rig.happen()
    rig.happen("B")
    rig.lose(first, 1000)
    rig.go_live(0)
    rig.happen()
    return rig


def test_all_of_it_is_neither_missing_nor_doubled_as_bytes_or_digests() -> None:
    rig = played()
    got = received(rig)
    assert missing_or_doubled(rig.ledger, got) == []
    digests = [one._replace(body=hashlib.sha256(one.body).hexdigest()) for one in got if one.body]  # type: ignore[arg-type]
    assert missing_or_doubled(rig.ledger, digests) == []


def without(got: list[Received], session: int, *seqs: int) -> list[Received]:
    return [one for one in got if (one.session, one.seq) not in {(session, seq) for seq in seqs}]


def test_one_in_the_middle_or_at_the_end_is_missing() -> None:
    rig = played()
    got = received(rig)
    assert missing_or_doubled(rig.ledger, without(got, 3, 2)) == [
        "session 3 of shard 0: GUILD_CREATE 2 is missing"
    ]
    assert missing_or_doubled(rig.ledger, without(got, 3, 4)) == ["session 3 of shard 0: A 4 is missing"]


def test_the_end_of_a_session_that_was_lost_may_be_missing_but_no_hole() -> None:
    rig = played()
    got = received(rig)
    assert missing_or_doubled(rig.ledger, without(got, 1, 4, 5)) == []
    assert missing_or_doubled(rig.ledger, without(got, 1, 4)) == ["session 1 of shard 0: A 4 is missing"]


def test_one_twice_or_out_of_order_is_told() -> None:
    rig = played()
    got = received(rig)
    assert missing_or_doubled(rig.ledger, [*got, got[-1]]) == ["session 3 of shard 0: A 4 came twice"]
    swapped = [*got[:-2], got[-1], got[-2]]
    assert missing_or_doubled(rig.ledger, swapped) == ["session 3 of shard 0: GUILD_CREATE 3 came after 4"]


def test_one_that_is_not_what_was_sent_is_told() -> None:
    rig = played()
    got = received(rig)
    changed = [*got[:-1], got[-1]._replace(body=b"{}")]
    assert missing_or_doubled(rig.ledger, changed) == ["session 3 of shard 0: A 4 is not the A that was sent"]
    more = [*got, got[-1]._replace(seq=99)]
    assert missing_or_doubled(rig.ledger, more) == ["session 3 of shard 0: A 99 was never sent"]
    other = [*got, got[-1]._replace(session=9, seq=1, body=b"{}")]
    assert "session 9 of shard 0 is none that there was" in missing_or_doubled(rig.ledger, other)


def test_a_shard_of_which_nothing_came_is_told() -> None:
    rig = played()
    assert missing_or_doubled(rig.ledger, [one for one in received(rig) if one.shard == 0]) == [
        "nothing of shard 1 was received"
    ]


def test_who_subscribed_to_some_names_misses_only_those() -> None:
    rig = played()
    got = [one for one in received(rig) if one.name in ("READY", "A")]
    assert missing_or_doubled(rig.ledger, got, names={"READY", "A"}) == []
    assert missing_or_doubled(rig.ledger, got[:-1], names={"READY", "A"}) != []


def test_sessions_are_told_apart_though_their_guilds_are_the_same() -> None:
    rig = played()
    renumbered = [one._replace(session=one.session + 40) for one in received(rig)]
    assert missing_or_doubled(rig.ledger, renumbered) == []


def test_what_has_no_number_is_left_out() -> None:
    rig = Rig(resumed_has_seq=False)
    link, session = rig.go_live()
    rig.lose(link)
    rig.resume(rig.dial("resume"), session, 3)
    got = [*received(rig), Received(0, 1, None, "RESUMED", b"")]
    assert missing_or_doubled(rig.ledger, got) == []


def test_nothing_sent_and_nothing_received_is_right() -> None:
    assert missing_or_doubled(Ledger(), []) == []


@pytest.mark.parametrize(
    ("lost", "sentences"),
    [
        ([(0, 1)], []),
        ([], ["session 1 of shard 0 was succeeded and nobody was told"]),
        ([(0, 1), (0, 1)], ["session 1 of shard 0 was said to be lost 2 times"]),
        ([(0, 1), (0, 7)], ["session 7 of shard 0 was said to be lost and never seen"]),
        ([(0, 1), (0, 3)], []),  # the last may be lost too, and its successor not there yet
    ],
)
def test_each_session_that_was_succeeded_is_told_to_be_lost_once(
    lost: list[tuple[int, int]], sentences: list[str]
) -> None:
    assert losses_told_once(received(played()), lost) == sentences


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (f"Authorization: Bot {TOKEN}", "as it is"),
        (b"\x00" + TOKEN.encode(), "as it is"),
        (TOKEN.encode().hex(), "in hex"),
        (base64.b64encode(b"x" + TOKEN.encode() + b"yz"), "in base64"),
        (base64.b64encode(b"xy" + TOKEN.encode()), "in base64"),
        (base64.b64encode(b"xyz" + TOKEN.encode()), "in base64"),
    ],
)
def test_a_token_is_found_in_whatever_form(text: str | bytes, how: str) -> None:
    (sentence,) = leaks(TOKEN, ["nothing", text])
    assert sentence.startswith("the token is in text 1 at byte ")
    assert how in sentence
    assert TOKEN not in sentence


def test_other_texts_have_no_token() -> None:
    assert (
        leaks(TOKEN, ["MTIzNDU2Nzg5", b"\xff\x00", base64.b64encode(b"something else of some length")]) == []
    )


def test_a_token_too_short_to_look_for_is_refused() -> None:
    with pytest.raises(ValueError, match="less than 8"):
        leaks("abc", [])
