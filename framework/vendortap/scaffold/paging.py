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
    size = next((query[name] for name in _SIZE if name in query), None)
    page = next((query[name] for name in _PAGE if name in query), None)
    skip = next((query[name] for name in _OFFSET if name in query), None)
    by_token = next((one for name, one in query.items() if re.search("token|cursor|continuation", name)), None)
    following = _beside(whole, rows, ("string",), _NEXT)
    if by_token and following:
        notes.say(f"Guessed: {'.'.join(following)} of an answer is sent back as {by_token.name}.")
        return _sized(Pages("token", by_token.name, found=following), size)
    total = _beside(whole, rows, ("integer", "number"), _TOTAL)
    if page and size:
        said = (
            f"the answer says how many there are in {'.'.join(total)}" if total else "nothing says how many there are"
        )
        notes.say(f"Guessed: {page.name} counts pages of {size.name} rows; {said}.")
        first = 0 if 0 in (page.schema.get("default"), page.schema.get("minimum")) else 1
        return _sized(Pages("page-number", page.name, total=total, first=first), size)
    if skip and size and re.fullmatch("(number|integer|string)", str(skip.schema.get("type", "integer"))):
        notes.say(f"Guessed: {skip.name} skips rows, {size.name} of which come at a time.")
        return _sized(Pages("offset", skip.name, total=total), size)
    if by_token or page or skip or size:
        notes.say("ONLY THE FIRST PAGE IS READ: how it pages could not be told. Give it pages=...")
    return Pages()


def _sized(pages: Pages, parameter: Parameter | None) -> Pages:
    """Return the paging with the size that the document proposes."""
    if parameter is None:
        return pages
    whole = {k: v for k, v in parameter.schema.items() if isinstance(v, int) and not isinstance(v, bool) and v > 0}
    greatest, usual = whole.get("maximum"), whole.get("default")
    size = greatest or usual or pages.size
    known = greatest is not None or usual is not None
    return replace(pages, size_param=parameter.name, size=min(size, 1000), greatest=greatest, assumed=not known)


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
