"""Where the time goes: the tap sampled by py-spy, each sample put down to what it was about."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import Job
from benchmarks.dataset import FORMS, Form
from benchmarks.environments import OURS, Environment
from benchmarks.measure import Command, Failed, run
from benchmarks.results import Part, Run
from benchmarks.session import Entry, Session, interleaved

RATE = 500
"""Samples a second."""

RULES: tuple[tuple[str, str], ...] = (
    (r"(complete\w*|_check_numbers|parse_date) \(vendortap/decode/structs", "numbers and date-times completed"),
    (r"parse \(vendortap/decode/(xml_tree|incremental)", "XML parsed (lxml)"),
    (r"vendortap/decode/xml_rows", "XML matched, and written as JSON"),
    (r"vendortap/decode/(xml|incremental)", "XML elements read by the schema"),
    (r"vendortap/decode/(reader|drift|pages)", "replies into pages"),
    (r"vendortap/decode/", "JSON decoded into types (msgspec), decoders compiled"),
    (r"vendortap/(sync/|declare/(paging|plan)\.py)", "order, bookmark, accounts"),
    (r"(serialize\w*|encode\w*) \(vendortap/", "records encoded (msgspec)"),
    (r"write_lines \(vendortap/", "lines written to the pipe"),
    (r"vendortap/singer/(stream|serialisation|writer)\.py", "selection, messages"),
    (
        r"vendortap/(http/|declare/(auth|limits)\.py)|(urllib3|requests|http|socket|ssl|selectors)[/.]",
        "HTTP",
    ),
    (r"<frozen importlib|importlib/", "start-up: imports"),
    (
        r"vendortap/(singer|plugins|cli)|singer_sdk|click|jsonschema|referencing",
        "start-up: singer-sdk, settings, catalog",
    ),
)
"""Pattern of a frame, and what it is about; the innermost frame that a pattern fits decides."""
REST = "everything else"


def profile(session: Session) -> Part:
    """Sample the tap in both formats, once each."""
    runs: list[Run] = []
    entries: list[Entry] = []
    for form in FORMS:
        count = session.sizes[form]
        with session.serving(form, count) as served:
            entries = [Entry(form, (OURS,), partial(_sampled, f"{served.plain}/{count}", form, count))]
            runs += interleaved(session, "profile", entries, 1)
    return session.part("profile", runs, entries)


def _sampled(url: str, form: Form, count: int, environments: Mapping[str, Environment], path: Path, number: int) -> Run:
    sampler = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if sampler is None:
        raise Failed("py-spy is not installed: pip install --group bench")
    tap = contenders.tap(environments[OURS], Job(url, path, form))
    samples = path / "samples"
    arguments = [sampler, "record", "--rate", str(RATE), "--format", "raw", "--output", str(samples), "--"]
    usage, output = run(Command([*arguments, environments[OURS].python, *tap.arguments], tap.variables), path)
    shares = attribute(samples.read_text(encoding="utf-8").splitlines())
    error = "" if output.records == count else f"{output.records} records instead of {count}"
    return Run(contender=form, round=number, wall=usage.wall, records=output.records, extra=shares, error=error)


def attribute(samples: Iterable[str]) -> dict[str, float]:
    """Return what share of the samples is about what, the largest first.

    A line is a stack, outermost frame first, as ``function (file:line);function (file:line) times``.
    """
    counts: Counter[str] = Counter()
    for sample in samples:
        stack, _, times = sample.rpartition(" ")
        counts[_about(stack)] += int(times)
    total = counts.total() or 1
    return {what: round(times / total, 4) for what, times in counts.most_common()}


def _about(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        for pattern, what in RULES:
            if re.search(pattern, frame):
                return what
    return REST
