"""XML pages: by an expression made of the schema (``xml_rows``) where it matches, else by the tree (``xml_tree``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from vendortap.declare.model import Node, RecordSelector
from vendortap.decode import coerce, incremental, xml_tree
from vendortap.decode.incremental import Listed, is_named, too_deep
from vendortap.decode.pages import Selected, around_node, more_of
from vendortap.decode.structs import DoesNotFit
from vendortap.decode.values import Dates, Malformed, SchemaMismatch, TooDeep
from vendortap.decode.xml_rows import Expression
from vendortap.decode.xml_tree import DEEPEST, has_more, local
from vendortap.errors import BodyError
from vendortap.support.redact import shown_name

T = TypeVar("T")


class XmlDecoder:
    """Decodes the pages of one stream; in any number of threads. ``row`` is the schema of a record.

    ``most`` is how many levels a document may be nested. One of more than ``piece`` bytes is read in pieces.
    """

    def __init__(
        self,
        row: Node,
        selector: RecordSelector,
        dates: Dates,
        most: int = DEEPEST,
        *,
        piece: int = incremental.PIECE_BYTES,
    ) -> None:
        self._selector = selector
        self._most = most
        self._piece = piece
        self._shape = xml_tree.shape(row)
        self._name = row.xml_name
        around = around_node(selector)
        self._shape_around = xml_tree.shape(around)
        self._around = coerce.compile(around, dates, texts=True)
        self._expression = Expression(row, selector, dates, most) if selector.many else None

    def allow(self, row: Node) -> None:
        """Take another schema of the same records, which lets other unknown names pass in the typed reading."""
        if self._expression:
            self._expression.allow(row)

    def typed(self, body: bytes) -> Selected:
        """Decode a page by the expression.

        Raises:
            DoesNotFit: anything at all is not as the expression has it; ``apart`` says what.
        """
        if self._expression is None:
            raise DoesNotFit("a document by itself")
        root, records = self._expression.match(body)
        try:
            return Selected(records, self._more(root))
        except SchemaMismatch:
            raise DoesNotFit("another page") from None

    def apart(self, body: bytes, take: Callable[[Any], T]) -> Selected:
        """Parse a page, and give each of its records to ``take``, which makes of it what is in ``records``.

        Raises:
            Malformed: not XML, a DTD, another root element, or (TooDeep) nested too deeply.
            SchemaMismatch: what is around the records does not fit; with its path in the page.
            BodyError: an element stands among the records that may be one, under another name.
        """
        if self._selector.many and len(body) > self._piece:
            with suppress(Malformed, SchemaMismatch):  # which comes first, and where, is told by the whole document
                return self._in_pieces(body, take)
        root = xml_tree.parse(body, self._most)
        return self._list(root, take) if self._selector.many else self._document(root, take)

    def _in_pieces(self, body: bytes, take: Callable[[Any], T]) -> Selected:
        path = self._selector.path
        levels = self._most - len(path) - 1

        observed = self._expression.observed() if self._expression else None

        def take_element(element: Any) -> T:
            if too_deep(element, levels):
                raise TooDeep("nested too deeply")
            if observed:
                observed.note(element)
            return take(self._parsed(element))

        root, records = incremental.parse(body, Listed(path, self._name, take_element), self._piece, self._most)
        incremental.single(root, path)
        if self._expression and observed:
            self._expression.learn(observed)
        return Selected(records or self._no_records(root), self._more(root))

    def _no_records(self, root: Any) -> list[Any] | None:
        holder = incremental.find(root, self._selector.path)
        if holder is None or xml_tree.is_nil(holder):
            return None
        if xml_tree.has_text(holder):
            raise SchemaMismatch("", "a list")
        return [] if self._selector.path else None  # a root of any name says nothing

    def _list(self, root: Any, take: Callable[[Any], T]) -> Selected:
        holder = incremental.single(root, self._selector.path)
        if holder is None or (not len(holder) and (xml_tree.has_text(holder) or xml_tree.is_nil(holder))):
            return Selected(self._no_records(root), self._more(root))
        named, siblings = self._children(holder)
        self._learn(named)
        more = self._more(root)
        if not named and (siblings or not self._selector.path):  # called something else, or a root of any name
            return Selected(None, more, siblings)
        return Selected([take(self._parsed(child)) for child in named], more, siblings)

    def _children(self, holder: Any) -> tuple[list[Any], list[str]]:
        """Return the records in a list, and the names of other elements in it, which are no records."""
        named: list[Any] = []
        others: dict[str, None] = {}
        for child in holder:
            if self._name is None or is_named(child, self._name):
                named.append(child)
            else:
                self._check_sibling(child, holder)
                others[local(child.tag)] = None
        return named, list(others)

    def _learn(self, records: Iterable[Any]) -> None:
        """Have the expression go by the order of elements in these."""
        if self._expression:
            observed = self._expression.observed()
            for record in records:
                observed.note(record)
            self._expression.learn(observed)

    def _check_sibling(self, element: Any, holder: Any) -> None:
        if len(element):
            raise BodyError(
                f"the list of records, <{shown_name(local(holder.tag))}>, has the element "
                f"<{shown_name(local(element.tag))}>, and records are declared to be <{self._name}>; they may have "
                "been renamed: report it, or mend the stream's schema"
            )

    def _document(self, root: Any, take: Callable[[Any], T]) -> Selected:
        path = self._selector.path
        names = (*path[:-1], self._name or path[-1]) if path else ()
        if not path and self._name and local(root.tag) != self._name:
            raise Malformed(f"the root element is not <{self._name}>")
        element = incremental.single(root, names)
        parsed = None if element is None else self._parsed(element)
        return Selected(None if parsed is None else [take(parsed)], self._more(root))

    def _parsed(self, element: Any) -> Any:
        return self._shape(element, bool(has_more()(element)))

    def _more(self, root: Any) -> dict[str, Any]:
        if not self._selector.more:
            return {}
        parsed = self._shape_around(root, False)
        if isinstance(parsed, coerce.Noted):
            parsed = parsed.value
        try:
            around = None if parsed is None else self._around(parsed, [])
        except SchemaMismatch as error:
            raise error.inside("$") from None
        return more_of(around, self._selector)

    def parse_record(self, raw: bytes) -> Any:
        """Parse one record by itself.

        Raises:
            Malformed: not XML, or nested too deeply.
        """
        return self._parsed(xml_tree.parse(raw, self._most))

    def split(self, body: bytes) -> list[bytes]:
        """Return each record's element, written by itself; of a body that is one record, the body as received.

        Raises:
            Malformed: not XML.
        """
        from lxml import etree

        def write(element: Any) -> bytes:
            written: bytes = etree.tostring(element, encoding="utf-8", with_tail=False)
            return written

        path, name, many = self._selector.path, self._name, self._selector.many
        if many and len(body) > self._piece:
            with suppress(Malformed):  # told by the document as a whole
                return incremental.parse(body, Listed(path, name, write), self._piece, DEEPEST)[1]
        root = xml_tree.parse(body)
        if not path and not many:
            return [body]
        found = incremental.find(root, path if many else (*path[:-1], name or path[-1]))
        if found is None:
            return []
        return [write(one) for one in (self._children(found)[0] if many else [found])]
