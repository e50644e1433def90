"""The list to Singer messages: invoices per CPU-second, in JSON and in XML."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import Contender, Job
from benchmarks.dataset import Form
from benchmarks.fetching import fetching
from benchmarks.results import Part
from benchmarks.session import Session, interleaved

JSON = (
    contenders.VENDORTAP,
    contenders.SINGER_SDK,
    contenders.SINGER_SDK_TUNED,
    contenders.AIRBYTE,
    contenders.DLT_EXTRACT,
    contenders.SINGER_PYTHON_FLOATS,
    contenders.SINGER_PYTHON_DECIMALS,
    contenders.LIMIT_TYPED,
    contenders.LIMIT_CHECKED,
    contenders.FLOOR,
)
XML = (
    contenders.VENDORTAP,
    contenders.SINGER_SDK,
    contenders.AIRBYTE,
    contenders.XMLTODICT,
    contenders.LXML,
)
COMPETING: Mapping[Form, tuple[Contender, ...]] = {"json": JSON, "xml": XML}
LIMITS = (contenders.LIMIT_TYPED, contenders.LIMIT_CHECKED, contenders.FLOOR, contenders.XMLTODICT, contenders.LXML)
"""Loops that are no taps: how fast it could be at all."""


def json(session: Session) -> Part:
    """Measure the JSON list."""
    return _lists(session, "json")


def xml(session: Session) -> Part:
    """Measure the XML list."""
    return _lists(session, "xml")


def _lists(session: Session, form: Form) -> Part:
    count = session.sizes[form]
    with session.serving(form, count) as served:
        truth = session.truth(form, count)
        job = partial(_job, f"{served.plain}/{count}", form)
        entries = [fetching(contender, job, truth) for contender in COMPETING[form]]
        return session.part(form, interleaved(session, form, entries, session.sizes["runs"]), entries)


def _job(url: str, form: Form, folder: Path) -> Job:
    return Job(url, folder, form)
