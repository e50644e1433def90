"""What one would write by hand to get the list into DuckDB: ``load_script.py URL WAY``, into ``invoices.duckdb``.

``insert`` parses amounts as Decimal and inserts page by page. ``texts`` parses them as text, writes one file of JSON
lines and lets DuckDB read that with DECIMAL columns. ``pages`` writes the pages as they come, and lets DuckDB read
these. There is no limit, no retry, no state, and no check but what the columns' types come to.
"""

from __future__ import annotations

import json
import os
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import requests

KINDS = {"number": "DECIMAL(38,9)", "integer": "BIGINT", "string": "VARCHAR"}


def column(schema) -> str:
    """Return DuckDB's type of a JSON schema; by hand one would write it down."""
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    if kind == "object":
        return f"STRUCT({', '.join(f'{name} {column(member)}' for name, member in schema['properties'].items())})"
    if kind == "array":
        return f"{column(schema['items'])}[]"
    return "TIMESTAMPTZ" if schema.get("format") == "date-time" else KINDS[kind]


def by_insert(database, url: str, columns) -> None:
    """Insert the rows of each page."""
    database.execute(f"CREATE TABLE invoices ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
    insert = f"INSERT INTO invoices VALUES ({', '.join('?' * len(columns))})"
    page, session = 1, requests.Session()
    while page:
        reply = session.get(f"{url}/invoices", params={"page": page, "size": 200}, timeout=60)
        document = json.loads(reply.content, parse_float=Decimal)
        database.executemany(insert, [[row[name] for name in columns] for row in document["Invoices"]])
        page = document["NextPage"]


def by_texts(database, url: str, columns) -> None:
    """Write lines of JSON with amounts as text, which DuckDB casts exactly."""
    page, session = 1, requests.Session()
    with open("invoices.jsonl", "w", encoding="utf-8") as lines:
        while page:
            reply = session.get(f"{url}/invoices", params={"page": page, "size": 200}, timeout=60)
            document = json.loads(reply.content, parse_float=str)
            lines.writelines(json.dumps(row) + "\n" for row in document["Invoices"])
            page = document["NextPage"]
    relation = f"read_json('invoices.jsonl', format = 'newline_delimited', columns = {columns})"
    database.execute(f"CREATE TABLE invoices AS FROM {relation}")


def by_pages(database, url: str, columns) -> None:
    """Write the pages as they come, and let DuckDB do everything else."""
    page, session = 1, requests.Session()
    with open("pages.jsonl", "wb") as lines:
        while page:
            reply = session.get(f"{url}/invoices", params={"page": page, "size": 200}, timeout=60)
            lines.write(reply.content + b"\n")
            page = reply.json()["NextPage"]
    rows = f"STRUCT({', '.join(f'{name} {kind}' for name, kind in columns.items())})[]"
    relation = f"read_json('pages.jsonl', format = 'newline_delimited', columns = {{'Invoices': '{rows}'}}, "
    relation += "maximum_object_size = 100000000)"
    database.execute(f"CREATE TABLE invoices AS SELECT unnest(Invoices, max_depth := 2) FROM {relation}")


WAYS = {"insert": by_insert, "texts": by_texts, "pages": by_pages}


def main() -> None:
    """Load the list."""
    url, way = sys.argv[1:]
    schema = json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8"))
    columns = {name: column(member) for name, member in schema["properties"].items()}
    with duckdb.connect("invoices.duckdb") as database:
        WAYS[way](database, url, columns)


if __name__ == "__main__":
    main()
