"""Files that people write at three in the morning, and what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gwcluster.config import ConfigError, load
from support.config_files import ENVIRON, LEAST, loaded, problems
from support.keys import Keys

LONG = "x" * 100

BROKEN = [
    # (after the two lines of a good file, line, key, message)
    ("shard: 3", 3, "shard", "there is no such key; did you mean shards?"),
    ("shards:\n  Count: 3", 4, "shards.Count", "there is no such key; did you mean count?"),
    ("count: 4", 3, "count", "there is no such key here; it belongs under shards; check the indentation"),
    ("log:\n  age: 1h", 4, "log.age", "it belongs under log.retention; check the indentation"),
    ("zzz: 1", 3, "zzz", "there is no such key; known here are name, token, token_file, intents, shards,"),
    ("shards:", 3, "shards", "null is no mapping; indent its keys (count, ids) under it, or remove the line"),
    (
        "\nshards:\n  count: many",
        5,
        "shards.count",
        "'many' is not a shard count; write auto or a whole number from 1",
    ),
    ("shards: {count: 0}", 3, "shards.count", "0 is not a shard count; write auto or"),
    ("shards: {count: true}", 3, "shards.count", "true is not a shard count; write auto or"),
    ("shards: {count: 2.0}", 3, "shards.count", "2.0 is not a shard count; write auto or"),
    ("shards: {ids: 3-1}", 3, "shards.ids", "'3-1' counts backwards; write 1-3"),
    ("shards: {ids: [0, x]}", 3, "shards.ids", "no shard id as item 2; write whole numbers"),
    ("shards: {ids: []}", 3, "shards.ids", "a list is not a set of shard ids; write all, a text such as"),
    ("shards: {ids: 0-999999999}", 3, "shards.ids", "is not a set of shard ids; write all"),
    (
        "shards:\n  ids: 0-4\n  count: 4",
        4,
        "shards.ids",
        "there is no shard 4, as shards.count is 4; write ids from 0 to 3",
    ),
    (
        "presence: idle",
        3,
        "presence",
        "'idle' is not a presence; write null or a mapping such as {status: idle",
    ),
    ("presence: {status: busy}", 3, "presence.status", "write online, dnd, idle, invisible or offline"),
    (
        "presence:\n  activities:\n    - name: chess\n    - type: 9\n      name: go",
        6,
        "presence.activities[1].type",
        "9 is not an activity type; write 0 playing, 1 streaming",
    ),
    ("presence: {activities: [{type: 0}]}", 3, "presence.activities[0].name", "is missing; write"),
    ("presence: {afk: 1}", 3, "presence.afk", "1 is not a yes or no; write true or false"),
    (
        "gateway: {api: http://discord.com/api/v10}",
        3,
        "gateway.api",
        "would send the token unencrypted; write https",
    ),
    ("gateway: {api: https://discord.com/api/v9}", 3, "gateway.api", "must end in /api/v10"),
    ("gateway: {api: https://discordapp.com/api/v10}", 3, "gateway.api", "is the old domain"),
    (
        "gateway: {api: discord.com}",
        3,
        "gateway.api",
        "is not an API address; write https://discord.com/api/v10",
    ),
    ("gateway: {compression: gzip}", 3, "gateway.compression", "write zstd-stream, zlib-stream or none"),
    ("gateway: {large_threshold: 49}", 3, "gateway.large_threshold", "write a whole number from 50 to 250"),
    (
        "gateway:\n  identify:\n    capabilities: 1\n    shard: [0, 1]",
        6,
        "gateway.identify.shard",
        "gwcluster sets this field itself; remove it here",
    ),
    ("gateway: {identify: {x: [.nan]}}", 3, "gateway.identify", "a number that JSON can't carry"),
    (
        "gateway: {identify: []}",
        3,
        "gateway.identify",
        "a list is not a mapping of identify fields; write {} or",
    ),
    ("events: {bind: 127.0.0.1:5570}", 3, "events.bind", "has no transport; write tcp://127.0.0.1:5570"),
    (
        "events: {bind: udp://x}",
        3,
        "events.bind",
        "'udp://x' is not an address to bind; write tcp://HOST:PORT or ipc",
    ),
    (
        "events: {bind: tcp://127.0.0.1:70000}",
        3,
        "events.bind",
        "has the port 70000; write one from 1 to 65535",
    ),
    ("events:\n  bind: tcp://0.0.0.0:5570", 4, "events.bind", "bind 127.0.0.1, or set security.curve"),
    (
        "requests: {bind: tcp://*:5571}",
        3,
        "requests.bind",
        "can be reached from other machines; bind 127.0.0.1",
    ),
    ("http: {token_file: nowhere}", 3, "http.token_file", "this file can't be read: no such file"),
    (
        "http: {token_file: cluster.yaml}",
        3,
        "http.token_file",
        "is no token; write one of 16 to 256 characters",
    ),
    ("http: {token_file: 7}", 3, "http.token_file", "a path"),
    (
        "events: {bind: tcp://example.com:5570}",
        3,
        "events.bind",
        "no address of this machine; write an IPv4 address",
    ),
    ("events: {bind: ipc://run/events}", 3, "events.bind", "has a relative path"),
    (
        f"events: {{bind: ipc:///{LONG}/{LONG}}}",
        3,
        "events.bind",
        "a path of 202 bytes; a Unix socket's has at most 107",
    ),
    (
        "events:\n  bind:\n    - tcp://127.0.0.1:7000\n    - 5570",
        6,
        "events.bind[1]",
        "5570 is not an address to bind; write tcp://HOST:PORT",
    ),
    ("events: {bind: []}", 3, "events.bind", "a list is not an address to bind; write"),
    ("http: {bind: 127.0.0.1:5570}", 3, "http.bind", "port 5570 is taken by events.bind; write another one"),
    ("events: {bind: tcp://127.0.0.1:5571}", 3, "events.bind", "port 5571 is taken by"),
    ("http: {bind: http://127.0.0.1:80}", 3, "http.bind", "is a URL; write only HOST:PORT"),
    (
        "http: {bind: 5572}",
        3,
        "http.bind",
        "5572 is not an address to bind; write HOST:PORT, such as 127.0.0.1:5572",
    ),
    (
        "events: {include: MESSAGE_CREATE}",
        3,
        "events.include",
        "is not a choice of events; write all, or a list",
    ),
    (
        "events: {include: [message_create]}",
        3,
        "events.include[0]",
        "is not an event's name; write MESSAGE_CREATE",
    ),
    ("events: {exclude: [GWCLUSTER_BEACON]}", 3, "events.exclude[0]", "which always goes out; remove it"),
    (
        "events: {include: [A], exclude: [A, B]}",
        3,
        "events.exclude",
        "drops every event that events.include keeps",
    ),
    ("events: {high_water_mark: 0}", 3, "events.high_water_mark", "write a whole number from 1"),
    (
        "log: {retention: {bytes: 64mb}}",
        3,
        "log.retention.bytes",
        "'64mb' has no unit that is known; write 64MB",
    ),
    (
        "log: {retention: {bytes: 1KiB}}",
        3,
        "log.retention.bytes",
        "is too little to resume from; write at least 1MiB",
    ),
    ("log: {retention: {age: 90}}", 3, "log.retention.age", "90 has no unit; write 90s if seconds are meant"),
    (
        "log: {retention: {age: soon}}",
        3,
        "log.retention.age",
        "'soon' is not a duration; write a number with a unit",
    ),
    (
        "identify: {reserve: 10}",
        3,
        "identify.reserve",
        "10 is more than all of it; write 10% if per cent is meant",
    ),
    ("identify: {reserve: 100%}", 3, "identify.reserve", "write less than 100%, as 10% or 0.1"),
    ("supervision: {restarts: -1}", 3, "supervision.restarts", "write a whole number from 0"),
    ("supervision: {within: 0s}", 3, "supervision.within", "'0s' is too short; write 1s or more"),
    (
        "security: {curve: yes}",
        3,
        "security.curve",
        "write null or {secret_key_file: PATH, clients_dir: PATH}",
    ),
    (
        "security:\n  curve: {clients_dir: x}",
        4,
        "security.curve.secret_key_file",
        "is missing; write the path",
    ),
    (
        "security: {curve: {secret_key_file: no, clients_dir: .}}",
        3,
        "security.curve.secret_key_file",
        "there is no such file; make keys with gwcluster keygen",
    ),
    (
        "security: {curve: {secret_key_file: cluster.yaml, clients_dir: .}}",
        3,
        "security.curve.secret_key_file",
        "cluster.yaml: there is no public-key in it; make certificates with gwcluster keygen",
    ),
    ("name: ../up", 3, "name", "'../up' is not a name; write 1 to 64 letters, digits"),
    ("name: 2024", 3, "name", "2024 is a number; put it in quotes to make it a name"),
    (
        f"state: /{LONG}",
        3,
        "state",
        "would have 111 bytes, and at most 107 are possible; write a shorter folder",
    ),
    ("state: ''", 3, "state", "'' is not a path; write a path"),
    ("token: again", 3, "token", "this key appears twice, first on line 1; keep one of them"),
    ("token_file: secret", 3, "token_file", "there is a token as well; keep one of the two"),
    ("state: *base", 3, "state", "aliases (*name) are not read here; write the value out"),
    ("shards: &s {count: 4}", 3, "shards", "anchors (&name) are not read here"),
    ("state: !!str 5", 3, "state", "tags (!name) are not read here"),
    ("? [a]\n: b", 3, "", "this key is not a word; write `key: value`"),
    ("---\na: b", 3, "", "a second YAML document starts here; keep one"),
    ("state: 'open", 3, "", "a quote is opened here and never closed"),
    ("events:\n\tbind: x", 4, "", "a tab can't indent YAML; use spaces"),
    ("shards [0]\nname: x", 3, "", "this line has no `key: value`"),
    ("name: a: b", 3, "", "a colon is out of place"),
    ("shards: {ids: [0, 1}", 3, "", "a [ is opened here and not closed"),
    ("events: {include: [${EVENT}]}", 3, "", 'in quotes inside [ ] or { }: "${NAME}"'),
    ("name: @home", 3, "", "a value can't start with @; put it in quotes"),
    ('name: "C:\\users"', 3, "", "a backslash is written"),
    ('name: "\\UFFFFFFFF"', 3, "", "malformed escape"),
    ("name: \x07", 3, "", "the character U+0007 may not stand in YAML; remove it"),
    ("x: " + "[" * 30, 3, "", "nested deeper than 20 levels"),
]


REACHABLE = [
    *("0.0.0.0", "*", "10.0.0.5", "192.168.1.7", "169.254.1.1", "100.64.0.1", "255.255.255.255", "8.8.8.8"),
    *("0", "0.0", "00.0.0.0", "0x0.0.0.0", "000.0.0.0", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"),
    *(
        "127.0.0.1.",
        "localhost.",
        "localhost.example.org",
        "127.0.0.1.nip.io",
        "bot.internal",
        "１２７.0.0.1",
    ),
    *("eth0", "lo", "lo;eth0", "eth0;127.0.0.1", "127.0.0.1;0.0.0.0", "127.0.0.1:1;*"),
    *("::", "[::]", "[::0]", "[0:0:0:0:0:0:0:0]", "[::ffff:0.0.0.0]", "[::ffff:10.0.0.5]", "[fe80::1%eth0]"),
    *("[::1]", "[::ffff:127.0.0.1]"),
]
"""Hosts that other machines can reach, or that look as if they couldn't, or are refused to be safe."""


