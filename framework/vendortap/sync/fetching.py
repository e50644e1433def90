"""All pages of a slice: its requests, the replies, and the records that come of them. Runs in the threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from vendortap.declare.model import Empty, InvalidRecord, Page, Record, RecordSelector, Reply, Request, Slice, Stream
from vendortap.decode.body import write
from vendortap.decode.envelope import content, misspelt
from vendortap.decode.pages import prefix
from vendortap.decode.reader import Reader
from vendortap.errors import BodyError, MissingError, RecordError, VendortapError
from vendortap.support.redact import has_secret, shown_name
from vendortap.sync.context import Records, SyncContext, named
from vendortap.sync.documents import Documents, companion_names
from vendortap.sync.readings import pager_of

if TYPE_CHECKING:
    from vendortap.sync.quarantine import QuarantineEntry

log = logging.getLogger("vendortap.sync")

SETTLED = timedelta(minutes=1)
"""What changed less than this before a list was asked for, or since, may show in the list only in part."""


def fetcher(context: SyncContext, stream: Stream) -> Callable[[Slice], Generator[Records, None, None]]:
    """Return what fetches all pages of a slice: runs in the threads."""
    reader = context.reader(stream)
    accept = {"Accept": context.connector.accept(context.config)}
    complete = Completer(context, stream, reader)
    is_empty = _any(reader.selector.empty) if reader.selector.many else None

    def fetch(slice_: Slice) -> Generator[Records, None, None]:
        request = stream.request(context.config, slice_.params).with_headers(accept)
        request_context = complete.request_context(slice_)
        safe_until: datetime | None = None
        conflicts: list[str] = []
        pager = pager_of(stream, lambda row: conflicts.append(_named(row, stream, request_context)))
        with closing(pager(request, context.config)) as pages:
            start = asked = next(pages, None)
            has_rows = False
            while asked is not None:
                reply = _send(context, stream, asked, is_empty if asked == start and not has_rows else None)
                safe_until = safe_until or reply.answered - SETTLED
                page = _page(context, stream, reader, slice_, reply)
                has_rows = has_rows or bool(page.records)
                sent, asked = asked, _following(pages, page)  # before the records are given away, and changed
                if asked == sent:
                    continue  # the pager did not believe this page
                (invalid, is_other), received = complete.page(page, slice_, sent, reply), reply.received
                wrong = (
                    misspelt(reply, reader.selector) if asked is None and reader.selector.many and reply.body else None
                )
                del reply  # or its body is kept until the records have been read
                told, more = tuple(conflicts), asked is not None
                yield Records(page.records, received, safe_until, invalid, told, more=more, is_other=is_other)
                conflicts.clear()
                if wrong:
                    raise BodyError(f"{wrong}, so where the list ends is not known; report it to the vendor")

    return context.telemetry.slices(stream.name, fetch) if context.telemetry else fetch


def _named(row: Record, stream: Stream, request_context: Mapping[str, Any]) -> str:
    """Return a record's key, as messages have it."""
    values = {name: request_context[name] if name in request_context else row[name] for name in stream.keys}
    return ", ".join(f"{name} {shown_name(str(value))}" for name, value in values.items())


def _any(empty: Sequence[Empty]) -> Empty:
    return lambda reply: any(tells(reply) for tells in empty)


def _send(context: SyncContext, stream: Stream, asked: Request, empty: Empty | None) -> Reply:
    """Return the reply to a request for a page, in JSON where a plugin reads its format.

    Raises:
        MissingError: there is no such document; or a list, or a page of it, is answered as if it were not there.
    """
    try:
        reply = context.send(replace(write(asked), empty=empty))
    except MissingError as error:
        if stream.parent:
            raise
        raise MissingError(
            f"{error} It is not a reply by which the vendor says that a list is empty: check base_url, and report it "
            "to the vendor if it stays."
        ) from None
    brought = context.extensions.formats.get(reply.media_type)
    return brought.as_json(reply) if brought and _has_records(reply) else reply


def _has_records(reply: Reply) -> bool:
    """Whether there is something to read: neither a refusal that stands for an empty list, nor an empty body."""
    return 200 <= reply.status < 300 and bool(reply.body.strip())


def _page(context: SyncContext, stream: Stream, reader: Reader, slice_: Slice, reply: Reply) -> Page:
    """Read a reply.

    Raises:
        MissingError: the vendor does not have the document.
        BodyError: there is no place for records in it, and it is none of the empty replies that are declared.
        VendorError: what the stream's check has to say.
    """
    if not _has_records(reply):
        return _without_records(stream, reader, slice_, Page([]), reply)
    page = replace(reader.read(reply), headers=reply.headers)
    _check(context, stream, slice_, page)
    if page.absent:
        return _without_records(stream, reader, slice_, page, reply)
    _hold_known(page, reader, reply)
    return page


def _without_records(stream: Stream, reader: Reader, slice_: Slice, page: Page, reply: Reply) -> Page:
    """Return the page of a reply that has no place for records: an empty one, or a document that does not fit."""
    selector = reader.selector
    if _any(selector.empty)(reply):
        if not selector.many:
            raise MissingError("the vendor answers with an empty document.")
        return replace(page, absent=False, headers=reply.headers)
    if not _has_records(reply):
        raise BodyError(f"the answer is empty ({reply.status}); {_NOT_THE_API}")
    sentence = _nothing_there(selector, reply)
    if selector.many:
        raise BodyError(f"{sentence}; {_NOT_THE_API}")
    key = slice_.params[stream.parent.param] if stream.parent else "this stream"
    nothing = InvalidRecord(
        prefix(selector), "the document", reply.body, f"for {shown_name(key)}, {sentence}", is_other=True
    )
    return replace(page, records=[reader.blank()], invalid={0: nothing})


