"""What `cluster.yaml` may hold, and what holds where it is silent (pure).

pydantic validates these sections, and the JSON Schema is drawn from them. Defaults are written as they
would be in the file and pass through the same validation.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gwcluster.config import host_kinds, kinds
from gwcluster.config.says import Says, Section, absent, default


class Shards(Section):
    """Which shards the cluster runs.

    Attributes:
        count: Shards of the whole bot; None asks Discord for its recommendation.
        ids: Those that this cluster runs; None for all.
    """

    count: kinds.ShardCount = default("auto")
    ids: kinds.ShardIds = default("all")


class Activity(Section):
    """One activity of a presence. https://docs.discord.com/developers/events/gateway-events#activity-object"""

    name: Annotated[str, Field(min_length=1), Says("an activity's name", "a text")]
    type: Annotated[
        Literal[0, 1, 2, 3, 4, 5],
        Says("an activity type", "0 playing, 1 streaming, 2 listening, 3 watching, 4 custom or 5 competing"),
    ] = default(0)
    state: Annotated[str | None, Says("an activity's state", "a text")] = default(None)
    url: Annotated[str | None, Says("an address", "the stream's URL as a text")] = default(None)


class Presence(Section):
    """What identify says of the bot's presence.
    https://docs.discord.com/developers/events/gateway-events#update-presence"""

    status: Annotated[
        Literal["online", "dnd", "idle", "invisible", "offline"],
        Says("a status", "online, dnd, idle, invisible or offline"),
    ] = default("online")
    activities: Annotated[
        tuple[Activity, ...],
        Field(strict=False),
        Says("a list of activities", "a list such as [{name: chess, type: 0}]"),
    ] = default([])
    afk: Annotated[bool, Says("a yes or no", "true or false")] = default(False)
    since: Annotated[
        int | None, Field(ge=0), Says("a moment", "null, or Unix milliseconds since which the bot is idle")
    ] = default(None)

    def complete(self) -> dict[str, Any]:
        """Return the object that Discord takes: it refuses one that lacks any of the four keys."""
        activities = [activity.model_dump(exclude_none=True) for activity in self.activities]
        return {"since": self.since, "activities": activities, "status": self.status, "afk": self.afk}


class Gateway(Section):
    """How Discord is spoken to.

    Attributes:
        api: Address of the REST API, with version, without a closing slash.
        large_threshold: Members above which a guild's offline members are left out, 50 to 250.
        identify: Further fields of IDENTIFY.
    """

    api: kinds.ApiUrl = default("https://discord.com/api/v10")
    compression: Annotated[
        Literal["zstd-stream", "zlib-stream", "none"],
        Says("a compression", "zstd-stream, zlib-stream or none"),
    ] = default("zstd-stream")
    large_threshold: Annotated[
        int, Field(ge=50, le=250), Says("a number of members", "a whole number from 50 to 250")
    ] = default(50)
    identify: kinds.IdentifyFields = default({})


class Events(Section):
    """Where events are published, and which.

    Attributes:
        bind: Addresses of the PUB socket.
        include: Names of the events that are kept; None for all.
        exclude: Names of events that are dropped all the same.
        high_water_mark: Messages queued per subscriber.
    """

    bind: kinds.ZmqBinds = default("tcp://127.0.0.1:5570")
    include: kinds.EventsWanted = default("all")
    exclude: kinds.EventsUnwanted = default([])
    high_water_mark: Annotated[
        int, Field(ge=1, le=2**31 - 1), Says("a number of messages", "a whole number from 1")
    ] = default(20_000)


class Requests(Section):
    """Where requests are answered: addresses of the ROUTER socket."""

    bind: kinds.ZmqBinds = default("tcp://127.0.0.1:5571")


class Http(Section):
    """Where HTTP is served, as HOST:PORT, None for nowhere; `token_file` holds what a POST there needs."""

    bind: kinds.HttpBind = default("127.0.0.1:5572")
    token_file: kinds.Path | None = default(None)


class Retention(Section):
    """What is kept of each shard's log: at most so many bytes, and events at most so old."""

    bytes: kinds.RetentionBytes = default("64MiB")
    age_s: kinds.Seconds = default("1h", alias="age")


class Log(Section):
    """The shards' logs."""

    retention: Retention = default({})