@pytest.mark.parametrize("section", ["events", "requests"])
@pytest.mark.parametrize("host", REACHABLE)
def test_nothing_is_bound_without_keys_that_may_be_reached_from_elsewhere(
    tmp_path: Path, section: str, host: str
) -> None:
    for binds in (f"'tcp://{host}:7000'", f"['ipc:///run/x', 'tcp://{host}:7000']"):
        (problem,) = problems(tmp_path, LEAST + f"{section}: {{bind: {binds}}}\n")
        assert problem.key.startswith(f"{section}.bind")


@pytest.mark.parametrize("section", ["events", "requests"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "LOCALHOST"])
def test_this_machine_alone_needs_no_keys(tmp_path: Path, section: str, host: str) -> None:
    loaded(tmp_path, LEAST + f"{section}: {{bind: 'tcp://{host}:7000'}}\n")


def test_a_folder_of_keys_that_is_not_there_is_told(tmp_path: Path) -> None:
    Keys(tmp_path / "keys")
    curve = "security: {curve: {secret_key_file: keys/cluster.key_secret, clients_dir: no}}\n"
    (problem,) = problems(tmp_path, LEAST + curve)
    assert (problem.line, problem.key) == (3, "security.curve.clients_dir")
    assert problem.message == f"{tmp_path}/no: this folder can't be read: no such file or directory"


