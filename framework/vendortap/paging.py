"""Ready-made pagers: generators that yield requests and are sent pages. No I/O."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from vendortap.errors import BodyError
from vendortap.model import Config, Page, Pager, Request


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
    """Count pages from 1 until one is empty, or shorter than the first.

    A first page shorter than what was asked for does not prove that it is the last: a vendor may hand out
    fewer at a time than it is asked for. So the second page is asked for in any case, unless the vendor says
    how many pages or rows there are.

    Args:
        param: Query parameter of the page's number.
        size_param: Query parameter of the page's size.
        size: The setting with the rows to ask for.
        first: The setting with the number of the first page.
        pages: Name in ``Rows.more`` of the number of pages.
        rows: Name in ``Rows.more`` of the number of rows; beside ``pages`` it is what these are held against.

    Raises (the pager):
        BodyError: a page repeats the one before, which would go on for ever; or the pages hold too few rows.
    """

    def ask(request: Request, config: Config) -> Generator[Request, Page, None]:
        before: tuple[str, str] | None = None
        full = taken = 0
        for count_of_pages in count(1):
            number = count_of_pages - 1 + (config[first] if first else 1)
            page = yield request.with_params({param: number, size_param: config[size]})
            ends = _ends(page)
            if page.rows and ends == before:
                raise BodyError(f"page {number} repeats page {number - 1}; the vendor's paging does not move on")
            taken += len(page.rows)
            # An empty page is the last, unless the vendor says that there are more: it may hold what was filtered out.
            empty = not page.rows and not (pages and page.more.get(pages))
            if empty or _complete(page, pages, count_of_pages) or _complete(page, rows, taken):
                if pages and rows and not _complete(page, rows, taken, unstated=True):
                    raise BodyError(_fewer(page.more[rows], taken, first))
                return
            if before is not None and len(page.rows) < full and not (pages or rows):
                return
            full = full or len(page.rows)
            before = ends

    return ask


def _complete(page: Page, total: str | None, so_far: int, *, unstated: bool = False) -> bool:
    """Whether the vendor says that there are no more than ``so_far``; ``unstated`` where it does not say.

    Beside rows, a total of 0 says nothing: it is what .NET prints for a number that nobody set.
    """
    stated = page.more.get(total) if total else None
    return unstated if stated is None or stated <= 0 < so_far else so_far >= stated


def _fewer(stated: int, taken: int, first: str | None) -> str:
    other = f"; it may count its pages from another number, see the setting {first!r}" if first else ""
    return f"the vendor says that there are {stated} rows, but its pages hold {taken}{other}"


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
        BodyError: a page repeats the one before, which would go on for ever.
    """

    def ask(request: Request, config: Config) -> Generator[Request, Page, None]:
        before: tuple[str, str] | None = None
        offset = 0
        while True:
            number = offset + (config[first] if first else 0)
            document = _with(_with(request.document or {}, first_path, number), size_path, config[size])
            page = yield replace(request, document=document)
            if not page.rows:
                return
            if (ends := _ends(page)) == before:
                raise BodyError(f"the rows from {number} on repeat those before; the vendor's paging does not move on")
            before = ends
            offset += len(page.rows)
            if (stated := page.rows[-1][total]) and offset >= stated:  # a 0 beside rows is a number that nobody set
                return

    return ask


def _with(document: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return the document with one value set."""
    name, *rest = path
    return {**document, name: _with(document.get(name) or {}, tuple(rest), value) if rest else value}


def token(param: str, *, found: str) -> Pager:
    """Send back the token that each page holds, with all other parameters, until a page holds none.

    An empty page with a token is not the last. ``found`` is the token's name in ``Rows.more``.

    Raises (the pager):
        BodyError: a token repeats one before, which would go on for ever.
    """

    def ask(request: Request, config: Config) -> Generator[Request, Page, None]:
        del config
        page = yield request
        sent: set[str] = set()
        while following := page.more.get(found):
            if following in sent:
                raise BodyError(f"the vendor answers with a {param} that it gave before; its paging does not move on")
            sent.add(following)
            page = yield request.with_params({param: following})

    return ask


def _ends(page: Page) -> tuple[str, str]:
    """Tell pages apart by their first and last record, as text: whoever gets the records may change them."""
    return (repr(page.rows[0]), repr(page.rows[-1])) if page.rows else ("", "")
