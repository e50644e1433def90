"""A tap of the old school: requests and singer-python, by hand.

``singer_python_tap.py URL floats|decimals``. With ``floats`` a page is parsed as most taps do it, with ``decimals``
amounts keep their digits.
"""

from __future__ import annotations

import json
import os
import sys
from decimal import Decimal
from pathlib import Path

import requests
import singer
from singer import utils

PAGE_SIZE = 200


def main() -> None:
    """Write the list as messages."""
    url, numbers = sys.argv[1:]
    parse_float = Decimal if numbers == "decimals" else None
    schema = json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8"))
    session = requests.Session()
    singer.write_schema("invoices", schema, ["InvoiceNumber"])
    page = 1
    while page:
        reply = session.get(f"{url}/invoices", params={"page": page, "size": PAGE_SIZE}, timeout=60)
        reply.raise_for_status()
        extracted = utils.now()
        document = reply.json(parse_float=parse_float)
        for record in document["Invoices"]:
            singer.write_record("invoices", record, time_extracted=extracted)
        page = document["NextPage"]
        singer.write_state({"bookmarks": {"invoices": {"page": page}}})


if __name__ == "__main__":
    main()
