"""Ready-made pagers: generators that yield requests and are sent pages. No I/O.

A pager believes the vendor's numbers, and doubts what contradicts them. A page that is empty before the end, or that
has come before, may be a passing failure and is asked for once more; if it stays, that is an error: what a list
leaves out is never seen again once a bookmark has moved past it. ``stable`` marks lists whose rows move between pages.

Of the numbers of rows that a vendor states while a list is read, the last one counts. One that is smaller than the rows
that have come is wrong, and does not end a list; 0 beside rows is what .NET prints for a number that nobody set.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from vendortap.declare.model import Config, Page, Pager, Request
from vendortap.errors import BodyError
from vendortap.support.redact import shown_name

EMPTY_PAGES = 100
"""So many empty pages in a row are the end of a list, whatever the vendor says is still to come."""


class FewerRowsError(BodyError):
    """A list ended with fewer rows than the vendor says that it has; whoever drives a pager may look once more."""


def single(request: Request, config: Config) -> Generator[Request, Page, None]:
    """Ask once."""
    del config
    yield request


def page_number(
    param: str,
    *,
    size_param: str,
    size: str,
    first: str | None = None,
    pages: str | None = None,
    rows: str | None = None,
) -> Pager:
    """Count pages from 1 until one is empty, or until there are as many pages or rows as the vendor says.

    A short page does not prove that it is the last: a vendor may hand out fewer rows at a time than it is asked for,
    or leave one out. So the page behind it is asked for, unless the vendor says how many pages or rows there are. An
    empty page behind a full one is asked for again, and compared with the page after it: it may be a passing failure.

    Args:
        param: Query parameter of the page's number.
        size_param: Query parameter of the page's size.
        size: The setting with the rows to ask for.
        first: The setting with the number of the first page.
        pages: Name in ``RecordSelector.more`` of the number of pages.
        rows: Name in ``RecordSelector.more`` of the number of rows; fewer on all ``pages`` are an error.

    Raises (the pager):
        BodyError: a page has come before, or is empty in the middle, twice.
        FewerRowsError: there are too few rows.
    """

    def ask(request: Request, config: Config) -> Generator[Request, Page, None]:
        begin = config[first] if first else 1
        seen: dict[int | None, int] = {}
        extent = _Extent((pages, rows))
        full = empty = 0
        is_short = False  # whether the page before was shorter than the first, and no number says what is behind it
        for number in count(begin):
            at = request.with_params({param: number, size_param: config[size]})
            page = yield from _asked(at, seen, _any if is_short else extent.ends_with)
            _hold_new(page, seen, number, f"page {number} repeats page {{}}")
            extent = extent.past(page)
            if extent.ends:
                return
            is_last = extent.pages_left is False or not (page.records or extent.pages_left)
            if is_last and extent.rows_left:
                raise FewerRowsError(fewer(extent.all_rows, extent.rows, "pages", first))
            if is_last:
                if number > begin and not is_short:
                    _hold_empty((yield at.with_params({param: number + 1})), f"page {number}", f"page {number + 1}")
                return
            empty = 0 if page.records else empty + 1
            _hold_end(empty)
            is_short = 0 < len(page.records) < full and (page.is_recounted or not (pages or rows))
            full = full or len(page.records)

    return ask


@dataclass(frozen=True, slots=True)
class _Extent:
    """How far a list has come, and how far it goes by what the vendor says (``None``: it does not say).

    ``names`` are those of the numbers of pages and rows in ``Page.more``. A page without them changes nothing that
    others said, and neither does a 0 beside rows.
    """

    names: tuple[str | None, str | None]
    pages: int = 0
    rows: int = 0
    all_pages: int | None = None
    all_rows: int | None = None

    def past(self, page: Page) -> _Extent:
        """Return how it is with one page more."""
        rows = self.rows + len(page.records)
        in_pages, in_rows = (_stated(page, name, rows) for name in self.names)
        return _Extent(
            self.names,
            self.pages + 1,
            rows,
            self.all_pages if in_pages is None else in_pages,
            self.all_rows if in_rows is None else in_rows,
        )

    def ends_with(self, page: Page) -> bool:
        """Whether, by the vendor's word, a page would be the last."""
        return self.past(page).ends

    @property
    def pages_left(self) -> bool | None:
        """Whether there are more pages.

        A number below that of the pages read is wrong, and so is one beside a wrong number of rows.
        """
        if self.all_pages is None or self.pages > self.all_pages or self._has_too_many:
            return False if self.all_pages == 0 == self.rows else None
        return self.pages < self.all_pages

    @property
    def rows_left(self) -> bool | None:
        """Whether there are more rows."""
        return None if self.all_rows is None or self._has_too_many else self.rows < self.all_rows

    @property
    def _has_too_many(self) -> bool:
        return self.all_rows is not None and self.rows > self.all_rows

    @property
    def ends(self) -> bool:
        """Whether this was all, of which rows are the better witness."""
        return self.rows_left is False or (self.rows_left is None and self.pages_left is False)


