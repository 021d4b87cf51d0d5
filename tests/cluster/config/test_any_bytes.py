"""Whatever a file holds, the answer is a configuration or a ConfigError that says something."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from gwcluster.config import Config, ConfigError, json_schema, load
from support.config_files import LEAST, written

SCHEMA = json_schema()
KNOWN = sorted({key for owner in (SCHEMA, *SCHEMA["$defs"].values()) for key in owner.get("properties", {})})
KEYS = st.sampled_from([*KNOWN, "$", "x"])
WORTH_TRYING = (
    *(
        "all",
        "auto",
        "${X}",
        "${Y:-1}",
        "$",
        "0-3",
        "64MiB",
        "1h",
        "10%",
        "tcp://*:1",
        "ipc:///x",
        "a:1",
        "~/x",
    ),
    *(
        "nats://[::1",
        "tls://a:4222",
        "https://[/api/v10",
        "[::1",
        "http://[v1.x]:5/api/v10",
        "[a]:1",
        "GUILDS",
        "Bot ",
        "\ud800",
        "9" * 5000,
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(WORTH_TRYING),
)
TREES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), below, max_size=8)
    ),
    max_leaves=25,
)
SHAPES = st.fixed_dictionaries(
    {"intents": st.just(["GUILDS"]) | SCALARS},
    optional={
        "token": SCALARS,
        "name": SCALARS,
        "state": SCALARS,
        "shards": st.fixed_dictionaries({}, optional={"count": SCALARS, "ids": TREES}),
        "presence": TREES,
        "gateway": st.fixed_dictionaries(
            {},
            optional={"api": SCALARS, "compression": SCALARS, "large_threshold": SCALARS, "identify": TREES},
        ),
        "events": st.fixed_dictionaries(
            {}, optional={"bind": TREES, "include": TREES, "exclude": TREES, "high_water_mark": SCALARS}
        ),
        "requests": st.fixed_dictionaries({}, optional={"bind": TREES}),
        "http": st.fixed_dictionaries({}, optional={"bind": SCALARS}),
        "log": st.fixed_dictionaries({"retention": st.dictionaries(KEYS, SCALARS) | TREES}),
        "hosts": st.fixed_dictionaries(
            {"nats": TREES},
            optional={
                **dict.fromkeys(("name", "lease", "user", "password_file", "nkey_seed_file"), SCALARS),
                "tls": st.dictionaries(KEYS, SCALARS),
                "addresses": st.dictionaries(KEYS, SCALARS) | TREES,
            },
        )
        | TREES,
        "security": st.fixed_dictionaries({"curve": st.dictionaries(KEYS, SCALARS) | TREES}),
    },
)


def _is_answered(content: bytes | str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), content)
        try:
            return isinstance(load(path, environ={"X": "[a: &b", "HOME": "/h"}), Config)
        except ConfigError as error:
            found = error.problems
    in_order = list(found) == sorted(found, key=lambda problem: problem.line or 0)
    return in_order and len(found) > 0 and all(len(str(problem).splitlines()) == 1 for problem in found)


def _yaml(tree: object) -> bytes:
    text = StringIO()
    YAML(typ="safe", pure=True).dump(tree, text)
    return str(text.getvalue()).encode(errors="replace")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
@example(b'a: "\\UFFFFFFFF"')
@example(b"%YAML 9.9\n---\n")
@example(b"\xef\xbb\xbf")
@example(b"? : ?")
@example(b"--- !!set {a, b}")
def test_any_bytes(content: bytes) -> None:
    assert _is_answered(content)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=" \n\t-:?#&*!|>'\"%@`[]{},ab0$~<\\", max_size=60))
def test_any_punctuation(more: str) -> None:
    assert _is_answered(LEAST + more)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, TREES, max_size=8) | TREES)
def test_any_tree(tree: object) -> None:
    assert _is_answered(_yaml(tree))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SHAPES)
def test_any_values_in_the_right_places(tree: object) -> None:
    assert _is_answered(_yaml(tree))
