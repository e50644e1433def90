"""How a list is paged, guessed from what an operation's parameters and its answer's members are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from vendortap.scaffold import names, schema
from vendortap.scaffold.notes import Notes
from vendortap.scaffold.operations import Operation, Parameter
from vendortap.scaffold.vendor import Pages

_PAGE = ("page", "pagenumber", "pageno", "pageindex", "currentpage", "pagenum")
_SIZE = (
    *("pagesize", "perpage", "limit", "size", "pagelimit", "maxresults", "top", "count"),
    *("resultsperpage", "maxresultsperpage"),
)
_OFFSET = ("offset", "skip", "start", "startindex", "startat", "first")
_NEXT = re.compile("cursor|continuation|token", re.IGNORECASE)
_TOTAL = re.compile("total|count|found|records|items", re.IGNORECASE)
_OF_PAGE = re.compile("size|page", re.IGNORECASE)


def guess(operation: Operation, whole: schema.Schema, rows: tuple[str, ...], notes: Notes) -> Pages:
    """Guess how a list is paged, from what its parameters are called."""
    query = {"".join(names.words(one.name)): one for one in operation.query()}
    page, skip, size = (next(filter(None, map(query.get, known)), None) for known in (_PAGE, _OFFSET, _SIZE))
    token = next((one for name, one in query.items() if _NEXT.search(name)), None)
    total = _beside(whole, rows, ("integer", "number"), _TOTAL)
    guesses = (
        _by_token(token, _beside(whole, rows, ("string",), _NEXT)),
        _by_page_number(page, size, total),
        _by_offset(skip, size, total),
    )
    if way := next(filter(None, guesses), None):
        pages, said = way
        notes.say(f"Guessed: {said}.")
        return _sized(pages, size)
    if any((token, page, skip, size)):
        notes.say("ONLY THE FIRST PAGE IS READ: how it pages could not be told. Give it pages=...")
    return Pages()


def _by_token(token: Parameter | None, following: tuple[str, ...]) -> tuple[Pages, str] | None:
    if token is None or not following:
        return None
    said = f"{'.'.join(following)} of an answer is sent back as {token.name}"
    return Pages("token", token.name, found=following), said


def _by_page_number(page: Parameter | None, size: Parameter | None, total: tuple[str, ...]) -> tuple[Pages, str] | None:
    if page is None or size is None:
        return None
    first = 0 if 0 in (page.schema.get("default"), page.schema.get("minimum")) else 1
    known = f"the answer says how many there are in {'.'.join(total)}" if total else "nothing says how many there are"
    said = f"{page.name} counts pages of {size.name} rows; {known}"
    return Pages("page-number", page.name, total=total, first=first), said


def _by_offset(skip: Parameter | None, size: Parameter | None, total: tuple[str, ...]) -> tuple[Pages, str] | None:
    if skip is None or size is None or skip.schema.get("type", "integer") not in ("number", "integer", "string"):
        return None
    return Pages("offset", skip.name, total=total), f"{skip.name} skips rows, {size.name} of which come at a time"


def _sized(pages: Pages, parameter: Parameter | None) -> Pages:
    """Return the paging with the size that the document proposes."""
    if parameter is None:
        return pages
    whole = {keyword: value for keyword, value in parameter.schema.items() if type(value) is int and value > 0}
    greatest = whole.get("maximum")
    told = greatest or whole.get("default")
    size = min(told or pages.size, 1000)
    return replace(pages, size_param=parameter.name, size=size, greatest=greatest, assumed=told is None)


def _beside(
    whole: schema.Schema, rows: tuple[str, ...], kinds: Sequence[str], pattern: re.Pattern[str]
) -> tuple[str, ...]:
    """Return where a value of a name and kind is beside the records; the shallowest of several."""
    found: list[tuple[str, ...]] = []

    def look(place: schema.Schema, path: tuple[str, ...]) -> None:
        for name, member in place.get("properties", {}).items():
            inner = (*path, name)
            if inner == rows:
                continue
            if {*kinds} & {*schema.types(member)} and pattern.search(name) and not _OF_PAGE.search(name):
                found.append(inner)
            look(member, inner)

    look(whole, ())
    return min(found, key=len, default=())