class Identify(Section):
    """The identify budget: `reserve`, 0 to below 1, is the part of the daily limit left to the operator."""

    reserve: kinds.Fraction = default("10%")


class Supervision(Section):
    """How often one shard is restarted, and within how many seconds, before it counts as failed."""

    restarts: Annotated[int, Field(ge=0), Says("a number of restarts", "a whole number from 0")] = default(5)
    within_s: kinds.Seconds = default("60s", alias="within")


class Notify(Section):
    """Where a person is told what needs one; with None for both `webhook` and `webhook_file`, nowhere.

    Attributes:
        webhook: The address. It is a secret: whoever has it can post there.
        webhook_file: A file whose first line is the address, instead.
        format: `discord` for Discord's own webhooks, `json` for programs; docs/operations.md describes it.
    """

    webhook: kinds.Webhook = default(None)
    webhook_file: kinds.Path | None = default(None)
    format: Annotated[
        Literal["discord", "json"], Says("a format", "discord, or json for a program of your own")
    ] = default("discord")


class Curve(Section):
    """Keys for the sockets: the cluster's own, and a folder with its clients' public ones."""

    secret_key_file: kinds.Path
    clients_dir: kinds.Path


class Security(Section):
    """Who may connect; with None for `curve`, only this machine."""

    curve: Annotated[
        Curve | None, Says("a pair of paths", "null or {secret_key_file: PATH, clients_dir: PATH}")
    ] = default(None)


class NatsTls(Section):
    """TLS to NATS, for servers named as tls://.

    Attributes:
        ca_file: Certificates that the servers' are checked by; None: the system's.
        cert_file: This host's own certificate, if the servers ask for one; `key_file` has its key.
        handshake_first: TLS begins before the server says anything, which its `handshake_first` must allow.
            Otherwise whoever answers in its place could have the login sent in the clear.
    """

    ca_file: kinds.PathIfGiven = absent()
    cert_file: kinds.PathIfGiven = absent()
    key_file: kinds.PathIfGiven = absent()
    handshake_first: Annotated[bool, Says("a yes or no", "true or false")] = default(False)


class Addresses(Section):
    """What programs on other machines connect to; None: what is bound, where that can be connected to."""

    events: host_kinds.ZmqAddress = absent()
    requests: host_kinds.ZmqAddress = absent()
    http: host_kinds.HttpAddress = absent()


class Hosts(Section):
    """Several machines that share the shards of one bot through NATS JetStream.

    Attributes:
        nats: Addresses of NATS servers of one cluster.
        name: This machine's among them; None for its hostname.
        lease_s: For how long a shard is a host's without a renewal.
        credentials_file, user, password_file, token_file, nkey_seed_file: How to log in; one way or none.
    """

    nats: host_kinds.NatsUrls
    name: host_kinds.HostName = absent()
    lease_s: host_kinds.Lease = default("15s", alias="lease")
    credentials_file: kinds.PathIfGiven = absent()
    user: host_kinds.NatsUser = absent()
    password_file: kinds.PathIfGiven = absent()
    token_file: kinds.PathIfGiven = absent()
    nkey_seed_file: kinds.PathIfGiven = absent()
    tls: Annotated[
        NatsTls | None,
        Says("TLS settings", "null or a mapping such as {ca_file: /etc/gwcluster/nats-ca.pem}"),
    ] = default(None)
    addresses: Addresses = default({})


class ClusterFile(Section):
    """The whole of `cluster.yaml`."""

    name: kinds.Name = default("default")
    token: kinds.Token = absent()
    token_file: kinds.PathIfGiven = absent()
    intents: kinds.Intents
    shards: Shards = default({})
    presence: Annotated[
        Presence | None,
        Says("a presence", "null or a mapping such as {status: idle, activities: [], afk: false}"),
    ] = default(None)
    gateway: Gateway = default({})
    events: Events = default({})
    requests: Requests = default({})
    http: Http = default({})
    state: kinds.Path | None = default(None)
    log: Log = default({})
    identify: Identify = default({})
    supervision: Supervision = default({})
    notify: Notify = default({})
    security: Security = default({})
    hosts: Annotated[
        Hosts | None,
        Says("a mapping", "null for one host, or a mapping such as {nats: nats://10.0.0.1:4222}"),
    ] = default(None)
