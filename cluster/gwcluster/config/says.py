"""Settings that say what would be right, in errors and in the JSON Schema alike (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from gwcluster.config.problems import UnfitError


class Section(BaseModel):
    """A mapping of the file: its keys are all that it may have, nothing is converted, nothing changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Says:
    """Annotation that words whatever is wrong with a value as "... is not `what`; write `write`".

    An `UnfitError` that has a message keeps it; errors about the value's parts pass unchanged.
    """

    what: str
    write: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._word, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "description": self.write}

    def _word(self, value: object, validate: Callable[[object], object]) -> object:
        try:
            return validate(value)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            if any(part["loc"] for part in found):
                raise
            causes = [part.get("ctx", {}).get("error") for part in found]
        said = next((str(cause) for cause in causes if isinstance(cause, UnfitError)), "")
        raise UnfitError(said or f"is not {self.what}; write {self.write}")


def default(as_written: object, *, alias: str | None = None) -> Any:
    """Return a field whose default is given as it would be written in the file, there under `alias`."""
    return Field(default=as_written, validate_default=True, alias=alias)


def absent() -> Any:
    """Return a field that is None unless the file has it, where null is no value for it."""
    return Field(default=None, json_schema_extra=_no_default)


def _no_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)
