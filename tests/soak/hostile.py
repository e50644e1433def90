"""A vendor that misbehaves as a history says, and keeps every reply that it served."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.soak.book import Book, Invoice
from tests.soak.histories import Event, History
from tests.soak.vendors import VENDORS, ListAsked, Vendor
from tests.soak.wire import Answer, Asked, Tree, to_json, to_xml

CHURN = frozenset({"insert", "delete", "redate", "swap", "modify"})
HTML = b"<!DOCTYPE html><html><head><title>Portal</title></head><body><p>Please sign in.</p></body></html>"
RENAMED_LINE = "SoakLine"
"""What the items of an invoice's lines are called where they are renamed."""


@dataclass(frozen=True)
class Served:
    """One reply. ``asked`` is the list or the number that it answers, ``whole`` how many rows the list had then."""

    run: int
    moment: int
    asked: ListAsked | str | None
    answer: Answer
    whole: int = 0
    lie: bool = False


@dataclass
class Page:
    """A list's page in the making."""

    rows: list[Tree]
    count: int
    nameless: set[str] = field(default_factory=set)
    """The invoices whose rows were served without their number."""


class Hostile:
    """The vendor of one history. ``killer`` is called once, when the run's requests come to that event's number."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.vendor: Vendor = VENDORS[history.connector]
        self.nameless: set[str] = set()
        numbers = [self.vendor.number_of(index) for index in range(history.invoices + 100)]
        self.book = Book(f"{history.connector} {history.seed}", numbers, self.vendor.partitions, self.vendor.habits)
        self.book.fill(history.invoices)
        self.log: list[Served] = []
        self.run = -1
        self.began = 0
        self.killer: Callable[[], None] | None = None
        self._listed = 0
        self._asked: dict[str, int] = {}
        self._short: dict[tuple[Any, ...], set[int]] = {}

    def begin(self) -> None:
        """Begin the next run: first what happened since the last one."""
        self.run += 1
        self._listed, self._asked, self._short = 0, {}, {}
        for number, event in enumerate(self._events("between")):
            self.book.change(event, self.vendor.partitions[number % len(self.vendor.partitions)])
        self.book.moment += 1
        self.began = self.book.moment

    def _events(self, where: str) -> list[Event]:
        return [
            event
            for event in self.history.events
            if event.where == where and (event.run == self.run or (event.lasting and event.run <= self.run))
        ]

    def answer(self, asked: Asked) -> Answer:
        """Answer one request."""
        self.book.moment += 1
        kills = [event.at for event in self._events("kill")]
        if self.killer and kills and self.book.moment - self.began >= kills[0]:
            self.killer()
            self.killer = None
        if asked.path in self.vendor.tokens:
            return self._written(Answer(200, b""), self.vendor.tokens[asked.path], "", xml=False)
        if listing := self.vendor.lists(asked):
            return self._list(listing)
        if number := self.vendor.documents(asked):
            return self._document(number)
        return Answer(404, HTML, "text/html")

    # --- lists

    def _list(self, asked: ListAsked) -> Answer:
        events = [e for e in self._events("list") if e.at <= self._listed < e.at + e.times]
        self._listed += 1
        if asked.partition not in self.vendor.partitions:
            return self._kept(asked, self._plain(self.vendor.not_found, "Error"))
        for event in events:
            if event.what in CHURN:
                self.book.change(event, asked.partition)
        faults = [event for event in events if event.what not in CHURN]
        rows = self.book.rows(asked.partition, asked.since, asked.until)
        asked, chosen = self._cut(asked, rows, faults)
        page = Page([], len(rows))
        for event in faults:
            COUNTED.get(event.what, _as_it_is)(event, page, asked)
        page.rows = [self.vendor.row(row, page.count) for row in chosen]
        for event in faults:
            ROWS.get(event.what, _as_it_is)(event, page, asked)
            if event.what == "page of another":
                page.rows = [self.vendor.row(row, page.count) for row in rows[: asked.size]]
        self.nameless |= page.nameless
        answer = self._spoilt(
            faults, self.vendor.page(page.rows, asked, page.count), self.vendor.roots[0], listing=True
        )
        said_nothing = self.history.connector == "ingram-micro" and _has(faults, "404 not found") and asked.start == 0
        return self._kept(asked, answer, len(rows), lie=said_nothing)

    def _cut(self, asked: ListAsked, rows: list[Invoice], faults: list[Event]) -> tuple[ListAsked, list[Invoice]]:
        """Choose a page's rows. A short page hides none: those behind it move up."""
        short = self._short.setdefault((asked.partition, asked.since, asked.until), set())
        if _has(faults, "short page") and asked.start + asked.size < len(rows):
            short.add(asked.start)
        moved = len([start for start in short if start < asked.start]) if self.vendor.counts_pages else 0
        size = asked.size - (asked.start in short)
        begin = asked.start - moved
        chosen = rows[begin : begin + size]
        if not self.vendor.counts_pages:
            asked = ListAsked(asked.partition, asked.start, size, asked.since, asked.until)
        return asked, chosen

    def _kept(self, asked: ListAsked | str, answer: Answer, whole: int = 0, lie: bool = False) -> Answer:
        self.log.append(Served(self.run, self.book.moment, asked, answer, whole, lie))
        return answer

    # --- documents

    def _document(self, asked: str) -> Answer:
        number = asked.removeprefix("v4:")
        times = self._asked[asked] = self._asked.get(asked, 0) + 1
        invoice = self.book.held.get(number)
        if invoice is None:
            return self._kept(number, self._missing(asked))
        faults = [
            event
            for event in self._events("document")
            if self.vendor.number_of(int(event.part * self.history.invoices)) == number and times <= event.times
        ]
        if _has(faults, "404 not found"):
            return self._kept(number, self._missing(asked))
        if _has(faults, "another number"):
            others = [other for other in self.book.held.values() if other.number != number]
            invoice = min(others, key=lambda other: other.number)
        tree = self.vendor.document(invoice, asked)
        for event in faults:
            if event.what in ("bad amount", "lone surrogate"):
                spoil_leaf(tree, event.what)
        return self._kept(number, self._spoilt(faults, tree, self.vendor.roots[1], listing=False))

    def _missing(self, asked: str) -> Answer:
        if asked.startswith("v4:"):
            said = {"responsestatus": "FAILED", "statuscode": "500", "responsemessage": "Data Not Found"}
            return self._plain((200, {"serviceresponse": {"responsepreamble": said}}), "Error")
        return self._plain(self.vendor.not_found, "Error")

    # --- bytes

    def _plain(self, said: tuple[int, Tree], root: str) -> Answer:
        return self._written(Answer(said[0], b""), said[1], root, xml=self.history.xml)

    def _spoilt(self, faults: Sequence[Event], tree: Tree, root: str, listing: bool) -> Answer:
        names = dict(self.vendor.items)
        # An empty root element is how XmlSerializer writes a list without items, so that would be no fault.
        other = ("null", "null list", "empty object") if self.history.xml and listing and not self.vendor.rows else ()
        for event in faults:
            if event.what in ("renamed root", *other):
                root = f"Other{root}"
            elif event.what in ENVELOPES:
                tree, root = ENVELOPES[event.what](self.vendor, tree, root)
            elif event.what in RENAMED:
                names |= RENAMED[event.what](self.vendor, root)
        answer = self._written(Answer(200, b""), tree, root, self.history.xml, names)
        for event in faults:
            if event.what in BYTES:
                answer = BYTES[event.what](answer)
            elif event.what in ("401", "404 not found"):
                answer = self._plain(self.vendor.refused if event.what == "401" else self.vendor.not_found, "Error")
        return answer

    def _written(
        self, answer: Answer, tree: Tree, root: str, xml: bool, items: Mapping[str, str] | None = None
    ) -> Answer:
        if not xml:
            return Answer(answer.status, to_json(tree).encode())
        for name, other in self.vendor.xml_names.items():
            if isinstance(tree, dict) and name in tree:
                tree = {other if key == name else key: value for key, value in tree.items()}
        text = '<?xml version="1.0" encoding="utf-8"?>' + to_xml(tree, root, items or self.vendor.items)
        return Answer(answer.status, text.encode(errors="xmlcharrefreplace"), "application/xml; charset=utf-8")