@pytest.mark.parametrize(("more", "line", "key", "message"), BROKEN, ids=[case[0][:40] for case in BROKEN])
def test_a_broken_file_is_told_its_line_key_and_remedy(
    tmp_path: Path, more: str, line: int, key: str, message: str
) -> None:
    (problem,) = problems(tmp_path, LEAST + more + "\n")
    assert (problem.line, problem.key) == (line, key)
    assert message in problem.message
    assert len(str(problem)) < len(str(tmp_path)) + 260, "an error is one line that a person reads"
    assert "\n" not in str(problem)


WHOLE = [
    ("", None, "", "the file is empty; it needs at least token and intents"),
    ("# nothing\n", None, "", "the file is empty"),
    ("- a\n- b\n", 1, "", "this is no mapping; write keys with values"),
    ("just words\n", 1, "", "this is no mapping"),
    ("*token\n", 1, "", "aliases (*name) are not read here"),
    ("\nname: x\nintents: 0\n", 2, "token", "write token: ${DISCORD_TOKEN}, or token_file"),
    ("token: x\n", 1, "intents", "is missing; write the intents your bot needs, such as intents: [GUILDS"),
    (
        "token: x\nintents: GUILDS\n",
        2,
        "intents",
        "'GUILDS' is not a list of intents; write names, such as [GUILDS",
    ),
    (
        "token: x\nintents:\n- guild_member\n",
        3,
        "intents[0]",
        "is not an intent; did you mean GUILD_MEMBERS?",
    ),
    ("token: x\nintents: [GUILD_BANS]\n", 2, "intents[0]", "did you mean GUILD_MODERATION?"),
    ("token: x\nintents: [XYZ]\n", 2, "intents[0]", "write names from https://docs.discord.com/"),
    ("token: x\nintents: 131072\n", 2, "intents", "131072 has bits that are no intent (17); write names"),
    ("token: x\nintents: -1\n", 2, "intents", "-1 is not a list of intents; write names"),
    ("token_file: none\nintents: 0\n", 1, "token_file", "this file can't be read: no such file or directory"),
    ("token_file: .\nintents: 0\n", 1, "token_file", "this file can't be read: is a directory"),
    ("token_file: null\nintents: 0\n", 1, "token_file", "null is not a path; write a path"),
    (b"\xff\xfeno", 1, "", "the byte 0xFF is not UTF-8; save the file as UTF-8"),
    (b"token: x\nname: caf\xe9\n", 2, "", "the byte 0xE9 is not UTF-8"),
    (b"#" * 1_048_577, None, "", "it is longer than 1 MiB; is this the right file?"),
    ("- \n" * 60_000, 50_000, "", "more than 50000 values are no configuration"),
]


