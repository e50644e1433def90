"""A vendor in memory, its list and its documents, and a reader that keeps bookmarks. Only `send` is made up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any

from hypothesis import settings as hypothesis_settings

from vendortap.declare.model import (
    Bookmark,
    Connector,
    Node,
    Parent,
    Plan,
    Record,
    RecordSelector,
    Reply,
    Request,
    Slice,
    Stream,
)
from vendortap.declare.paging import page_number
from vendortap.declare.request import get
from vendortap.decode import schemas
from vendortap.errors import MissingError
from vendortap.plugins.validation import Shape
from vendortap.sync import reading
from vendortap.sync.context import BookmarkUpdate, Records, SyncContext
from vendortap.sync.counters import Counters

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
CONCURRENCIES = (1, 2, 8, 32)
quick = hypothesis_settings(max_examples=30, deadline=None)


_ROW = {
    "type": "object",
    "properties": {
        "Part": {"type": "string"},
        "Id": {"type": "string"},
        "At": {"type": ["string", "null"], "format": "date-time"},
    },
    "required": ["Part", "Id"],
}
_PLAN = Plan(each=("parts", "part"))
LIST = Stream(
    name="rows",
    title="",
    request=get("/list/{part}"),
    plan=_PLAN,
    pages=page_number("page", size_param="size", size="page_size"),
    keys=("Part", "Id"),
    replication_key="At",
    add={"Part": "part"},
)
DETAILS = Stream(
    name="documents",
    title="",
    request=get("/document/{part}/{id}"),
    plan=_PLAN,
    parent=Parent(param="id", stream="rows", field="Id", sources=(lambda config: config.get("ids"),)),
    record_selector=RecordSelector(many=False),
    keys=("Part", "Id"),
    replication_key="At",
    add={"Part": "part"},
)


@dataclass
class Memory:
    """A vendor: ``rows[part][id]`` is when it last changed, as text; its clock stands unless it is set."""

    rows: dict[str, dict[str, str | None]]
    now: datetime = NOW
    zone: str = "UTC"
    shuffle: Random | None = None
    calls: Counter[str] = field(default_factory=Counter)
    before: Callable[[Request], None] = lambda _: None

    def send(self, request: Request) -> Reply:
        self.calls[request.path] += 1
        self.before(request)
        _, kind, part, *rest = request.path.split("/")
        document = self.page(part, request.params) if kind == "list" else self.document(part, rest[0])
        headers = {"content-type": "application/json", "date": format_datetime(self.now, usegmt=True)}
        return Reply(200, headers, json.dumps(document).encode(), NOW)

    def page(self, part: str, params: Mapping[str, str]) -> list[Any]:
        number, size = int(params["page"]), int(params["size"])
        listed = sorted(self.rows[part])
        if self.shuffle and number == 1:
            self.shuffle.shuffle(listed)
            self.listed = listed
        listed = self.listed if self.shuffle else listed
        return [{"Id": i, "At": self.rows[part][i]} for i in listed[(number - 1) * size : number * size]]

    def document(self, part: str, number: str) -> Any:
        if number not in self.rows[part]:
            raise MissingError("the vendor does not have it.")
        return {"Id": number}

    def documents(self) -> int:
        return sum(count for path, count in self.calls.items() if path.startswith("/document"))

    def source(self, **config: Any) -> SyncContext:
        settings = {"parts": list(self.rows), "page_size": 3, "concurrency": 4, "on_missing": "skip", **config}
        node = schemas.compile_record(_ROW, "row")
        lists = replace(node, fields={**node.fields, "Part": Node("given")}, required=frozenset({"Id"}))
        documents = replace(lists, fields={**lists.fields, "At": Node("given")})
        shapes = {"rows": Shape(_ROW, node, lists), "documents": Shape(_ROW, node, documents)}
        connector = Connector(
            name="memory",
            title="",
            docs="",
            schemas="",
            base_url=lambda _: "",
            streams=(LIST, DETAILS),
            zone=lambda _: self.zone,
        )
        return SyncContext(connector, settings, self.send, shapes)


def at(minute: int) -> str:
    return (NOW - timedelta(days=1) + timedelta(minutes=minute)).isoformat()


@dataclass
class Reader:
    """Reads a stream again and again, and keeps its bookmarks, as a state file does."""

    vendor: Memory
    stream: Stream = LIST
    bookmarks: dict[str, Bookmark] = field(default_factory=dict)
    have: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def run(self, stop_after: int | None = None, **config: Any) -> list[Record]:
        """One run; returns its records. With ``stop_after`` it dies after so many."""
        read: list[Record] = []
        source = self.vendor.source(**config)
        with closing(reading.read(source, self.stream, lambda p: self.bookmarks.get(p["part"]), Counters())) as items:
            for item in items:
                if isinstance(item, BookmarkUpdate):
                    self.bookmarks[item.partition["part"]] = item.bookmark
                    continue
                for record in item.records:
                    if stop_after is not None and len(read) == stop_after:
                        return read
                    read.append(record)
                    stamp = self.vendor.rows[record["Part"]][record["Id"]]
                    self.have[record["Part"], record["Id"]] = stamp
        return read

    @property
    def complete(self) -> bool:
        return self.have == {(p, i): stamp for p, rows in self.vendor.rows.items() for i, stamp in rows.items()}


def random_memory(seed: int) -> Memory:
    random = Random(seed)
    return Memory(
        {f"p{p}": {f"{n:03}": at(random.randrange(50)) for n in range(random.randrange(12))} for p in range(5)}
    )


def units(count: int) -> list[Slice]:
    return [Slice({"n": str(n)}) for n in range(count)]


def page_of(number: int, page: int) -> Records:
    return Records([{"unit": number, "page": page}], NOW, NOW)
