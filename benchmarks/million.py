"""Peak memory of each connector's tap over a list of many rows: ``python -m benchmarks.million``.

The vendor's sandbox answers all but the list. Of the first row that it lists, pages are made that differ in their keys
only, in the vendor's own format. It is served by another process, and each tap writes into nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from vendortap.plugins import host
from vendortap.sandbox import faults, serve

ROWS = 1_000_000
GOAL_MIB = 70


class Asked(NamedTuple):
    """Where a page begins, and how many rows it may have."""

    first: int
    size: int


@dataclass(frozen=True)
class Form:
    """How a vendor lists: in which stream, at what path, by which keys; ``fill`` puts rows into a page."""

    connector: str
    stream: str
    path: str
    keys: tuple[str, ...]
    asked: Callable[[Mapping[str, str], Any], Asked]
    rows: Callable[[Any], list[Any]]
    fill: Callable[[Any, list[Any], Asked, int], Any]
    config: Mapping[str, Any]


def _by_number(number: str, size: str) -> Callable[[Mapping[str, str], Any], Asked]:
    return lambda params, _: Asked((int(params[number]) - 1) * int(params[size]), int(params[size]))


def _by_token(params: Mapping[str, str], body: Any) -> Asked:
    del body
    return Asked(int(params.get("nextToken", 0)), int(params["limit"]))


def _by_offset(params: Mapping[str, str], body: Any) -> Asked:
    del params
    return Asked(body["tableFilterModel"]["First"], body["tableFilterModel"]["Rows"])


def _with_token(page: Any, rows: list[Any], asked: Asked, total: int) -> Any:
    following = asked.first + len(rows)
    more = {"pagination": {"nextToken": str(following)}} if following < total else {}
    return {"payload": {"customerInvoices": rows, **more}} if "payload" in page else {"customerInvoices": rows, **more}


def _with_counts(page: Any, rows: list[Any], asked: Asked, total: int) -> Any:
    return {**page, "List": rows, "TotalCount": total, "TotalPage": -(-total // asked.size)}


FORMS = (
    Form(
        "scansource",
        "invoices",
        "/summary",
        ("InvoiceNumber",),
        _by_number("page", "pageSize"),
        lambda page: page,
        lambda _, rows, __, ___: rows,
        {"page_size": 200},
    ),
    Form(
        "ingram-micro",
        "invoices",
        "/invoices",
        ("invoiceNumber",),
        _by_number("pageNumber", "pageSize"),
        lambda page: page["invoices"],
        lambda page, rows, _, total: {**page, "invoices": rows, "recordsFound": total},
        {"page_size": 100},
    ),
    Form(
        "visiblescm",
        "invoices",
        "/InvoiceList",
        ("InvoiceRefNumber",),
        _by_number("PageNumber", "PageSize"),
        lambda page: page["List"],
        _with_counts,
        {"page_size": 200, "format": "json"},
    ),
    Form(
        "midnight",
        "invoices",
        "/InvoiceList",
        ("Guid",),
        _by_offset,
        lambda page: page,
        lambda _, rows, __, total: [{**row, "TotalRecords": total} for row in rows],
        {"page_size": 200},
    ),
    Form(
        "amazon-vendor",
        "customer_invoices",
        "/customerInvoices",
        ("purchaseOrderNumber",),
        _by_token,
        lambda page: page.get("payload", page)["customerInvoices"],
        _with_token,
        {"limit": 100},
    ),
)


class Many:
    """An application before the sandbox's that lists so many rows."""

    def __init__(self, app: Any, form: Form, total: int) -> None:
        self.app = app
        self.form = form
        self.total = total
        self.page: Any = None
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""
        if scope["type"] != "http" or not scope["path"].endswith(self.form.path):
            await self.app(scope, receive, send)
            return
        body = (await receive()).get("body", b"")
        if self.page is None:
            plain = [(name, value) for name, value in scope["headers"] if name.lower() != b"accept-encoding"]

            async def given() -> MutableMapping[str, Any]:
                return {"type": "http.request", "body": body, "more_body": False}

            answer = await faults.collected(self.app, {**scope, "headers": plain}, given)
            self.page = json.loads(answer.body)
            await asyncio.sleep(0)
        params = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        asked = self.form.asked(params, json.loads(body) if body else None)
        row = self.form.rows(self.page)[0]
        numbers = range(asked.first, min(asked.first + asked.size, self.total))
        rows = [{**row, **dict.fromkeys(self.form.keys, f"K{number:09}")} for number in numbers]
        page = json.dumps(self.form.fill(self.page, rows, asked, self.total)).encode()
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(page)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": page})


def _serve(form: Form, total: int, url: Any) -> None:
    connector = host.load(form.connector)
    options = connector.sandbox.options if connector.sandbox else {}
    app = serve.application(connector, invoices=500, **{**options, "rate": 0})
    with serve.serving(Many(app, form, total)) as served:
        url.send(served.url)
        url.recv()


def peak(form: Form, total: int) -> tuple[float, float, int]:
    """Return the tap's peak memory in MiB, its CPU seconds, and how many records it wrote."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(form, total, theirs), daemon=True)
    server.start()
    connector = host.load(form.connector)
    settings = {**serve.settings(connector, ours.recv()), "requests_per_second": 100_000, "burst": 1000, **form.config}
    if "customer_numbers" in settings:
        settings["customer_numbers"] = settings["customer_numbers"][:1]
    if form.connector == "amazon-vendor":  # one window
        begin = date.fromisoformat(settings["start_date"])
        settings["end_date"] = str(begin + timedelta(days=7))
    try:
        with tempfile.TemporaryDirectory() as folder:
            config, catalog = Path(folder) / "config.json", Path(folder) / "catalog.json"
            config.write_text(json.dumps(settings))
            catalog.write_text(json.dumps(_catalog(form)))
            return _run(form, config, catalog)
    finally:
        server.terminate()
        server.join()


def _catalog(form: Form) -> Any:
    command = [sys.executable, "-P", "-m", "vendortap.singer", form.connector, "--discover"]
    document = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    for entry in document["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] == form.stream
    return document


def _run(form: Form, config: Path, catalog: Path) -> tuple[float, float, int]:
    arguments = ["--config", str(config), "--catalog", str(catalog)]
    command = [sys.executable, "-P", "-m", "vendortap.singer", form.connector, *arguments]
    environment = {**os.environ, "LOGLEVEL": "ERROR"}
    tap = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert tap.stdout is not None
    records, rest = 0, b""
    while chunk := os.read(tap.stdout.fileno(), 1 << 20):
        records += (rest + chunk).count(b'"RECORD"') - rest.count(b'"RECORD"')
        rest = chunk[-16:]
    _, status, usage = os.wait4(tap.pid, 0)
    tap.returncode = os.waitstatus_to_exitcode(status)
    if tap.returncode:
        sys.exit(f"{form.connector}: the tap ended with {tap.returncode}; its message is above")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, records


def main() -> None:
    """Measure them one after the other."""
    parser = argparse.ArgumentParser(prog="benchmarks.million", description="Measure the memory of long lists.")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help="default: %(default)s")
    parser.add_argument("--only", default="", metavar="NAME", help="this connector alone")
    options = parser.parse_args()
    for form in FORMS:
        if options.only in ("", form.connector):
            mib, cpu, records = peak(form, options.rows)
            print(f"{form.connector:<14} {records:>10,} records  {mib:6.1f} MiB  {cpu:6.1f} s CPU", flush=True)


if __name__ == "__main__":
    main()
