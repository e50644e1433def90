"""All pages of a unit: its requests, the replies, and the records that come of them. Runs in the threads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from vendortap.declare.model import Misfit, Page, Record, Reply, Request, Rows, Stream, Unit
from vendortap.decode.body import write
from vendortap.decode.reader import Reader, prefix, refusal
from vendortap.decode.verbatim import Verbatim
from vendortap.errors import BodyError, MissingError, RecordError, VendortapError
from vendortap.sync.context import Records, Source
from vendortap.sync.documents import Documents, companion_names
from vendortap.sync.readings import pager_of

if TYPE_CHECKING:
    from vendortap.sync.quarantine import Kept

SETTLED = timedelta(minutes=1)
"""What changed less than this before a list was asked for, or since, may show in the list only in part."""


def fetcher(source: Source, stream: Stream) -> Callable[[Unit], Generator[Records, None, None]]:
    """Return what fetches all pages of a unit: runs in the threads."""
    reader = source.reader(stream)
    accept = {"Accept": source.connector.accept(source.config)}
    complete = Completer(source, stream, reader)

    def fetch(unit: Unit) -> Generator[Records, None, None]:
        request, given = stream.request(source.config, unit.params).with_headers(accept), complete.given(unit)
        settled: datetime | None = None
        conflicts: list[str] = []
        pager = pager_of(stream, lambda row: conflicts.append(_named(row, stream, given)))
        with closing(pager(request, source.config)) as pages:
            asked = next(pages, None)
            while asked is not None:
                try:
                    reply = source.send(write(asked))
                except MissingError:
                    if not stream.missing_is_empty:
                        raise
                    asked = _following(pages, Page([]))  # the pager knows whether the list may end here
                    continue
                settled = settled or reply.answered - SETTLED
                if brought := source.extensions.formats.get(reply.media_type):
                    reply = brought.as_json(reply)
                page = replace(reader.read(reply, given), headers=reply.headers)
                _check(stream, page, source.redact)
                _hold_known(page, reader.rows)
                if page.absent and not reader.rows.optional:
                    raise BodyError(
                        f"the answer has no {'.'.join(reader.rows.path) or 'document'}; report it to the vendor"
                    )
                sent, asked = asked, _following(pages, page)  # before the records are given away, and changed
                if asked == sent:
                    continue  # the pager did not believe this page
                misfits, received = complete.page(page, unit, sent, reply), reply.received
                del reply  # or its body is kept until the records have been read
                yield Records(page.rows, received, settled, misfits, tuple(conflicts), more=asked is not None)
                conflicts.clear()

    return source.telemetry.unit(stream.name, fetch) if source.telemetry else fetch


def _named(row: Record, stream: Stream, given: Mapping[str, Any]) -> str:
    """Return a record's key, as messages have it."""
    return ", ".join(f"{name} {given[name] if name in given else row[name]}" for name in stream.keys)


def _check(stream: Stream, page: Page, redact: Callable[[str], str]) -> None:
    """Let the stream's check look at a page; a check does not know which secrets its message may not show."""
    if stream.check is None:
        return
    try:
        stream.check(page)
    except VendortapError as error:
        raise type(error)(redact(str(error))) from None


def _hold_known(page: Page, rows: Rows) -> None:
    """Refuse a reply that does not fit, is a record or list as a whole, and has nothing that is declared.

    Raises:
        RecordError: it is such a one: an error of the vendor's. Whoever quarantined it would pass over a failure.
    """
    if not page.misfits or (rows.many and rows.path):
        return
    if all(value in (None, []) for record in page.rows for value in record.values()):
        raise refusal(page.misfits[min(page.misfits)].sentence)


def _following(pages: Generator[Any, Any, None], page: Any) -> Any:
    try:
        return pages.send(page)
    except StopIteration:
        return None


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

    def page(self, page: Page, unit: Unit, request: Request, reply: Reply) -> dict[int, Kept]:
        """Complete the records of a page; returns those that do not fit, or prove not to."""
        found, given = dict(page.misfits), self.given(unit)
        for index, record in enumerate(page.rows):
            if isinstance(record, Verbatim):  # has been made with what is given, and there is nothing else to do
                continue
            try:
                if index in found:
                    record.update(given)
                else:
                    self.complete(record, given)
            except RecordError as error:
                place = f"{prefix(self._reader.rows)}{f'[{index}]' if self._reader.rows.many else ''}"
                raw = self._reader.split(reply)[index]
                found[index] = Misfit(f"{place}.{self._stream.document}", "Base64", raw, str(error))
        return {index: self._kept(page.rows[index], misfit, unit, request, reply) for index, misfit in found.items()}

    def complete(self, record: Record, given: Mapping[str, Any]) -> None:
        """Complete a record in place, with what its unit has ``given``, too.

        Raises:
            RecordError: the document inside it is none, with the record's key.
        """
        for name, value in given.items():
            record[name] = value
        for name in self._companions:
            record[name] = None
        if self._documents and self._stream.document:
            try:
                self._documents.keep(record, self._stream.document)
            except RecordError as error:
                key = ", ".join(f"{name} {record[name]}" for name in self._stream.keys)
                raise RecordError(f"{key}: {error}") from None
        if self._stream.finish:
            self._stream.finish(record)

    def given(self, unit: Unit) -> Mapping[str, Any]:
        """Return what the unit knows of its records, keys among it."""
        known: dict[str, Any] = {name: unit.params[param] for name, param in self._stream.add.items()}
        return {**known, self._stamped: unit.bookmark} if self._stamped else known

    def _kept(self, record: Record, misfit: Misfit, unit: Unit, request: Request, reply: Reply) -> Kept:
        from vendortap.sync.quarantine import Kept, schema_hash  # here, as most runs need neither

        source, redact = self._source, self._source.redact
        return Kept(
            connector=source.connector.name,
            stream=self._stream.name,
            key={name: str(record[name]) for name in self._stream.keys if record[name] is not None},
            path=misfit.path,
            error=f"{misfit.expected} expected",
            media_type=reply.media_type,
            raw=redact.blank_bytes(misfit.raw),  # a vendor may send back what it was sent
            request={
                "method": request.method,
                "path": redact(request.path),
                "params": {name: redact(value) for name, value in request.params.items()},
            },
            params=unit.params,
            bookmark=unit.bookmark,
            schema=schema_hash(source.shapes[self._stream.name].schema),
            time=reply.received,
            sentence=misfit.sentence,
        )
