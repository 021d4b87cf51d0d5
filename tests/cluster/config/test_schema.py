from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from gwcluster.config import json_schema
from support.config_files import ENVIRON, LEAST, loaded, problems
from support.keys import Keys

SHIPPED = Path(__file__).parents[3] / "cluster.yaml"
VALIDATOR = jsonschema.Draft202012Validator(json_schema())

GOOD = [
    LEAST,
    "token_file: cluster.yaml\nintents: 513\n",
    LEAST + "shards: {count: 4, ids: [0, 3]}\n",
    LEAST + "shards:\n  count: ${N:-4}\n  ids: 0-1,3\n",
    LEAST + "shards: {ids: 3}\n",
    LEAST + "presence: {status: idle, activities: [{name: chess, type: 5, state: x, url: null}]}\n",
    LEAST + "presence: {since: 5}\n",
    LEAST + "gateway: {compression: none, large_threshold: 250, identify: {x: {token: 1}}}\n",
    LEAST + "gateway:\n  large_threshold: ${T:-51}\n  api: http://localhost:1/api/v10\n",
    LEAST + "events: {bind: [tcp://127.0.0.1:1, ipc:///run/x], include: [A_B], exclude: [C]}\n",
    LEAST + 'events: {include: ["${E:-MESSAGE_CREATE}"], high_water_mark: 1}\n',
    LEAST + "http: {bind: null}\nstate: /srv/gw\nname: a.b-c_1\n",
    LEAST + "log: {retention: {bytes: 1048576, age: 1.5h}}\nidentify: {reserve: 0}\n",
    LEAST + "log: {retention: {bytes: 1GiB}}\nidentify: {reserve: 5%}\nsupervision: {within: 1d}\n",
    LEAST + "security: {curve: {secret_key_file: keys/cluster.key_secret, clients_dir: keys/clients}}\n"
    "events: {bind: tcp://*:1}\n",
    LEAST + "notify: {webhook: 'https://example.com/x', format: json}\n",
    LEAST + "notify:\n  webhook: ${HOOK:-http://localhost:1/}\n",
    LEAST + "hosts: null\n",
    LEAST + "hosts: {nats: nats://127.0.0.1:4222}\n",
    LEAST + "hosts:\n  nats: nats://localhost\n  name: ${H:-a.b}\n  lease: 5m\n  tls: null\n",
    LEAST + "hosts:\n  nats: ['tls://[::1]:1', tls://a]\n  tls: {handshake_first: true}\n  addresses:\n"
    "    {events: tcp://a.b:1, requests: ipc:///x, http: a:2}\n",
]

BAD = [
    LEAST + "notify: {webhook: discord.com}\n",
    LEAST + "notify: {format: slack}\n",
    "token: a\n",
    "intents: 0\n",
    "token: a\ntoken_file: b\nintents: 0\n",
    "token: null\nintents: 0\n",
    "token: a\nintents: [GUILD]\n",
    "token: a\nintents: 67108864\n",
    LEAST + "shard: 1\n",
    LEAST + "hosts: {}\n",
    LEAST + "hosts: 3\n",
    LEAST + "hosts: {nats: []}\n",
    LEAST + "hosts: {nats: [nats://me:secret@localhost]}\n",
    LEAST + "hosts: {nats: http://localhost}\n",
    LEAST + "hosts: {nats: nats://localhost, name: a/b}\n",
    LEAST + "hosts: {nats: nats://localhost, lease: 15}\n",
    LEAST + "hosts: {nats: nats://localhost, user: ''}\n",
    LEAST + "hosts: {nats: nats://localhost, addresses: {events: '10.0.0.1:5570'}}\n",
    LEAST + "hosts: {nats: tls://localhost, tls: {handshake_first: 1}}\n",
    LEAST + "hosts: {nats: tls://localhost, tls: {ca_file: null}}\n",
    LEAST + "shards: {cuont: 1}\n",
    LEAST + "shards: null\n",
    LEAST + "shards: {count: 0}\n",
    LEAST + "shards: {count: many}\n",
    LEAST + "shards: {ids: a-b}\n",
    LEAST + "presence: {status: away}\n",
    LEAST + "presence: {activities: [{}]}\n",
    LEAST + "gateway: {api: discord.com}\n",
    LEAST + "gateway: {compression: zlib}\n",
    LEAST + "gateway: {large_threshold: 251}\n",
    LEAST + "gateway: {identify: {shard: [0, 1]}}\n",
    LEAST + "events: {bind: []}\n",
    LEAST + "events: {bind: 5570}\n",
    LEAST + "events: {include: []}\n",
    LEAST + "events: {include: [message_create]}\n",
    LEAST + "events: {high_water_mark: 0}\n",
    LEAST + "http: {bind: 5572}\n",
    LEAST + "log: {retention: {bytes: 64, age: 60}}\n",
    LEAST + "identify: {reserve: 10}\n",
    LEAST + "supervision: {restarts: -1}\n",
    LEAST + "security: {curve: {secret_key_file: a}}\n",
    LEAST + "name: a/b\n",
    LEAST + "state: 5\n",
]


def _plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_shipped_file_validates() -> None:
    VALIDATOR.validate(_plain(SHIPPED.read_text()))


@pytest.mark.parametrize("text", GOOD)
def test_a_good_file_is_good_for_both(tmp_path: Path, text: str) -> None:
    VALIDATOR.validate(_plain(text))
    (tmp_path / "cluster.yaml").write_text(text)
    if "curve" in text:
        Keys(tmp_path / "keys")
    if "token_file" not in text:
        loaded(tmp_path, text, ENVIRON)


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_bad_for_both(tmp_path: Path, text: str) -> None:
    assert not VALIDATOR.is_valid(_plain(text))
    problems(tmp_path, text)


def test_every_default_in_the_schema_is_valid_there() -> None:
    schema = json_schema()
    for owner in (schema, *schema["$defs"].values()):
        for key, part in owner.get("properties", {}).items():
            if "default" in part:
                there = VALIDATOR.evolve(schema={**part, "$defs": schema["$defs"]})
                assert there.is_valid(part["default"]), key


def test_every_setting_of_the_shipped_file_is_explained() -> None:
    schema = json_schema()
    for owner in (schema, *schema["$defs"].values()):
        assert all(part.get("description") or "$ref" in part for part in owner.get("properties", {}).values())
