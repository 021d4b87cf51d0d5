"""The kinds of settings under `hosts` (pure)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from gwcluster.config import endpoints, units
from gwcluster.config.kinds import one_or_more, one_or_more_schema, text_schema
from gwcluster.config.problems import UnfitError
from gwcluster.config.says import Says


def _nats_url(value: object) -> str:
    return endpoints.nats_url(units.text(value))


def _announced_zmq(value: object) -> str:
    endpoints.announced_zmq(units.text(value))
    return units.text(value)


def _announced_http(value: object) -> str:
    endpoints.announced_http(units.text(value))
    return units.text(value)


def _not_blank(value: object) -> str:
    if not units.text(value).strip():
        raise UnfitError
    return units.text(value)


Lease = Annotated[
    float,
    PlainValidator(units.lease),
    WithJsonSchema(text_schema(units.DURATION)),
    Says("a lease", "a number with a unit, from 5s to 5m, such as 15s"),
]
NatsUrl = Annotated[
    str, PlainValidator(_nats_url), Says("a NATS server's address", "nats://HOST:4222, or tls://HOST:4222")
]
NatsUrls = Annotated[
    tuple[NatsUrl, ...],
    Field(strict=False),
    BeforeValidator(one_or_more),
    WithJsonSchema(one_or_more_schema(endpoints.NATS_URL)),
    Says("a NATS server's address", "nats://HOST:4222, or a list of all servers of that cluster"),
]
HostName = Annotated[
    str | None,
    PlainValidator(units.host_name),
    WithJsonSchema(text_schema(units.HOST_NAME)),
    Says(
        "a host's name", "1 to 63 letters, digits, dots, hyphens or underscores, the first a letter or digit"
    ),
]
NatsUser = Annotated[
    str | None,
    PlainValidator(_not_blank),
    WithJsonSchema(text_schema(r"[\s\S]*\S[\s\S]*")),
    Says("a user", "the name that NATS knows this cluster by, as a text"),
]
ZmqAddress = Annotated[
    str | None,
    PlainValidator(_announced_zmq),
    WithJsonSchema(text_schema(endpoints.BIND)),
    Says("an address to connect to", "tcp://HOST:PORT, such as tcp://10.0.0.5:5570"),
]
HttpAddress = Annotated[
    str | None,
    PlainValidator(_announced_http),
    WithJsonSchema(text_schema(endpoints.HTTP_BIND)),
    Says("an address to connect to", "HOST:PORT, such as 10.0.0.5:5572"),
]
