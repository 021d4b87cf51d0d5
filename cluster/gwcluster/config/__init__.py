"""`cluster.yaml` → typed settings, or every error with its line, key and remedy."""

from gwcluster.config.load import load
from gwcluster.config.model import (
    Curve,
    Events,
    Gateway,
    Http,
    Identify,
    Log,
    Notify,
    Requests,
    Retention,
    Security,
    Shards,
    Supervision,
)
from gwcluster.config.problems import ConfigError, Problem
from gwcluster.config.schema import json_schema
from gwcluster.config.settings import Config

__all__ = [
    "Config",
    "ConfigError",
    "Curve",
    "Events",
    "Gateway",
    "Http",
    "Identify",
    "Log",
    "Notify",
    "Problem",
    "Requests",
    "Retention",
    "Security",
    "Shards",
    "Supervision",
    "json_schema",
    "load",
]
