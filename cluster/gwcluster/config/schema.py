"""The JSON Schema of `cluster.yaml`, drawn from what validates it (pure)."""

from __future__ import annotations

from typing import Any, Final

from gwcluster.config.environment import REFERENCE_START
from gwcluster.config.model import ClusterFile

_FROM_ENVIRONMENT: Final = {"$ref": "#/$defs/FromEnvironment"}


def json_schema() -> dict[str, Any]:
    """Return a JSON Schema (draft 2020-12) that editors can check and complete `cluster.yaml` with.

    It takes `${NAME}` wherever a single value may stand. What depends on several settings, such as two
    equal ports, is beyond it; `gwcluster check` finds that.
    """
    schema = ClusterFile.model_json_schema(by_alias=True)
    for part in (schema, *schema["$defs"].values()):
        _tidy(part)
    schema["$defs"]["FromEnvironment"] = {
        "type": "string",
        "pattern": REFERENCE_START,
        "description": "${NAME} or ${NAME:-default}, filled in from the environment",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "gwcluster's cluster.yaml",
        "oneOf": [{"required": ["token"]}, {"required": ["token_file"]}],
    }


def _tidy(part: dict[str, Any]) -> None:
    part.pop("title", None)
    part["description"] = part.get("description", "").split("\n")[0]
    for key, value in part.get("properties", {}).items():
        value.pop("title", None)
        if "$ref" not in value:
            part["properties"][key] = _or_environment(value)


def _or_environment(value: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {key: value.pop(key) for key in ("description", "default") if key in value}
    choices = value["anyOf"] if set(value) == {"anyOf"} else [value]
    for choice in choices:
        if "description" in choice:
            about.setdefault("description", choice.pop("description"))
        if isinstance(choice.get("items"), dict) and "$ref" not in choice["items"]:
            choice["items"] = {"anyOf": [choice["items"], _FROM_ENVIRONMENT]}
    return {**about, "anyOf": [*choices, _FROM_ENVIRONMENT]}
