from __future__ import annotations

import json

import jsonschema
from click.testing import CliRunner

from gwcluster.cli import main


def test_the_printed_schema_is_one() -> None:
    result = CliRunner().invoke(main, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid({"token": "abc", "intents": ["GUILDS"]})
