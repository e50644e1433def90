"""How fast the list in XML could be: loops of a few lines, without Singer around them. ``limit_xml.py URL LOOP``.

``xmltodict`` parses and converts by the schema, as a careful tap would. ``lxml`` reads elements by converters that are
compiled from the schema; it checks less than a tap has to.
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
import xmltodict
from lxml import etree
from xml_values import convert

HEAD = b'{"type":"RECORD","stream":"invoices","record":'
SCHEMA = json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8"))


def by_xmltodict(body: bytes):
    """Return the records of a page, and the number of the next one."""
    page = xmltodict.parse(body, force_list=("Invoice", "InvoiceLine", "string"))["InvoicePage"]
    following = page["NextPage"]  # xmltodict has <NextPage xsi:nil="true"/> as a dict
    records = [convert(row, SCHEMA) for row in page["Invoices"]["Invoice"]]
    return records, following if isinstance(following, str) else None


def compiled(schema):
    """Return what reads an element by its schema."""
    kind = schema["type"]
    if "array" in kind:
        item = compiled(schema["items"])
        return lambda element: [item(child) for child in element]
    if "object" in kind:
        members = {name: compiled(member) for name, member in schema["properties"].items()}
        return lambda element: {child.tag: members[child.tag](child) for child in element if child.tag in members}
    if "integer" in kind:
        return lambda element: int(element.text) if element.text else None
    if "number" in kind:
        return lambda element: Decimal(element.text) if element.text else None
    return lambda element: element.text


READ = compiled(SCHEMA)


def by_lxml(body: bytes):
    """Return the records of a page, and the number of the next one."""
    root = etree.fromstring(body)
    return [READ(element) for element in root.find("Invoices")], root.find("NextPage").text


def main() -> None:
    """Write the list as messages."""
    url, loop = sys.argv[1:]
    parse = by_xmltodict if loop == "xmltodict" else by_lxml
    pool, out = urllib3.PoolManager(), sys.stdout.buffer
    encode = msgspec.json.Encoder(decimal_format="number").encode
    page = "1"
    while page:
        reply = pool.request("GET", f"{url}/invoices?page={page}&size=200", headers={"Accept": "application/xml"})
        records, page = parse(reply.data)
        tail = f',"time_extracted":"{datetime.now(UTC).isoformat()}"}}\n'.encode()
        for record in records:
            out.write(HEAD + encode(record) + tail)


if __name__ == "__main__":
    main()