def _stated(page: Page, name: str | None, rows: int) -> int | None:
    """Return a number that a page states and that can be believed, when there have been so many rows."""
    number = page.more.get(name) if name and not page.is_recounted else None
    return None if number is not None and number <= 0 < rows else number


def _step(page: Page, size: int) -> int:
    """Return by how many rows an offset moves on: never by more than were asked for, once rows have come twice."""
    return min(len(page.records), size) if page.is_recounted else len(page.records)


def fewer(stated: int | None, taken: int, what: str, first: str | None) -> str:
    """Return what an error says of a list with fewer rows than its vendor states."""
    other = f"; it may count its {what} from another number, see the setting {first!r}" if first else ""
    return (
        f"the vendor says that there are {shown_name(str(stated))} rows, but its pages hold {taken}; run again{other}"
    )


def offset(param: str, *, size_param: str, size: str, rows: str | None = None) -> Pager:
    """Move a row offset in the query by as many rows as came.

    Args:
        param: Query parameter of the offset of the first row, counted from 0.
        size_param: Query parameter of the page's size.
        size: The setting with the rows to ask for.
        rows: Name in ``RecordSelector.more`` of the number of all rows, for vendors that state it.

    Raises (the pager):
        BodyError: rows have come before, or there are none in the middle, twice.
        FewerRowsError: there are too few.
    """

    def ask(request: Request, config: Config) -> Generator[Request, Page, None]:
        seen: dict[int | None, int] = {}
        taken = stated = 0

        def at(first: int) -> Request:
            return request.with_params({param: first, size_param: config[size]})

        while True:
            page = yield from _asked(at(taken), seen, _stating(rows, taken))
            _hold_new(page, seen, taken, f"the rows from {taken} on repeat those from {{}} on")
            taken += _step(page, config[size])
            said = _stated(page, rows, taken)
            stated = stated if said is None else said
            if taken == stated:
                return
            if not page.records:
                break
        if taken < stated:
            raise FewerRowsError(fewer(stated, taken, "rows", None))
        if taken:
            beyond = taken + config[size]
            _hold_empty((yield at(beyond)), f"the page from row {taken} on", f"that from {beyond} on")

    return ask


def row_offset(
    first_path: tuple[str, ...], *, size_path: tuple[str, ...], size: str, total: str, first: str | None = None
) -> Pager:
    """Move a row offset inside the request's document by as many rows as came.

    Args:
        first_path: Where the offset of the first row is in the document.
        size_path: Where the number of rows to ask for is.
        size: The setting with that number.
        total: The property of each row that says how many there are altogether.
        first: The setting with the offset of the very first row (default: 0).

    Raises (the pager):
        BodyError: rows have come before, or there are none in the middle, twice.
        FewerRowsError: there are too few.
    """

    def ask(request: Request, config: Config) -> Generator[Request, Page, None]:
        begin = config[first] if first else 0
        seen: dict[int | None, int] = {}
        offset, stated = 0, 0

        def at(offset: int) -> Request:
            document = _with(_with(request.document or {}, first_path, begin + offset), size_path, config[size])
            return replace(request, document=document)

        while True:
            page = yield from _asked(at(offset), seen, lambda _: False)
            _hold_new(page, seen, begin + offset, f"the rows from {begin + offset} on repeat those from {{}} on")
            if not page.records:
                break
            offset += _step(page, config[size])
            stated = page.records[-1][total] or stated  # a 0 beside rows is a number that nobody set
            if offset == stated and not page.is_recounted:
                return
        if offset < stated:
            raise FewerRowsError(fewer(stated, offset, "rows", first))
        if offset:
            beyond = offset + config[size]
            _hold_empty((yield at(beyond)), f"the page from row {begin + offset} on", f"that from {begin + beyond} on")

    return ask


