"""Peak memory, and the size of the state, must not depend on how many invoices there are."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import Job
from benchmarks.fetching import fetching
from benchmarks.results import Part
from benchmarks.session import Session, interleaved

RUNS_OF_MANY = 2
PEERS = (contenders.SINGER_SDK, contenders.AIRBYTE, contenders.DLT_EXTRACT)


def memory(session: Session) -> Part:
    """Measure a hundredth, a tenth and all of the invoices, read incrementally so that there is a state.

    The peers' peaks are measured at the hundredth; those at more come from the JSON list.
    """
    many = session.sizes["memory"]
    few, some = many // 100, many // 10
    planned = [(contenders.VENDORTAP, "invoice_changes", count) for count in (few, some, many)]
    planned += [(peer, "invoices", few) for peer in PEERS]
    with session.serving("json", session.sizes["json"]) as served:
        entries = [
            fetching(
                contender,
                partial(_job, f"{served.plain}/{count}", stream),
                session.truth("json", count),
                case=count,
                runs_at_most=RUNS_OF_MANY if count == many else None,
            )
            for contender, stream, count in planned
        ]
        return session.part("memory", interleaved(session, "memory", entries, session.sizes["runs"]), entries)


def _job(url: str, stream: str, folder: Path) -> Job:
    return Job(url, folder, stream=stream)
