"""Who is measured: for each contender its title, its environment, and the command that does a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.dataset import Form
from benchmarks.environments import OURS, Environment
from benchmarks.measure import Command
from benchmarks.paths import PEERS, PLUGIN


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for: ``url`` leads to so many invoices; ``folder`` is the contender's own, and empty."""

    url: str
    folder: Path
    form: Form = "json"
    stream: str = "invoices"
    concurrency: int = 1


Prepare = Callable[[Environment, Job], Command]
"""Writes what the contender needs into the job's folder and returns its command."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of a table.

    ``title`` is what the table calls it. ``runs_at_most`` is set for those that take minutes a run. ``messages``
    says whether it writes RECORD messages; who does not has ``wrote``, which counts what it left in its folder.
    """

    name: str
    title: str
    environment: str
    prepare: Prepare
    runs_at_most: int | None = None
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
    arguments = [environment.script("tap-bench"), "--config", write_json(job.folder / "config.json", config)]
    if job.stream != "invoices":
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


VENDORTAP = Contender("vendortap", "vendortap", OURS, tap)
SINGER_SDK = Contender("singer-sdk", "singer-sdk, default", "singer-sdk", _singer_sdk("default"))
SINGER_SDK_TUNED = Contender(
    "singer-sdk-tuned", "singer-sdk, its fastest official settings", "singer-sdk", _singer_sdk("tuned")
)