def _with(document: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return the document with one value set."""
    name, *rest = path
    return {**document, name: _with(document.get(name) or {}, tuple(rest), value) if rest else value}


def token(param: str, *, found: str) -> Pager:
    """Send back the token that each page holds, with all other parameters, until a page holds none.

    An empty page with a token is not the last. ``found`` is the token's name in ``RecordSelector.more``.

    Raises (the pager):
        BodyError: a token, or a page, has come before, twice; or there are empty pages without end.
    """

    def ask(request: Request, config: Config) -> Generator[Request, Page, None]:
        del config
        asked = request
        sent: set[str] = set()
        seen: dict[int | None, int] = {}
        empty = 0
        for number in count(1):
            page = yield from _asked(
                asked, seen, lambda page: bool(page.more.get(found)), lambda page: page.more.get(found) in sent
            )
            following = page.more.get(found)
            if following in sent:
                raise BodyError(f"the vendor answers with a {param} that it gave before; {_STUCK}")
            _hold_new(page, seen, number, f"page {number} repeats page {{}}")
            if not following:
                return
            empty = 0 if page.records else empty + 1
            _hold_end(empty)
            sent.add(following)
            asked = request.with_params({param: following})

    return ask


_STUCK = "the vendor's paging does not move on"


def _asked(
    request: Request,
    seen: Collection[int | None],
    may_be_empty: Callable[[Page], bool],
    again: Callable[[Page], bool] = lambda _: False,
) -> Generator[Request, Page, Page]:
    """Ask for a page, and once more where it is doubtful: empty for no reason, or one that has come before."""
    page = yield request
    doubtful = _ends(page) in seen or again(page) or not (page.records or may_be_empty(page))
    return (yield request) if doubtful else page


def _any(page: Page) -> bool:
    """Take any page for one that may be empty."""
    del page
    return True


def _stating(rows: str | None, taken: int) -> Callable[[Page], bool]:
    """Return what tells whether a page states that there are as many rows as have been taken."""
    return lambda page: rows is not None and page.more.get(rows) == taken


def _hold_new(page: Page, seen: dict[int | None, int], number: int, said: str) -> None:
    """Note a page, by its number, unless it is empty; ``said`` takes the number of the one that it repeats."""
    if (ends := _ends(page)) in seen:
        raise BodyError(f"{said.format(seen[ends])}; {_STUCK}")
    if page.records:
        seen[ends] = number


def _hold_end(empty: int) -> None:
    if empty == EMPTY_PAGES:
        raise BodyError(f"{empty} pages in a row are empty, and the vendor says that there are more; {_STUCK}")


def _hold_empty(beyond: Page, empty: str, after: str) -> None:
    if beyond.records:
        raise BodyError(f"{empty} is empty, but {after} is not; the vendor leaves rows out: run again")


def _ends(page: Page) -> int | None:
    """Tell pages apart by a hash of their first and last record; ``None`` for empty ones."""
    return hash((repr(page.records[0]), repr(page.records[-1]))) if page.records else None


# --- rows that move ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stable:
    """A pager of a list whose rows may move between its pages, and what the movement is seen by; see ``stable``.

    Called, it reads the list once. What reads it again is the pipeline (vendortap.sync.readings), which remembers the
    rows on disk.
    """

    pager: Pager
    by: tuple[str, ...]
    total: str | None

    def __call__(self, request: Request, config: Config) -> Generator[Request, Page, None]:
        """Read the list once."""
        return self.pager(request, config)


def stable(pager: Pager, *by: str, total: str | None = None) -> Stable:
    """Have a list read again where rows have moved between its pages while it was read.

    A row that moves from a page that has been read to one that has not makes all between them move up: one at each
    border is then on no page at all. It shows by the key that comes twice (where the stream is ``distinct``, what
    ``by`` names), or by a number of rows that became smaller; where no number is stated, also by a page in the middle
    that is shorter than the others. Then readings go on until two in a row agree: the second has all rows of the
    first, in the same order and with nothing between them, and no other row twice. Where it has any row twice, a third
    has to agree. After too many readings without that, the run ends with an error.

    What cannot be seen: that one row goes and another one comes while the list is read, or, without a stated number of
    rows, that one row goes.

    Args:
        pager: What reads the list once.
        by: The properties that tell the list's rows apart.
        total: How many rows the vendor states: its name in ``RecordSelector.more``, or a property of each row.
    """
    return Stable(pager, by, total)