_NOT_THE_API = (
    "something other than the vendor's API may be answering, or another version of it: check base_url and the "
    "settings that choose a version"
)


def _nothing_there(selector: RecordSelector, reply: Reply) -> str:
    what = "list of records" if selector.many else "document"
    return f"the answer has no {what} at {prefix(selector)}: {content(reply, selector.path)}"


def _check(context: SyncContext, stream: Stream, slice_: Slice, page: Page) -> None:
    """Let the stream's check look at a page; a check does not know which secrets its message may not show."""
    if stream.check is None:
        return
    try:
        told = stream.check(page)
    except VendortapError as error:
        raise type(error)(context.redact(str(error))) from None
    if told:
        log.warning("%s", named(BodyError(context.redact(f"{told}.")), context, stream, slice_))


def _hold_known(page: Page, reader: Reader, reply: Reply) -> None:
    """Refuse a reply that does not fit, is a list as a whole, and has nothing that is declared.

    Raises:
        BodyError: it is such a one: an error of the vendor's. Whoever quarantined it would pass over a failure.
    """
    selector = reader.selector
    if page.invalid and not selector.path and selector.many and all(map(reader.is_blank, page.records)):
        raise BodyError(f"{_nothing_there(selector, reply)}; {_NOT_THE_API}")


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

    def __init__(self, context: SyncContext, stream: Stream, reader: Reader) -> None:
        folder = context.config.get("documents_dir") if stream.document else None
        self._context = context
        self._stream = stream
        self._reader = reader
        self._documents = Documents(folder) if folder else None
        self._stamped = stream.replication_key if stream.parent or stream.plan.windows else None
        self._companions = companion_names(stream.document) if stream.document else ()

    def page(
        self, page: Page, slice_: Slice, request: Request, reply: Reply
    ) -> tuple[dict[int, QuarantineEntry], bool]:
        """Complete the records of a page.

        Returns those that do not fit, or prove not to, and whether one of them is another than was asked for.
        """
        found, request_context = dict(page.invalid), self.request_context(slice_)
        for index, record in enumerate(page.records):
            try:
                if index in found:
                    for name, value in request_context.items():
                        record[name] = value
                else:
                    self.complete(record, request_context, slice_.params)
            except _Unfit as error:
                place = (
                    f"{prefix(self._reader.selector)}{f'[{index}]' if self._reader.selector.many else ''}.{error.field}"
                )
                raw = self._reader.split(reply)[index]
                found[index] = InvalidRecord(place, error.expected, raw, str(error), is_other=error.is_other)
        entry = {
            index: self._quarantine_entry(page.records[index], bad, slice_, request, reply)
            for index, bad in found.items()
        }
        return entry, any(bad.is_other for bad in found.values())

    def complete(self, record: Record, request_context: Mapping[str, Any], params: Mapping[str, str]) -> None:
        """Complete a record in place, with what the request knows of it, too; ``params`` are the slice's.

        Raises:
            RecordError: it is another record than was asked for, or the document inside it is none; with its key.
        """
        for name, value in request_context.items():
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
        parent = self._stream.parent
        if parent is None or not parent.echo:
            return
        field, key = next((name for name in parent.echo if record[name] not in (None, "")), ""), params[parent.param]
        if field and parent.same(key, str(record[field])):
            return
        what = f"has another {field}" if field else f"has no {' or '.join(parent.echo)}"
        raise _Unfit(
            f"what the vendor answers for {shown_name(key)} {what}, so it is not known to be the document that was "
            "asked for",
            field or parent.echo[0],
            "the number that was asked for",
            is_other=True,
        )

    def request_context(self, slice_: Slice) -> Mapping[str, Any]:
        """Return what the slice knows of its records, keys among it."""
        known: dict[str, Any] = {name: slice_.params[param] for name, param in self._stream.add.items()}
        return {**known, self._stamped: slice_.bookmark} if self._stamped else known

    def _key(self, record: Record, slice_: Slice) -> dict[str, str]:
        """Return a record's key as far as it is known: a document's own number is the one that it was asked for by."""
        parent = self._stream.parent
        asked = dict.fromkeys(parent.echo, slice_.params[parent.param]) if parent else {}
        known = {name: asked.get(name, record[name]) for name in self._stream.keys}
        return {name: str(value) for name, value in known.items() if value is not None}

    def _quarantine_entry(
        self, record: Record, bad: InvalidRecord, slice_: Slice, request: Request, reply: Reply
    ) -> QuarantineEntry:
        from vendortap.sync.quarantine import QuarantineEntry, key_text, schema_hash  # here, as most runs need neither

        context, redact = self._context, self._context.redact
        key = self._key(record, slice_)
        is_secret = any(map(has_secret, key.values()))
        return QuarantineEntry(
            connector=context.connector.name,
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
            params=slice_.params,
            bookmark=slice_.bookmark,
            schema=schema_hash(context.shapes[self._stream.name].schema),
            time=reply.received,
            sentence=bad.sentence,
        )
