"""The decoders of one schema, and the order in which they are tried.

JSON: ``structs`` where records go out as they came, else ``json`` into dicts; both parse, check and type a page in one
step in C, and a pass over the result fills in absent properties and date-times. What does not fit is decoded without
types, coerced (``coerce``) and converted. A stream whose names differ in case always takes that last step, since the
typed decoders would not see such a name. XML: ``xml_rows`` where records go out as they came, else ``xml``; neither
needs coercion, because their converters read text by the schema in the first place.

Each gives the same record for the same document, in the schema's order, so the bytes that are written do not depend on
the decoder; tests/decode/test_structs.py, test_verbatim.py and test_xml_rows.py compare them. ``structs``, ``verbatim``
and ``xml_rows`` decode a page as a whole or not at all: they never say what is wrong, and leave that to the others.
``verbatim`` comes before all of these, in ``reader``, because it needs to know what the request adds to records.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, TypeAlias

from vendortap.declare.model import Node
from vendortap.decode import json as json_wire
from vendortap.decode import structs as rows_wire
from vendortap.decode import xml as xml_wire
from vendortap.decode import xml_rows as xml_rows_wire
from vendortap.decode.coerce import repair
from vendortap.decode.values import Dates, Decode, Mismatch, Undeclared
from vendortap.decode.xml import DEEPEST

Form: TypeAlias = Literal["JSON", "XML"]


class Ways:
    """The decoders of pages, or of one record, compiled when they are first needed.

    With ``quick`` records come as rows (vendortap.decode.structs) where that can be.
    """

    def __init__(
        self,
        page: Node,
        row: Node,
        dates: Dates,
        *,
        any_case: bool = False,
        quick: bool = False,
        max_depth: int = DEEPEST,
    ) -> None:
        self.row = row
        self._page = page
        self._dates = dates
        self._any_case = any_case
        self._quick = quick
        self._max_depth = max_depth

    def read(self, form: Form, body: bytes) -> tuple[Any, bool]:
        """Decode a body; returns whether it had to be repaired, too.

        Raises:
            Malformed: not of its format.
            Mismatch: it does not fit, after all repairs.
            Undeclared: there is a name that the schema does not let pass.
        """
        if form == "XML":
            return self._typed_xml(body), False
        if self._quick and self._rows_json:
            try:
                return self._rows_json(body), False
            except Mismatch:  # by far the less frequent; the other way names what is wrong, or mends it
                pass
        if not self._any_case:  # the typed way would not see a name in another case
            if self._names_json:
                self._names_json(body)
            try:
                return self._typed_json(body), False
            except Mismatch:
                pass
        beside: set[str] = set()
        untyped = repair(json_wire.loads(body), self._page, beside)
        if beside:
            raise Undeclared("a name that is not declared")
        return self._convert(untyped), True

    @cached_property
    def _rows_json(self) -> Decode | None:
        return rows_wire.compile(self._page, self.row, self._dates)

    @cached_property
    def _names_json(self) -> Callable[[bytes], None] | None:
        return rows_wire.names(self._page, self.row) if self.row.extra is not None else None

    @cached_property
    def _typed_json(self) -> Decode:
        return json_wire.compile(self._page, self._dates)

    @cached_property
    def _convert(self) -> Callable[[Any], Any]:
        return json_wire.converter(self._page, self._dates)

    @cached_property
    def _typed_xml(self) -> Decode:
        if self._quick:
            return xml_rows_wire.compile(self._page, self.row, self._dates, self._max_depth)
        return xml_wire.compile(self._page, self._dates, self._max_depth)
