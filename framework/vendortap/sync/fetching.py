"""All pages of a unit: its requests, the replies, and the records that come of them. Runs in the threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from vendortap.declare.model import Empty, InvalidRecord, Page, Record, RecordSelector, Reply, Request, Stream, Unit
from vendortap.decode.body import write
from vendortap.decode.envelope import content, misspelt
from vendortap.decode.pages import prefix
from vendortap.decode.reader import Reader
from vendortap.errors import BodyError, MissingError, RecordError, VendortapError
from vendortap.support.redact import has_secret, shown_name
from vendortap.sync.context import Records, Source, named
from vendortap.sync.documents import Documents, companion_names
from vendortap.sync.readings import pager_of

if TYPE_CHECKING:
    from vendortap.sync.quarantine import Kept

log = logging.getLogger("vendortap.sync")

SETTLED = timedelta(minutes=1)
"""What changed less than this before a list was asked for, or since, may show in the list only in part."""


def fetcher(source: Source, stream: Stream) -> Callable[[Unit], Generator[Records, None, None]]:
    """Return what fetches all pages of a unit: runs in the threads."""
    reader = source.reader(stream)
    accept = {"Accept": source.connector.accept(source.config)}
    complete = Completer(source, stream, reader)
    is_empty = _any(reader.selector.empty) if reader.selector.many else None

    def fetch(unit: Unit) -> Generator[Records, None, None]:
        request, given = stream.request(source.config, unit.params).with_headers(accept), complete.given(unit)
        settled: datetime | None = None
        conflicts: list[str] = []
        pager = pager_of(stream, lambda row: conflicts.append(_named(row, stream, given)))
        with closing(pager(request, source.config)) as pages:
            start = asked = next(pages, None)
            has_rows = False
            while asked is not None:
                reply = _send(source, stream, asked, is_empty if asked == start and not has_rows else None)
                settled = settled or reply.answered - SETTLED
                page = _page(source, stream, reader, unit, reply)
                has_rows = has_rows or bool(page.rows)
                sent, asked = asked, _following(pages, page)  # before the records are given away, and changed
                if asked == sent:
                    continue  # the pager did not believe this page
                (invalid, is_other), received = complete.page(page, unit, sent, reply), reply.received
                wrong = (
                    misspelt(reply, reader.selector) if asked is None and reader.selector.many and reply.body else None
                )
                del reply  # or its body is kept until the records have been read
                told, more = tuple(conflicts), asked is not None
                yield Records(page.rows, received, settled, invalid, told, more=more, is_other=is_other)
                conflicts.clear()
                if wrong:
                    raise BodyError(f"{wrong}, so where the list ends is not known; report it to the vendor")

    return source.telemetry.unit(stream.name, fetch) if source.telemetry else fetch


def _named(row: Record, stream: Stream, given: Mapping[str, Any]) -> str:
    """Return a record's key, as messages have it."""
    values = {name: given[name] if name in given else row[name] for name in stream.keys}
    return ", ".join(f"{name} {shown_name(str(value))}" for name, value in values.items())


def _any(empty: Sequence[Empty]) -> Empty:
    return lambda reply: any(tells(reply) for tells in empty)


def _send(source: Source, stream: Stream, asked: Request, empty: Empty | None) -> Reply:
    """Return the reply to a request for a page, in JSON where a plugin reads its format.

    Raises:
        MissingError: there is no such document; or a list, or a page of it, is answered as if it were not there.
    """
    try:
        reply = source.send(replace(write(asked), empty=empty))
    except MissingError as error:
        if stream.keyed:
            raise
        raise MissingError(
            f"{error} It is not a reply by which the vendor says that a list is empty: check base_url, and report it "
            "to the vendor if it stays."
        ) from None
    brought = source.extensions.formats.get(reply.media_type)
    return brought.as_json(reply) if brought and _has_records(reply) else reply


def _has_records(reply: Reply) -> bool:
    """Whether there is something to read: neither a refusal that stands for an empty list, nor an empty body."""
    return 200 <= reply.status < 300 and bool(reply.body.strip())


