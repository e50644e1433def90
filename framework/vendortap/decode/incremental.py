"""Large XML documents in pieces: the items of a document's list are read while the rest is parsed, and dropped.

The tree of a page takes eight times the memory of its text; in pieces it is never there as a whole. What is wrong
with a document, and where, is left to ``xml`` to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from vendortap.decode.values import Malformed, SchemaMismatch

PIECE_BYTES = 64 * 1024
"""Documents larger than this are parsed in pieces of this size."""
SAFE: Mapping[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "remove_comments": True,
    "remove_pis": True,
}
"""Options of every parser of a vendor's XML: nothing external is read, nothing but elements and text is kept."""
_HEAD_BYTES = 4096
"""Where the root element begins."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The list of a document: the elements that lead to it, the name of its items, and what reads these.

    ``item`` is ``None`` where they may be called anything. ``read`` sees to how deep they are nested.
    """

    elements: tuple[str, ...]
    item: str | None
    read: Callable[[Any], Any]


def parse(body: bytes, where: Listed, piece: int, most: int) -> tuple[Any, list[Any]]:
    """Return a document's root element without the items of its list, and the values of these.

    Raises:
        Malformed: not XML, a DTD, or nested more than ``most`` levels deep; without a place.
    """
    from lxml import etree

    try:
        head = etree.fromstring(body[:_HEAD_BYTES], etree.XMLParser(recover=True, **SAFE))
        parser = etree.XMLPullParser(("start",), tag=getattr(head, "tag", None), **SAFE)
        items: list[Any] = []
        root = holder = None
        for start in range(0, len(body), piece):
            parser.feed(body[start : start + piece])
            if root is None and (root := next((element for _, element in parser.read_events()), None)) is not None:
                _refuse_dtd(root)
            holder = find(root, where.elements) if holder is None and root is not None else holder
            if holder is not None:  # of what is in it by now, all but the last is there as a whole
                items.extend(_take(holder, where, but=1))
        root = parser.close()
    except etree.XMLSyntaxError:
        raise Malformed("not well-formed") from None
    _refuse_dtd(root)
    if holder is not None:
        items.extend(_take(holder, where, but=0))
        if items:
            holder.clear()  # beside elements, neither text nor xsi:nil counts
    if too_deep(root, most):
        raise Malformed("nested too deeply")
    return root, items


def _refuse_dtd(root: Any) -> None:
    """Refuse a document type, which stands before the root: before anything is read that it may define."""
    if root.getroottree().docinfo.internalDTD is not None:
        raise Malformed("XML with a DTD is refused")


def find(root: Any, elements: tuple[str, ...]) -> Any:
    """Return the element that these lead to, as far as it has been parsed."""
    element = root
    for name in elements:
        element = next((child for child in element if is_named(child, name)), None)
        if element is None:
            return None
    return element


def single(root: Any, elements: Sequence[str]) -> Any:
    """Return the element of a whole document that these lead to; ``None`` where there is none.

    Raises:
        SchemaMismatch: there are two of a name on the way; with its path in the page.
    """
    element, path = root, "$"
    for name in elements:
        path = f"{path}.{name}"
        found = [child for child in element if is_named(child, name)]
        if len(found) > 1:
            raise SchemaMismatch(path, "a single element")
        if not found:
            return None
        element = found[0]
    return element


def _take(holder: Any, where: Listed, *, but: int) -> Iterator[Any]:
    """Read the items from the front and drop them, until ``but`` elements are left."""
    children = list(holder)
    for child in children[: len(children) - but]:
        if where.item is None or is_named(child, where.item):
            yield where.read(child)
        else:  # what it is, and whether it may be there, is told by the document as a whole
            raise Malformed("an element of another name stands in the list")
        holder.remove(child)


def is_named(element: Any, name: str) -> bool:
    """Tell whether an element has a name, without its namespace."""
    return name in (element.tag, element.tag.rpartition("}")[2])


def too_deep(element: Any, most: int) -> bool:
    """Tell whether an element is nested more than so many levels deep, itself the first; costs a tenth of parsing."""
    return most < 1 or bool(_below(most)(element))


@cache
def _below(levels: int) -> Callable[[Any], Any]:
    """Return what tells whether there are elements so many levels below one."""
    from lxml import etree

    return etree.XPath(f"boolean({'/'.join('*' * levels)})")
