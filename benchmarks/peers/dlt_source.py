"""Sources of dlt: ``dlt_source.py URL SOURCE STEP WORKERS``, in a folder that it may fill.

SOURCE is ``list`` or ``details``, declared with dlt's rest_api as its documentation teaches, or a resource written by
hand, which keeps the digits of amounts: ``decimals`` yields rows, ``arrow`` tables of Arrow, which dlt loads as they
are. STEP is ``extract``, or the format in which dlt hands the list to DuckDB: ``insert_values``, its default, or
``parquet``, into ``invoices.duckdb``. With more than one worker the documents are fetched in parallel. The number of
invoices goes into the file ``count``.
"""

from __future__ import annotations

import json
import os
import sys
from decimal import Decimal
from pathlib import Path

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")

import dlt
from dlt.common.pendulum import pendulum
from dlt.sources.helpers import requests
from dlt.sources.rest_api import rest_api_source

PAGES = {"type": "cursor", "cursor_path": "NextPage", "cursor_param": "page"}
PAGE = {"page": 1, "size": 200}


def invoices(url: str):
    """Return the list, by rest_api."""
    endpoint = {"path": "invoices", "params": PAGE, "data_selector": "Invoices", "paginator": PAGES}
    resource = {"name": "invoices", "primary_key": "InvoiceNumber", "write_disposition": "append", "endpoint": endpoint}
    return rest_api_source({"client": {"base_url": f"{url}/"}, "resources": [resource]})


def details(url: str, *, parallel: bool):
    """Return the documents of the index, by rest_api."""
    index = {
        "name": "index",
        "selected": False,
        "endpoint": {"path": "index", "params": PAGE, "data_selector": "Invoices", "paginator": PAGES},
    }
    documents = {
        "name": "invoices",
        "primary_key": "InvoiceNumber",
        "parallelized": parallel,
        "endpoint": {
            "path": "invoices/{resources.index.InvoiceNumber}",
            "paginator": "single_page",
            "data_selector": "$",
        },
    }
    return rest_api_source({"client": {"base_url": f"{url}/"}, "resources": [index, documents]})


def pages(url: str):
    """Yield the rows of each page of the list, amounts as Decimal."""
    page = 1
    while page:
        reply = requests.get(f"{url}/invoices", params={**PAGE, "page": page})
        document = json.loads(reply.content, parse_float=Decimal)
        yield document["Invoices"]
        page = document["NextPage"]


@dlt.resource(name="invoices", primary_key="InvoiceNumber", write_disposition="append")
def decimals(url: str):
    """Yield pages as rows."""
    yield from pages(url)


@dlt.resource(name="invoices", primary_key="InvoiceNumber", write_disposition="append")
def arrow(url: str):
    """Yield pages as tables of Arrow, typed by the schema."""
    import pyarrow

    schema = pyarrow.schema(list(arrow_type(json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8")))))
    for rows in pages(url):
        for row in rows:
            for name in ("LastChanged", "ShipDate", "Cancelled"):
                row[name] = row[name] and pendulum.parse(row[name])
        yield pyarrow.Table.from_pylist(rows, schema)


def arrow_type(schema):
    """Return Arrow's type of a JSON schema."""
    import pyarrow

    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    if kind == "object":
        return pyarrow.struct([(name, arrow_type(member)) for name, member in schema["properties"].items()])
    if kind == "array":
        return pyarrow.list_(arrow_type(schema["items"]))
    if schema.get("format") == "date-time":
        return pyarrow.timestamp("us", tz="UTC")
    return {"number": pyarrow.decimal128(38, 9), "integer": pyarrow.int64(), "string": pyarrow.string()}[kind]


def main() -> None:
    """Run the pipeline."""
    url, source, step, workers = sys.argv[1:]
    os.environ["EXTRACT__WORKERS"] = os.environ["EXTRACT__MAX_PARALLEL_ITEMS"] = workers
    sources = {
        "list": lambda: invoices(url),
        "details": lambda: details(url, parallel=int(workers) > 1),
        "decimals": lambda: decimals(url),
        "arrow": lambda: arrow(url),
    }
    destination = dlt.destinations.duckdb("invoices.duckdb") if step != "extract" else "filesystem"
    os.environ["DESTINATION__FILESYSTEM__BUCKET_URL"] = Path("out").absolute().as_uri()
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir="pipelines")
    if step == "extract":
        pipeline.extract(sources[source](), loader_file_format="jsonl")
    else:
        pipeline.run(sources[source](), loader_file_format=step)
    (metrics,) = pipeline.last_trace.last_extract_info.metrics.values()
    tables = [metric["table_metrics"] for metric in metrics]
    count = sum(table["invoices"].items_count for table in tables if "invoices" in table)
    Path("count").write_text(str(count), encoding="utf-8")


if __name__ == "__main__":
    main()