def _page(source: Source, stream: Stream, reader: Reader, unit: Unit, reply: Reply) -> Page:
    """Read a reply.

    Raises:
        MissingError: the vendor does not have the document.
        BodyError: there is no place for records in it, and it is none of the empty replies that are declared.
        VendorError: what the stream's check has to say.
    """
    if not _has_records(reply):
        return _without_records(stream, reader, unit, Page([]), reply)
    page = replace(reader.read(reply), headers=reply.headers)
    _check(source, stream, unit, page)
    if page.absent:
        return _without_records(stream, reader, unit, page, reply)
    _hold_known(page, reader, reply)
    return page


def _without_records(stream: Stream, reader: Reader, unit: Unit, page: Page, reply: Reply) -> Page:
    """Return the page of a reply that has no place for records: an empty one, or a document that does not fit."""
    rows = reader.selector
    if _any(rows.empty)(reply):
        if not rows.many:
            raise MissingError("the vendor answers with an empty document.")
        return replace(page, absent=False, headers=reply.headers)
    if not _has_records(reply):
        raise BodyError(f"the answer is empty ({reply.status}); {_NOT_THE_API}")
    sentence = _nothing_there(rows, reply)
    if rows.many:
        raise BodyError(f"{sentence}; {_NOT_THE_API}")
    key = unit.params[stream.keyed.param] if stream.keyed else "this stream"
    nothing = InvalidRecord(
        prefix(rows), "the document", reply.body, f"for {shown_name(key)}, {sentence}", is_other=True
    )
    return replace(page, rows=[reader.blank()], invalid={0: nothing})


_NOT_THE_API = (
    "something other than the vendor's API may be answering, or another version of it: check base_url and the "
    "settings that choose a version"
)


def _nothing_there(rows: RecordSelector, reply: Reply) -> str:
    what = "list of records" if rows.many else "document"
    return f"the answer has no {what} at {prefix(rows)}: {content(reply, rows.path)}"


def _check(source: Source, stream: Stream, unit: Unit, page: Page) -> None:
    """Let the stream's check look at a page; a check does not know which secrets its message may not show."""
    if stream.check is None:
        return
    try:
        told = stream.check(page)
    except VendortapError as error:
        raise type(error)(source.redact(str(error))) from None
    if told:
        log.warning("%s", named(BodyError(source.redact(f"{told}.")), source, stream, unit))


def _hold_known(page: Page, reader: Reader, reply: Reply) -> None:
    """Refuse a reply that does not fit, is a list as a whole, and has nothing that is declared.

    Raises:
        BodyError: it is such a one: an error of the vendor's. Whoever quarantined it would pass over a failure.
    """
    rows = reader.selector
    if page.invalid and not rows.path and rows.many and all(map(reader.is_blank, page.rows)):
        raise BodyError(f"{_nothing_there(rows, reply)}; {_NOT_THE_API}")


def _following(pages: Generator[Any, Any, None], page: Any) -> Any:
    try:
        return pages.send(page)
    except StopIteration:
        return None


class _Unfit(RecordError):
    """A record that turns out not to fit: its ``field``, what is ``expected`` there, and whether it is another one."""

    def __init__(self, sentence: str, field: str, expected: str, *, is_other: bool = False) -> None:
        super().__init__(sentence)
        self.field = field
        self.expected = expected
        self.is_other = is_other


