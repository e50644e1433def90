"""The least that a tap on singer-sdk can be: what ``--discover`` costs without vendortap."""

from __future__ import annotations

from singer_sdk import Stream, Tap
from singer_sdk import typing as th


class Nothing(Stream):
    """A stream without records."""

    name = "nothing"
    schema = th.PropertiesList(th.Property("id", th.StringType)).to_dict()

    def get_records(self, context):
        """Yield nothing."""
        return []


class Bare(Tap):
    """A tap without settings."""

    name = "tap-bare"
    config_jsonschema = th.PropertiesList().to_dict()

    def discover_streams(self):
        """Return the one stream."""
        return [Nothing(self)]


if __name__ == "__main__":
    Bare.cli()