def _has(faults: Sequence[Event], what: str) -> bool:
    return any(event.what == what for event in faults)


# --- counts and rows


def _as_it_is(event: Event, page: Page, asked: ListAsked) -> None:
    """Leave a page alone."""


def _too_small(event: Event, page: Page, asked: ListAsked) -> None:
    """A count that no page ends at: that of a whole number of pages could not be told from the truth."""
    count = max(1, int(event.part * page.count))
    page.count = count + (count % asked.size == 0)


def _stated(change: Callable[[int], int]) -> Callable[[Event, Page, ListAsked], None]:
    def state(event: Event, page: Page, asked: ListAsked) -> None:
        page.count = change(page.count)

    return state


def _grows(sign: int) -> Callable[[Event, Page, ListAsked], None]:
    def state(event: Event, page: Page, asked: ListAsked) -> None:
        page.count = max(1, page.count + sign * (1 + asked.start // asked.size))

    return state


COUNTED: Mapping[str, Callable[[Event, Page, ListAsked], None]] = {
    "count too small": _too_small,
    "count zero": _stated(lambda _: 0),
    "count too large": _stated(lambda count: count + 7),
    "count grows": _grows(1),
    "count shrinks": _grows(-1),
}


def _hidden(event: Event, page: Page, asked: ListAsked) -> None:
    del page.rows[int(event.part * len(page.rows)) : int(event.part * len(page.rows)) + 1]


def _empty(event: Event, page: Page, asked: ListAsked) -> None:
    """An empty page in mid-list; an empty first page would say that there are no invoices at all."""
    if asked.start and page.count:
        page.rows = []


def _repeated(event: Event, page: Page, asked: ListAsked) -> None:
    page.rows += [dict(row) for row in page.rows[:1]]


def _conflicting(event: Event, page: Page, asked: ListAsked) -> None:
    for row in page.rows[:1]:
        page.rows.append(_spoilt_row(row, "conflict"))


def _spoiling(what: str) -> Callable[[Event, Page, ListAsked], None]:
    def spoil(event: Event, page: Page, asked: ListAsked) -> None:
        if page.rows:
            place = int(event.part * len(page.rows))
            if what == "no number":
                page.nameless |= {str(page.rows[place][name]) for name in NUMBERS if page.rows[place].get(name)}
            page.rows[place] = _spoilt_row(page.rows[place], what)

    return spoil


AMOUNTS = ("Total", "invoicedAmountDue", "totalamount", "TotalInvoicedAmount", "InvoiceAmount", "TotalBilledAmount")
TEXTS = ("PONumber", "invoiceStatus", "BusinessUnit", "CustomerName", "Company", "invoiceDate")
NUMBERS = ("InvoiceNumber", "invoiceNumber", "InvoiceRefNumber", "Guid", "purchaseOrderNumber")


def _spoilt_row(row: Tree, what: str) -> Tree:
    row = dict(row)
    spoil_leaf(row, what)
    return row


def spoil_leaf(tree: Tree, what: str) -> None:
    """Spoil one leaf of a row or a document, in place."""
    names, value = {
        "bad amount": (AMOUNTS, "twelve"),
        "conflict": (AMOUNTS, 1),
        "lone surrogate": (TEXTS, "\ud800"),
        "no number": (NUMBERS, None),
    }[what]
    while isinstance(tree, dict) and not any(name in tree for name in (*names, "content")):
        tree = next((tree[name] for name in ("payload", "summary", "totals", "serviceresponse") if name in tree), None)
    for name in names:
        if isinstance(tree, dict) and name in tree:
            tree[name] = value
            return
    if isinstance(tree, dict) and "content" in tree:
        tree["content"] = {"conflict": "VG90YWw6IFVTRCAx", "bad amount": 12}.get(what, value)


ROWS: Mapping[str, Callable[[Event, Page, ListAsked], None]] = {
    "hidden row": _hidden,
    "empty page": _empty,
    "repeated row": _repeated,
    "conflicting row": _conflicting,
    "bad amount": _spoiling("bad amount"),
    "lone surrogate": _spoiling("lone surrogate"),
    "no number": _spoiling("no number"),
}


# --- envelopes

Envelope = Callable[[Vendor, Tree, str], tuple[Tree, str]]


def _unwrapped(vendor: Vendor, tree: Tree, root: str) -> tuple[Tree, str]:
    """The envelope of another version: without the outermost member; of a bare list its first row."""
    if isinstance(tree, list):
        return (tree[0] if tree else {}), vendor.items.get(root, root)
    return next((value for value in tree.values() if isinstance(value, dict | list)), {}), f"Other{root}"


def _renamed(vendor: Vendor, tree: Tree, root: str) -> tuple[Tree, str]:
    if isinstance(tree, list):
        return {"data": tree}, f"Other{root}"
    top = vendor.rows[0]
    other = top.capitalize() if top.islower() and top != "invoices" else "results"
    return {other if name == top else name: value for name, value in tree.items()}, root


def _null_list(vendor: Vendor, tree: Tree, root: str) -> tuple[Tree, str]:
    if isinstance(tree, list):
        return None, root
    name = vendor.rows[0]
    inner = {**tree[name], vendor.rows[1]: None} if len(vendor.rows) > 1 else None
    return {**tree, name: inner}, root


def _always(value: Tree, root: str | None = None) -> Envelope:
    return lambda _vendor, _tree, name: (value, root or name)


ENVELOPES: Mapping[str, Envelope] = {
    "unwrapped": _unwrapped,
    "wrapped": lambda _, tree, root: ({"data": tree}, f"Other{root}"),
    "renamed top": _renamed,
    "null": _always(None),
    "null list": _null_list,
    "empty object": _always({}),
    "scalar": _always("ok", "string"),
    "error under 200": lambda vendor, _tree, _root: (vendor.failure, "Error"),
}


RENAMED: Mapping[str, Callable[[Vendor, str], dict[str, str]]] = {
    "renamed items": lambda vendor, root: {vendor.rows[-1] if vendor.rows else root: "Row"},
    "renamed lines": lambda _vendor, _root: dict.fromkeys(
        ("InvoiceLines", "InvoiceLine", "InvoiceSummaries"), RENAMED_LINE
    ),
}
"""In XML: other names for the items of lists."""


# --- bytes

Bytes = Callable[[Answer], Answer]


def _recoded(encoding: str, type_: str, declared: str) -> Bytes:
    def recode(answer: Answer) -> Answer:
        text = re.sub(' encoding="utf-8"', declared, answer.body.decode(), count=1).replace("Łódź", "Lódz")
        return Answer(answer.status, text.replace("–", "-").encode(encoding, "replace"), type_)

    return recode


def _attributes(answer: Answer) -> Answer:
    return Answer(answer.status, re.sub(rb"<(Invoice\w*)>", rb'<\1 soak="1">', answer.body), answer.type)


BYTES: Mapping[str, Bytes] = {
    "html under 200": lambda _: Answer(200, HTML, "text/html; charset=utf-8"),
    "empty body": lambda answer: Answer(200, b"", answer.type),
    "cut short": lambda answer: Answer(200, answer.body[: len(answer.body) // 2], answer.type),
    "404 html": lambda _: Answer(404, HTML, "text/html"),
    "500 inner 404": lambda _: Answer(
        500,
        b'{"errors": [{"id": "1", "type": "Error", "fields": [], '
        b'"message": "The remote server returned an error: (404) Not Found."}]}',
    ),
    "429": lambda _: Answer(429, b'{"message": "too many"}', headers={"Retry-After": "0"}),
    "503": lambda _: Answer(503, b"", "text/plain", {"Retry-After": "0"}),
    "204": lambda _: Answer(204, b"", "text/plain"),
    "bom": lambda answer: Answer(answer.status, b"\xef\xbb\xbf" + answer.body, answer.type),
    "latin-1 json": _recoded("latin-1", "application/json; charset=iso-8859-1", ""),
    "latin-1 by header": _recoded("latin-1", "application/xml; charset=iso-8859-1", ""),
    "latin-1 by declaration": _recoded("latin-1", "application/xml", ' encoding="iso-8859-1"'),
    "utf-16": _recoded("utf-16", "application/xml", ' encoding="utf-16"'),
    "attributes": _attributes,
}
