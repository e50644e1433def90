"""Messages for the DuckDB target in this process, and what is in the file afterwards."""

from __future__ import annotations

import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from vendortap.duckdb.columns import Column
from vendortap.duckdb.target import DuckdbTarget

NUMBER = Column("DECIMAL", precision=38, scale=9)
Message = dict[str, Any]


def schema(stream: str, properties: Message, keys: list[str] | None = None, **more: Any) -> Message:
    body = {"type": "object", "properties": properties, **more}
    return {"type": "SCHEMA", "stream": stream, "schema": body, "key_properties": keys or []}


def record(stream: str, **fields: Any) -> Message:
    return {"type": "RECORD", "stream": stream, "record": fields}


def load(file: Path, *messages: Message | str, **config: Any) -> None:
    """Load messages; a str is a raw line, which is how numbers are given digit for digit."""
    text = "".join((m if isinstance(m, str) else json.dumps(m)) + "\n" for m in messages)
    with closing(DuckdbTarget(config={"path": str(file), **config})) as target:
        target.listen(io.StringIO(text))


def rows(file: Path, query: str) -> list[Any]:
    with duckdb.connect(str(file), config={"autoinstall_known_extensions": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def types(file: Path, table: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in rows(file, f"DESCRIBE {table}")}


STRING = {"type": ["null", "string"]}
AMOUNT = {"type": ["null", "number"]}
INTEGER = {"type": ["null", "integer"]}
WHEN = {"type": ["null", "string"], "format": "date-time"}


def obj(**properties: Any) -> Message:
    return {"type": ["null", "object"], "properties": properties}


def arr(items: Message) -> Message:
    return {"type": ["null", "array"], "items": items}
