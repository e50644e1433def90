"""The least that a tap on singer-sdk can be: what ``--discover`` costs without vendortap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from singer_sdk import Stream, Tap


class Nothing(Stream):
    """A stream without records."""

    name = "nothing"
    schema = {"type": "object", "properties": {"id": {"type": "string"}}}  # noqa: RUF012 (as the SDK has it)

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """Yield nothing."""
        del context
        return []


class Bare(Tap):
    """A tap without settings."""

    name = "tap-bare"
    config_jsonschema = {"type": "object", "properties": {}}  # noqa: RUF012 (as the SDK has it)

    def discover_streams(self) -> list[Stream]:
        """Return the one stream."""
        return [Nothing(self)]


if __name__ == "__main__":
    Bare.cli()
