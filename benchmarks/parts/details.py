"""Documents one by one: how much of a vendor's latency concurrency hides, and what a rate limit costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from benchmarks import contenders, server
from benchmarks.contenders import Job
from benchmarks.environments import Environment
from benchmarks.fetching import fetching
from benchmarks.results import Part, Run
from benchmarks.session import Entry, Session, interleaved

IN_FLIGHT = 20
SWEEP: Mapping[int, int | None] = {IN_FLIGHT: None, 10: 2, 5: 2, 1: 1}
"""Documents in flight, and in how many rounds at most that is measured."""
CONCURRENT = (contenders.VENDORTAP, contenders.AIRBYTE, contenders.DLT_DETAILS, contenders.THREAD_POOL)
SEQUENTIAL = (*CONCURRENT, contenders.SINGER_SDK)
LIMITED = (contenders.VENDORTAP, contenders.AIRBYTE, contenders.DLT_DETAILS, contenders.SINGER_SDK)


def ideal(count: int, in_flight: int) -> float:
    """Return the seconds that documents and pages of the index take, nothing but latency, all places always taken."""
    return (count + -(-count // 200)) * server.LATENCY / in_flight


def ideal_limited(count: int) -> float:
    """Return the seconds until the limit lets the last request through."""
    return (count + -(-count // 200) - server.BURST) / server.RATE


def details(session: Session) -> Part:
    """Measure documents at LATENCY, so many in flight; one by one, all contenders at the same time."""
    count = session.sizes["details"]
    with session.serving("json", count) as served:
        truth = session.truth("json", count)
        entries = [
            fetching(
                contender,
                partial(_job, f"{served.slow}/{count}", in_flight, False),
                truth,
                case=in_flight,
                runs_at_most=rounds,
                together=in_flight == 1,
            )
            for in_flight, rounds in SWEEP.items()
            for contender in (CONCURRENT if in_flight > 1 else SEQUENTIAL)
        ]
        return session.part("details", interleaved(session, "details", entries, session.sizes["runs"]), entries)


def limit(session: Session) -> Part:
    """Measure documents under a rate limit; each contender has a port, and a bucket, of its own."""
    count = session.sizes["limit"]
    with session.serving("json", count) as served:
        truth = session.truth("json", count)
        entries = [
            _limited(
                fetching(
                    contender,
                    partial(_job, f"{url}/{count}", IN_FLIGHT, True),
                    truth,
                    together=contender != contenders.VENDORTAP,
                ),
                url,
            )
            for contender, url in zip(LIMITED, served.limited, strict=False)
        ]
        return session.part("limit", interleaved(session, "limit", entries, session.sizes["runs"]), entries)


def _job(url: str, in_flight: int, limited: bool, folder: Path) -> Job:
    return Job(url, folder, stream="invoice_details", concurrency=in_flight, limited=limited)


def _limited(entry: Entry, url: str) -> Entry:
    """Let the bucket begin full, and count how often it said no."""

    def measure(environments: Mapping[str, Environment], path: Path, number: int) -> Run:
        server.reset(url)
        run = entry.measure(environments, path, number)
        refused = server.reset(url).get("429", 0)
        return msgspec.structs.replace(run, extra={"refused": refused})

    return replace(entry, measure=measure)
