"""Makes one record of a reply unfit for its schema, as a vendor's mistake would, in JSON or XML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lxml import etree

from vendortap.declare.model import Config, Node, RecordSelector, Stream
from vendortap.decode import json as json_format
from vendortap.sandbox import faults
from vendortap.sync import context
from vendortap.testing.harness import Asked, having

CANARY = "Sp0iled-4711-canary"
"""What stands in the place of a value; it fits nothing, and may be shown to nobody."""
_ORDER = ("number", "date-time", "boolean", "integer", "date", "string", "object", "array")
"""What is spoiled best comes first: pagers and checks look at texts and whole numbers, at amounts never."""
_TOLD_BY_TEXT = ("number", "date-time", "boolean", "integer", "date")
"""What not every text in XML is."""


@dataclass
class Spoiler:
    """Spoils one property of one record of a stream, in the first of its own replies that has one.

    That reply is spoiled again whenever it is asked for again.
    ``own`` are the requests (``Asked.what``) whose replies are the stream's. ``where`` is the property that was
    spoiled, empty until then.
    """

    stream: Stream
    row: Node
    config: Config
    own: frozenset[tuple[str, str, str, bytes]]
    where: str = ""
    _spoiled: frozenset[tuple[str, str, str, bytes]] = frozenset()

    def __call__(self, asked: Asked, answer: faults.Answer) -> faults.Answer:
        """Return the answer, spoiled if it is the one, and as it is otherwise."""
        if asked.what not in (self._spoiled or self.own) or not 200 <= answer.status < 300:
            return answer
        is_xml = b"xml" in answer.header(b"content-type")
        body = self._in_xml(answer.body) if is_xml else self._in_json(answer.body)
        if not self.where:
            return answer
        self._spoiled = frozenset({asked.what})
        return having(answer, body)

    @property
    def _place(self) -> int:
        """Which of the records of a page: of several with one key the one that counts, by the stream's own rule."""
        return 0 if self.stream.distinct else -1

    @property
    def _rows(self) -> RecordSelector:
        return context.record_selector_of(self.stream, self.config)

    def _in_json(self, body: bytes) -> bytes:
        document = json_format.loads(body)
        records = list(_records(document, self._rows.path))
        record = records[self._place] if records else {}
        names = {name.lower(): name for name in record}
        for name, node in self._properties():
            found = names.get(name.lower())
            if found and record[found] is not None:
                record[found] = CANARY if node.kind in ("object", "array") else {CANARY: CANARY}
                self.where = name
                return json_format.dumps(document)
        return body

    def _in_xml(self, body: bytes) -> bytes:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
        elements: dict[str, list[etree._Element]] = {}
        for element in root.iter(etree.Element):
            elements.setdefault(etree.QName(element).localname, []).append(element)
        for name, node in self._properties():
            found = [element for element in elements.get(node.xml_name or name, ()) if element.text]
            if node.kind in _TOLD_BY_TEXT and found:
                found[self._place].text = CANARY
                self.where = name
                return etree.tostring(root)
        return body

    def _properties(self) -> Iterator[tuple[str, Node]]:
        """Yield the properties of a row that are no keys, the best to be spoiled first."""
        keys = {*self.stream.keys, self.stream.replication_key, *(value.path[-1] for value in self._rows.more.values())}
        places = [(name, node) for name, node in self.row.fields.items() if name not in keys and node.kind in _ORDER]
        yield from sorted(places, key=lambda place: _ORDER.index(place[1].kind))


def _records(document: Any, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the records of a reply: at the end of the path, or nothing where it does not lead there."""
    for name in path:
        if not isinstance(document, Mapping):
            return
        document = {key.lower(): value for key, value in document.items()}.get(name.lower())
    for record in document if isinstance(document, list) else [document]:
        if isinstance(record, dict):
            yield record
