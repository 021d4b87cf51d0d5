"""`gwcluster keygen` (does): makes the cluster's keys, or a client's, as ZeroMQ certificates."""

from __future__ import annotations

from pathlib import Path

import click
import zmq

from gwcluster.client.keys import KEY_VARIABLE
from gwcluster.curve.certificate import Certificate, CertificateError, permissions
from gwcluster.curve.clients import NAME, SUFFIX
from gwcluster.curve.key_files import KeyFileError, public_file_of, write_new
from gwcluster.wire.permissions import Permission, in_words


class _Permissions(click.ParamType[frozenset[Permission]]):
    name = "read,send,operate"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[Permission]:
        try:
            return permissions(value)
        except CertificateError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option(
    "--server", type=click.Path(path_type=Path), metavar="FILE", help="Make the cluster's keys, here."
)
@click.option("--client", metavar="NAME", help="Make the keys of a client of this name.")
@click.option("--may", type=_Permissions(), default="read", show_default=True, help="What a client may do.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where a client's keys go.",
)
def command(server: Path | None, client: str | None, may: frozenset[Permission], folder: Path | None) -> None:
    """Make a pair of keys: a secret file, its owner's alone, and a public one. No file is overwritten.

    Either --server FILE, or --client NAME --dir DIR.

    A client may read (events, replays, the status), send (commands to Discord) and operate (restart shards).
    """
    if (server is None) == (client is None):
        raise click.UsageError("give either --server FILE or --client NAME")
    if server is not None:
        secret, public = _made(server, public_file_of(server), frozenset())
        click.echo(_SERVER_NEXT.format(secret=secret, public=public))
        return
    assert client is not None, "one of the two is given"
    if folder is None:
        raise click.UsageError("--client needs --dir, the folder that its keys go into")
    if NAME.fullmatch(client) is None:
        raise click.UsageError(
            f"--client: {client!r} is no name; use up to 64 letters, digits, dots and hyphens"
        )
    secret, public = _made(folder / f"{client}{SUFFIX}_secret", folder / f"{client}{SUFFIX}", may)
    words = in_words(may)
    click.echo(_CLIENT_NEXT.format(secret=secret, public=public, words=words, variable=KEY_VARIABLE))


def _made(secret: Path, public: Path, may: frozenset[Permission]) -> tuple[Path, Path]:
    pair = Certificate(*zmq.curve_keypair(), may)
    if public.exists():
        raise KeyFileError(public, "there is such a file already, and keys are not overwritten")
    write_new(secret, pair, ["A secret key, made by gwcluster keygen.", "Keep it; give it to nobody."])
    try:
        write_new(
            public, Certificate(pair.public_key, None, may), ["A public key, made by gwcluster keygen."]
        )
    except KeyFileError:
        secret.unlink()  # half a pair would stand in the way of the next attempt
        raise
    return secret, public


_SERVER_NEXT = """\
{secret}: the cluster's secret key. Only the cluster may read it.
{public}: its public key. Every client needs it.

Next: in cluster.yaml,
    security:
      curve: {{secret_key_file: {secret}, clients_dir: FOLDER}}
and for each client: gwcluster keygen --client NAME --may read,send --dir FOLDER"""

_CLIENT_NEXT = """\
{secret}: the client's secret key. Move it to the client; the cluster doesn't need it.
{public}: its public key, which may {words}. It belongs into the cluster's security.curve.clients_dir.

Next: a running cluster takes it within seconds. The client names its secret key in ${variable}, or loads it:
    gwcluster.connect(..., curve=gwcluster.Curve.load("{secret}", "THE CLUSTER'S PUBLIC KEY"))"""