class Completer:
    """Adds to records what the request knows and the reply does not say; in any number of threads."""

    def __init__(self, source: Source, stream: Stream, reader: Reader) -> None:
        folder = source.config.get("documents_dir") if stream.document else None
        self._source = source
        self._stream = stream
        self._reader = reader
        self._documents = Documents(folder) if folder else None
        self._stamped = stream.replication_key if stream.keyed or stream.plan.windows else None
        self._companions = companion_names(stream.document) if stream.document else ()

    def page(self, page: Page, unit: Unit, request: Request, reply: Reply) -> tuple[dict[int, Kept], bool]:
        """Complete the records of a page.

        Returns those that do not fit, or prove not to, and whether one of them is another than was asked for.
        """
        found, given = dict(page.invalid), self.given(unit)
        for index, record in enumerate(page.rows):
            try:
                if index in found:
                    for name, value in given.items():
                        record[name] = value
                else:
                    self.complete(record, given, unit.params)
            except _Unfit as error:
                place = (
                    f"{prefix(self._reader.selector)}{f'[{index}]' if self._reader.selector.many else ''}.{error.field}"
                )
                raw = self._reader.split(reply)[index]
                found[index] = InvalidRecord(place, error.expected, raw, str(error), is_other=error.is_other)
        kept = {index: self._kept(page.rows[index], bad, unit, request, reply) for index, bad in found.items()}
        return kept, any(bad.is_other for bad in found.values())

    def complete(self, record: Record, given: Mapping[str, Any], params: Mapping[str, str]) -> None:
        """Complete a record in place, with what its unit has ``given``, too; ``params`` are the unit's.

        Raises:
            RecordError: it is another record than was asked for, or the document inside it is none; with its key.
        """
        for name, value in given.items():
            record[name] = value
        self._hold_echo(record, params)
        for name in self._companions:
            record[name] = None
        if self._documents and self._stream.document:
            try:
                self._documents.keep(record, self._stream.document)
            except RecordError as error:
                raise _Unfit(f"{_named(record, self._stream, {})}: {error}", self._stream.document, "Base64") from None
        if self._stream.finish:
            self._stream.finish(record)

    def _hold_echo(self, record: Record, params: Mapping[str, str]) -> None:
        """Hold a document to the number that was asked for, where it says its own.

        Raises:
            RecordError: it says another one, or none.
        """
        keyed = self._stream.keyed
        if keyed is None or not keyed.echo:
            return
        field = next((name for name in keyed.echo if record[name] not in (None, "")), None)
        key = params[keyed.param]
        if field is not None and keyed.same(key, str(record[field])):
            return
        what = f"has another {field}" if field else f"has no {' or '.join(keyed.echo)}"
        raise _Unfit(
            f"what the vendor answers for {shown_name(key)} {what}, so it is not known to be the document that was "
            "asked for",
            field or keyed.echo[0],
            "the number that was asked for",
            is_other=True,
        )

    def given(self, unit: Unit) -> Mapping[str, Any]:
        """Return what the unit knows of its records, keys among it."""
        known: dict[str, Any] = {name: unit.params[param] for name, param in self._stream.add.items()}
        return {**known, self._stamped: unit.bookmark} if self._stamped else known

    def _key(self, record: Record, unit: Unit) -> dict[str, str]:
        """Return a record's key as far as it is known: a document's own number is the one that it was asked for by."""
        keyed = self._stream.keyed
        asked = dict.fromkeys(keyed.echo, unit.params[keyed.param]) if keyed else {}
        known = {name: asked.get(name, record[name]) for name in self._stream.keys}
        return {name: str(value) for name, value in known.items() if value is not None}

    def _kept(self, record: Record, bad: InvalidRecord, unit: Unit, request: Request, reply: Reply) -> Kept:
        from vendortap.sync.quarantine import Kept, key_text, schema_hash  # here, as most runs need neither

        source, redact = self._source, self._source.redact
        key = self._key(record, unit)
        is_secret = any(map(has_secret, key.values()))
        return Kept(
            connector=source.connector.name,
            stream=self._stream.name,
            key=key,
            shown=key_text(key) if is_secret else "",
            path=bad.path,
            error=f"{bad.expected} expected",
            media_type=redact.blank(reply.media_type),
            raw=bad.raw,  # as it came, whatever is in it: replay loads it
            request={
                "method": request.method,
                "path": redact(request.path),
                "params": {name: redact(value) for name, value in request.params.items()},
            },
            params=unit.params,
            bookmark=unit.bookmark,
            schema=schema_hash(source.shapes[self._stream.name].schema),
            time=reply.received,
            sentence=bad.sentence,
        )
