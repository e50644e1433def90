"""Who is measured: for each contender its title, its environment, and the command that does a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import airbyte
from benchmarks.dataset import Form
from benchmarks.environments import OURS, Environment
from benchmarks.measure import Command
from benchmarks.paths import PEERS, PLUGIN
from benchmarks.server import BURST, RATE


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for: ``url`` leads to so many invoices; ``folder`` is the contender's own, and empty.

    ``stream`` is one of the plugin's. ``limited`` says that the server has a limit, which a contender may be told.
    """

    url: str
    folder: Path
    form: Form = "json"
    stream: str = "invoices"
    concurrency: int = 1
    limited: bool = False


Prepare = Callable[[Environment, Job], Command]
"""Writes what the contender needs into the job's folder and returns its command."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of a table, which calls it by its ``title``.

    ``messages`` says whether it writes RECORD messages; who does not has ``wrote``, which counts what it left in
    its folder.
    """

    name: str
    title: str
    environment: str
    prepare: Prepare
    messages: bool = True
    wrote: Callable[[Path], int] = lambda _: 0


def write_json(path: Path, document: Any) -> str:
    """Write a JSON file; returns its path as an argument."""
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def singer_schema() -> dict[str, Any]:
    """Return the invoices' schema as a Singer tap has it: that of the plugin without what only vendortap reads."""
    path = PLUGIN / "tap_bench" / "schemas" / "invoices.json"
    schema: dict[str, Any] = _plain(json.loads(path.read_text(encoding="utf-8")))
    return schema


def _plain(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _plain(value) for name, value in schema.items() if name not in ("xml", "$schema", "title")}
    return schema


# --- ours --------------------------------------------------------------------------------------------


def tap(environment: Environment, job: Job) -> Command:
    """The project's own tap, by its console command."""
    config = {"base_url": job.url, "format": job.form, "concurrency": job.concurrency}
    if job.limited:
        config |= {"requests_per_second": RATE, "burst": BURST}
    arguments = [environment.script("tap-bench"), "--config", write_json(job.folder / "config.json", config)]
    if job.stream != "invoices":
        config["extra_streams"] = [job.stream]
        arguments += ["--catalog", write_json(job.folder / "catalog.json", _catalog(job.stream))]
    return Command(arguments, {"LOGLEVEL": "WARNING"})


def _catalog(stream: str) -> dict[str, Any]:
    """Select one stream, with all its fields; the schema of a stream is the tap's own whatever a catalog says."""
    entry = {
        "tap_stream_id": stream,
        "schema": singer_schema(),
        "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
    }
    return {"streams": [entry]}


# --- peers -------------------------------------------------------------------------------------------


def _singer_sdk(variant: str) -> Prepare:
    def prepare(environment: Environment, job: Job) -> Command:
        stream = "invoices_xml" if job.form == "xml" else job.stream
        config = write_json(job.folder / "config.json", {"base_url": job.url})
        variables = {
            "BENCH_VARIANT": variant,
            "BENCH_STREAM": stream,
            "BENCH_SCHEMA": write_json(job.folder / "schema.json", singer_schema()),
            "LOGLEVEL": "WARNING",
        }
        return Command([environment.python, str(PEERS / "singer_sdk_tap.py"), "--config", config], variables)

    return prepare


def script(name: str, *arguments: str, concurrent: bool = False) -> Prepare:
    """A script in benchmarks/peers: it takes the URL, then these arguments, then the concurrency where it has one."""

    def prepare(environment: Environment, job: Job) -> Command:
        command = [environment.python, str(PEERS / name), job.url, *arguments]
        schema = write_json(job.folder / "schema.json", singer_schema())
        return Command([*command, str(job.concurrency)] if concurrent else command, {"BENCH_SCHEMA": schema})

    return prepare


def _airbyte(environment: Environment, job: Job) -> Command:
    """A declarative source of airbyte-cdk, read as Airbyte reads it."""
    limit = (BURST, BURST / RATE) if job.limited else None  # the bucket's burst, and what it takes to fill again
    manifest = airbyte.manifest(job.url, job.form, job.stream, job.concurrency, singer_schema(), limit)
    config = write_json(job.folder / "config.json", {"__injected_declarative_manifest": manifest})
    catalog = write_json(job.folder / "catalog.json", airbyte.catalog(job.stream, singer_schema()))
    script = environment.script("source-declarative-manifest")
    return Command([script, "read", "--config", config, "--catalog", catalog])


def _counted(folder: Path) -> int:
    count = folder / "count"
    return int(count.read_text(encoding="utf-8")) if count.exists() else 0


# --- all of them -------------------------------------------------------------------------------------

VENDORTAP = Contender("vendortap", "**vendortap**", OURS, tap)
SINGER_SDK = Contender("singer-sdk", "singer-sdk, default", "singer-sdk", _singer_sdk("default"))
SINGER_SDK_TUNED = Contender(
    "singer-sdk-tuned", "singer-sdk, its fastest official settings", "singer-sdk", _singer_sdk("tuned")
)
AIRBYTE = Contender("airbyte-cdk", "airbyte-cdk, declarative", "airbyte-cdk", _airbyte)
DLT_EXTRACT = Contender(
    "dlt-extract",
    "dlt rest_api, extract alone",
    "dlt",
    script("dlt_source.py", "list", "extract", concurrent=True),
    messages=False,
    wrote=_counted,
)
DLT_DETAILS = Contender(
    "dlt-details",
    "dlt rest_api, extract alone",
    "dlt",
    script("dlt_source.py", "details", "extract", concurrent=True),
    messages=False,
    wrote=_counted,
)
SINGER_PYTHON_FLOATS = Contender(
    "singer-python-floats",
    "requests and singer-python, floats",
    "singer-python",
    script("singer_python_tap.py", "floats"),
)
SINGER_PYTHON_DECIMALS = Contender(
    "singer-python-decimals",
    "requests and singer-python, Decimal",
    "singer-python",
    script("singer_python_tap.py", "decimals"),
)
LIMIT_TYPED = Contender(
    "limit-typed", "limit: urllib3, typed msgspec decode and encode", "limits", script("limit_json.py", "typed")
)
LIMIT_CHECKED = Contender(
    "limit-checked", "limit: typed decode as a check, bytes passed on", "limits", script("limit_json.py", "checked")
)
FLOOR = Contender("floor", "floor: bytes passed on unchecked", "limits", script("limit_json.py", "passed"))
XMLTODICT = Contender(
    "limit-xmltodict", "xmltodict and conversion, nothing around it", "limits", script("limit_xml.py", "xmltodict")
)
LXML = Contender("limit-lxml", "limit: lxml and compiled converters", "limits", script("limit_xml.py", "lxml"))
THREAD_POOL = Contender(
    "thread-pool", "pool of threads and requests, by hand", "limits", script("thread_pool.py", concurrent=True)
)

ALL = (
    *(VENDORTAP, SINGER_SDK, SINGER_SDK_TUNED, AIRBYTE, DLT_EXTRACT, DLT_DETAILS),
    *(SINGER_PYTHON_FLOATS, SINGER_PYTHON_DECIMALS),
    *(LIMIT_TYPED, LIMIT_CHECKED, FLOOR, XMLTODICT, LXML, THREAD_POOL),
)
"""Everyone that fetches."""
TITLES = {contender.name: contender.title for contender in ALL}
