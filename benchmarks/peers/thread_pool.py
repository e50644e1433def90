"""The documents of the index by a pool of threads and requests, by hand: ``thread_pool.py URL WORKERS``.

The next page of the index is fetched while documents are, so this is about as fast as it can be. There is no limit, no
retry, no state.
"""

from __future__ import annotations

import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import msgspec
import requests
from requests.adapters import HTTPAdapter

HEAD = b'{"type":"RECORD","stream":"invoices","record":'
AHEAD = 400
"""Documents that are asked for before the first of them is written."""


def main() -> None:
    """Write the documents as messages, in the order of the index."""
    url, workers = sys.argv[1], int(sys.argv[2])
    decode = msgspec.json.Decoder(float_hook=Decimal).decode
    encode = msgspec.json.Encoder(decimal_format="number").encode
    session, out = requests.Session(), sys.stdout.buffer
    session.mount("http://", HTTPAdapter(pool_maxsize=workers + 1))

    def get(path: str) -> bytes:
        return session.get(f"{url}/{path}", timeout=60).content

    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        following = pool.submit(get, "index?page=1&size=200")
        while following or waiting:
            while following and len(waiting) < AHEAD:
                index = decode(following.result())
                page = index["NextPage"]
                following = pool.submit(get, f"index?page={page}&size=200") if page else None
                waiting.extend(pool.submit(get, f"invoices/{row['InvoiceNumber']}") for row in index["Invoices"])
            out.write(HEAD + encode(decode(waiting.popleft().result())) + b"}\n")


if __name__ == "__main__":
    main()
