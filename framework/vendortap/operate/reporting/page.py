"""A run's report as one page of HTML that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from importlib.resources import files
from typing import Any
from xml.etree.ElementTree import Element

from vendortap.operate.reporting import charts
from vendortap.operate.reporting.charts import duration
from vendortap.operate.reporting.markup import Child, element, written

Document = Mapping[str, Any]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_ENDS = {0: ("good", "all done"), 3: ("fair", "done, but records are missing, in quarantine or share a key")}
_FAILED = ("bad", "failed")


def html(document: Document) -> str:
    """Return the page of a report, see vendortap.operate.reporting.document."""
    title = f"{document['title']}: run of {_moment(document)}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", title),
        element("style", files(__package__).joinpath("page.css").read_text(encoding="utf-8")),
    )
    foot = f"vendortap {document['vendortap']}, tap-{document['connector']}, exit code {document['exit_code']}"
    main = element("main", *_head(document), *_body(document), element("footer", foot))
    return written(element("html", head, element("body", main), lang="en"))


def _moment(document: Document) -> str:
    return f"{document['started'][:19].replace('T', ' ')} UTC"


def _head(document: Document) -> Iterator[Element]:
    kind, words = _ENDS.get(document["exit_code"], _FAILED)
    yield element(
        "header",
        element("h1", document["title"]),
        element("p", f"{_moment(document)}, {duration(document['seconds'])}"),
        element("p", words, class_=f"end {kind}"),
    )
    if document["problem"]:
        yield element("p", document["problem"], class_="problem")
    if not document["complete"]:
        yield element("p", "The tap could not say its last word: what follows is what it said before.", class_="note")


def _body(document: Document) -> Iterator[Element]:
    yield element("section", *_tiles(document), class_="tiles")
    if document["streams"]:
        yield from _charts(document)
        conflicting = {"conflicting": _count} if _sum(document, "conflicting") else {}
        yield _table("Streams", "streams", {**_STREAM, **conflicting}, document["streams"])
    if totals := _totals(document):
        yield _table("Totals by currency", "totals", _TOTAL, totals)
    if document["drift"]:
        events = {str(number): event for number, event in enumerate(document["drift"])}
        yield _table("Drift: what the vendor sends otherwise than declared", "drift", _DRIFT, events)
    if document["quarantine"] and _sum(document, "quarantined"):
        yield element(
            "p",
            "Records that do not fit are kept; look at them with ",
            element("code", f"vendortap quarantine list {document['quarantine']}"),
            class_="note",
        )


def _totals(document: Document) -> Mapping[str, Mapping[str, Any]]:
    """Return the totals by stream and currency; two currencies that may not be shown are called the same."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, stream in document["streams"].items():
        for of in stream["totals"]:
            key = f"{name} {of['currency']}"
            found[f"{key} {len(found)}" if key in found else key] = {"stream": name, **of}
    return found


def _sum(document: Document, count: str) -> int:
    return sum(stream[count] for stream in document["streams"].values())


def _tiles(document: Document) -> Iterator[Element]:
    latency = document["latency"]
    emitted = _sum(document, "emitted")
    figures = {
        "records": (f"{emitted:,}", f"{emitted / max(document['seconds'], 1e-9):,.0f} a second"),
        "requests": (f"{document['requests']:,}", f"{document['retries']:,} retries"),
        "latency": (_seconds(latency["median"]), f"median; 95 % below {_seconds(latency['p95'])}"),
        "waits": (duration(document["waited_seconds"]), "for the limit and before retries, all threads"),
        "received": (size(document["bytes"]), "as it came, compressed"),
        "quarantined": (f"{_sum(document, 'quarantined'):,}", f"{_sum(document, 'missing'):,} missing at the vendor"),
    }
    for name, (figure, more) in figures.items():
        yield element(
            "div",
            element("h3", name),
            element("strong", figure, data_figure=name),
            element("span", more),
            class_="tile",
        )


def _charts(document: Document) -> Iterator[Element]:
    timeline = document["timeline"]
    end = timeline[-1]["seconds"] if timeline else 0.0
    records = {
        name: [(0.0, 0.0), *((point["seconds"], point["records"].get(name, 0)) for point in timeline)]
        for name in document["streams"]
    }
    yield charts.lines("Records over time", records, lambda value: f"{value:,.0f}", seconds=end)
    answered = [point for point in timeline if point["latency"]["answers"]]
    latency = {
        words: [(point["seconds"], point["latency"][name]) for point in answered]
        for name, words in (("median", "median"), ("p95", "95 % below"))
    }
    yield charts.lines("Latency of answers over time", latency, _seconds, seconds=end)


def _seconds(value: float | None) -> str:
    """Write a latency."""
    if value is None:
        return "–"
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def size(count: int) -> str:
    """Write bytes in the unit that leaves a number below a thousand."""
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} GB"


# --- tables ------------------------------------------------------------------------------------------

Cell = Callable[[Any], Child]


def _count(value: int) -> str:
    return f"{value:,}"


def _text(value: object) -> str:
    return "–" if value is None else str(value)


def _amount(value: str | None) -> str:
    """Write an amount in full, with thousands set off; ``None`` is one that could not be added up."""
    return "has too many digits or currencies to be added up" if value is None else f"{Decimal(value):,f}"


_STREAM: Mapping[str, Cell] = {
    **dict.fromkeys(("fetched", "emitted", "filtered", "quarantined", "skipped", "requests", "retries"), _count),
    "waited_seconds": duration,
    "bytes": size,
    "seconds": duration,
}
_TOTAL: Mapping[str, Cell] = {"currency": lambda value: value or "not stated", "records": _count, "amount": _amount}
_DRIFT: Mapping[str, Cell] = dict.fromkeys(("stream", "kind", "field", "path", "expected"), _text)
_HEADS = {"waited_seconds": "waits", "bytes": "received", "seconds": "time"}


def _table(title: str, kind: str, columns: Mapping[str, Cell], rows: Mapping[str, Mapping[str, Any]]) -> Element:
    """Return a table; each cell says of which row and column it is, for programs and tests."""
    first = [] if kind == "drift" else ["stream"]
    heads = [element("th", _HEADS.get(name, name), scope="col") for name in (*first, *columns)]
    lines = []
    for name, row in rows.items():
        head = [element("th", row.get("stream", name), scope="row")] if first else []
        cells = [
            element("td", cell(row[column]), data_row=name, data_column=column) for column, cell in columns.items()
        ]
        lines.append(element("tr", *head, *cells))
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *lines), class_=kind)
    return element("section", element("h2", title), element("div", table, class_="scroll"))