@pytest.mark.parametrize(("text", "line", "key", "message"), WHOLE, ids=[str(case[0][:30]) for case in WHOLE])
def test_a_file_broken_as_a_whole_is_told_so(
    tmp_path: Path, text: str | bytes, line: int | None, key: str, message: str
) -> None:
    (problem,) = problems(tmp_path, text)
    assert (problem.line, problem.key) == (line, key)
    assert message in problem.message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.yaml", "there is no such file; give the path of your cluster.yaml"),
        (".", "this is a folder; give the path of a file, such as cluster.yaml in it"),
        ("x" * 300, "it can't be read (file name too long); check the path"),
        ("nul\0", "it can't be read (embedded null byte); check the path"),
    ],
)
def test_a_file_that_can_not_be_read_is_a_clear_error(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / name, environ=ENVIRON)
    (problem,) = caught.value.problems
    assert (problem.line, problem.message) == (None, message)
    assert str(problem) == f"{tmp_path / name}: {message}"


def test_all_errors_are_told_at_once_in_line_order(tmp_path: Path) -> None:
    text = """\
name: bad name
token: two words
intents: [GUILDS, GUILD_MEMBER]
shards:
  count: many
  ids: 0-3
gateway:
  compresion: none
events:
  bind: tcp://0.0.0.0:5570
  bind: tcp://127.0.0.1:1
http:
  bind: ${HTTP}
requests:
  bind: tcp://127.0.0.1:5570
hosts: 3
"""
    found = [(problem.line, problem.key) for problem in problems(tmp_path, text)]
    assert found == [
        (1, "name"),
        (2, "token"),
        (3, "intents[1]"),
        (5, "shards.count"),
        (8, "gateway.compresion"),
        (10, "events.bind"),
        (11, "events.bind"),
        (13, "http.bind"),
        (15, "requests.bind"),
        (16, "hosts"),
    ]


def test_a_broken_setting_causes_no_second_complaint_about_what_depends_on_it(tmp_path: Path) -> None:
    # With events.bind unread, nobody knows whether 5570, its default, is taken.
    text = LEAST + "events: {bind: nonsense}\nrequests: {bind: tcp://127.0.0.1:5570}\n"
    assert [problem.key for problem in problems(tmp_path, text)] == ["events.bind"]
    # With the keys unread, nobody knows whether an open address is protected.
    text = LEAST + "events: {bind: tcp://*:1}\nsecurity: {curve: 5}\n"
    assert [problem.key for problem in problems(tmp_path, text)] == ["security.curve"]
