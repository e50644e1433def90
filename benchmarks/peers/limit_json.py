"""How fast the list could be at all: loops of a few lines, without Singer around them. ``limit_json.py URL LOOP``.

``typed`` decodes each page into types, dates and exact amounts, and encodes each record. ``checked`` decodes as well,
but writes the vendor's own bytes. ``passed`` writes these unchecked: the floor.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import urllib3

HEAD = b'{"type":"RECORD","stream":"invoices","record":'
KINDS = {"number": Decimal, "integer": int, "string": str}


def typed(schema, name="Invoice"):
    """Return the msgspec type of a JSON schema: structs, exact decimals, aware date-times."""
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    kind = kinds[0]
    if kind == "object":
        required = schema.get("required", ())
        fields = [
            (key, typed(member, key)) if key in required else (key, typed(member, key), None)
            for key, member in schema["properties"].items()
        ]
        made = msgspec.defstruct(name, fields, kw_only=True, gc=False)
    elif kind == "array":
        made = list[typed(schema["items"], f"{name}Item")]
    else:
        made = datetime if schema.get("format") == "date-time" else KINDS[kind]
    return made | None if "null" in kinds else made


def main() -> None:
    """Write the list as messages."""
    url, loop = sys.argv[1:]
    schema = json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8"))
    invoice = typed(schema)
    row = invoice if loop == "typed" else msgspec.Raw
    form = msgspec.defstruct("Page", [("Invoices", list[row]), ("NextPage", int | None, None)])
    decode = msgspec.json.Decoder(form).decode
    check = msgspec.json.Decoder(invoice).decode if loop == "checked" else lambda _: None
    encode = msgspec.json.Encoder(decimal_format="number").encode if loop == "typed" else bytes
    pool, out = urllib3.PoolManager(), sys.stdout.buffer
    page = 1
    while page:
        document = decode(pool.request("GET", f"{url}/invoices?page={page}&size=200").data)
        tail = f',"time_extracted":"{datetime.now(UTC).isoformat()}"}}\n'.encode()
        for record in document.Invoices:
            check(record)
            out.write(HEAD + encode(record) + tail)
        page = document.NextPage


if __name__ == "__main__":
    main()
