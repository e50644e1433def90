"""JSON pages: one typed decode in C (msgspec), or parsed without types for ``coerce``.

``loads`` is the untyped way in for small documents, ``dumps`` writes bodies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import MAX_EMAX, Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec

from vendortap.declare.model import Node, RecordSelector
from vendortap.decode import coerce
from vendortap.decode.coerce import Digits
from vendortap.decode.pages import Selected, around_node, dig, looked_for_inside, more_of, page_node, prefix
from vendortap.decode.structs import DoesNotFit, completer, has_numbers, has_plain_names, type_of
from vendortap.decode.values import Dates, Malformed, SchemaMismatch, TooDeep

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
_MALFORMED = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def dumps(document: Any) -> bytes:
    """Write a body."""
    return _encoder.encode(document)


def loads(body: bytes) -> Any:
    """Read any JSON; numbers with a fraction or exponent are Decimals.

    A number that may be too long to be written is given all the same: whoever takes it has to look
    (vendortap.support.numbers). One that neither Decimal nor int can hold becomes another one that is too long.

    Raises:
        Malformed: not JSON.
    """
    return _loaded(body, _untyped)


def parse(body: bytes) -> Any:
    """Read any JSON for ``coerce``: numbers with a fraction or exponent keep their digits.

    Raises:
        Malformed: not JSON.
    """
    return _loaded(body, _parser)


def _loaded(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        body = body.removeprefix(_BOM)
        try:
            return decoder.decode(body)
        except msgspec.ValidationError:  # an integer of thousands of digits
            return decoder.decode(_TOKEN.sub(_without_long_integer, body))
    except _MALFORMED as error:
        raise _malformed(error) from None


def _malformed(error: Exception) -> Malformed:
    if isinstance(error, RecursionError):
        return TooDeep("nested too deeply")
    return Malformed("not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error))


_TOO_LONG = Decimal((0, (1,), MAX_EMAX))
_INTEGER_DIGITS = 4000
"""Longer integers are not read: Python makes none of more than 4,300 digits (sys.set_int_max_str_digits)."""
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[0-9.eE+-]+', re.DOTALL)
"""A text, or a number, of JSON: so that digits in a text are not taken for a number."""


def _without_long_integer(token: re.Match[bytes]) -> bytes:
    text = token[0]
    is_long = len(text) > _INTEGER_DIGITS and text[:1] != b'"' and text.removeprefix(b"-").isdigit()
    return str(_TOO_LONG).encode() if is_long else text


def _decimal(text: str) -> Decimal:
    """Read a number; one beyond even Decimal's exponents becomes the longest there is."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return _TOO_LONG


_encoder = msgspec.json.Encoder(decimal_format="number")
_untyped = msgspec.json.Decoder(float_hook=_decimal)
_parser = msgspec.json.Decoder(float_hook=Digits)


# --- pages -------------------------------------------------------------------------------------------


class JsonDecoder:
    """Decodes the pages of one stream; in any number of threads. ``row`` is the schema of a record."""

    def __init__(self, row: Node, selector: RecordSelector, dates: Dates) -> None:
        self._row = row
        self._selector = selector
        self._dates = dates
        self._around = coerce.compile(around_node(selector), dates, any_case=selector.any_case)
        self.allow(row)

    def allow(self, row: Node) -> None:
        """Take another schema of the same records, which lets other unknown names pass in the typed reading."""
        page = page_node(row, self._selector)
        self._typed = None
        # a name in another case would not be seen
        if not self._selector.any_case and has_plain_names(page):
            self._typed = _typed(page, self._dates)

    def typed(self, body: bytes) -> Selected:
        """Decode a page in one step.

        Raises:
            DoesNotFit: anything at all is not as the schema has it; ``apart`` says what, or mends it.
        """
        if self._typed is None:
            raise DoesNotFit("names that are not looked for in this way")
        value = self._typed(body.removeprefix(_BOM))
        records = dig(value, self._selector.path)
        more = more_of(value, self._selector)
        for name in looked_for_inside(self._row, self._selector) if value is not None else ():
            value[name] = msgspec.UNSET
        return Selected(records if self._selector.many or records is None else [records], more)

    def apart(self, body: bytes, take: Callable[[Any], T]) -> Selected:
        """Parse a page, and give each of its records to ``take``, which makes of it what is in ``records``.

        Raises:
            Malformed: not JSON.
            SchemaMismatch: what is around the records does not fit; with its path in the page.
        """
        document = parse(body)
        found = self._taken(document)
        try:
            around = self._around(document, []) if self._selector.more and isinstance(document, dict) else None
        except SchemaMismatch as error:
            raise error.inside("$") from None
        more = more_of(around, self._selector)
        return Selected(None if found is None else [take(one) for one in found], more)

    def _taken(self, document: Any) -> list[Any] | None:
        """Take the records out of a document."""
        *outer, last = self._selector.path or (None,)
        place, holder = "$", document
        for name in outer:
            holder = _member(holder, str(name), place)
            place = f"{place}.{name}"
        if last is None:
            found = document
        else:
            found = _member(holder, last, place)
            if isinstance(holder, dict):  # blank text stands for null
                holder.pop(_key(holder, last), None)
        if not self._selector.many:
            return None if found is None else [found]
        return self._list(found)

    def _list(self, found: Any) -> list[Any] | None:
        """Return the records, of which one object stands for a list of it, and blank text for null."""
        if found is None or isinstance(found, list):
            return found
        if isinstance(found, dict):
            return [found]
        if isinstance(found, str) and not found.strip():
            return None
        raise SchemaMismatch(prefix(self._selector), "a list")

    def parse_record(self, raw: bytes) -> Any:
        """Parse one record by itself.

        Raises:
            Malformed: not JSON.
        """
        return parse(raw)

    def split(self, body: bytes) -> list[bytes]:
        """Return each record's own bytes, as they stand in the body.

        Raises:
            Malformed: not JSON.
        """
        try:
            place: Any = body.removeprefix(_BOM)
            for name in self._selector.path:
                members = msgspec.json.decode(place, type=dict[str, msgspec.Raw] | None) or {}
                place = members.get(_key(members, name))
                if place is None:
                    return []
            return [bytes(row) for row in _raw_rows(place)] if self._selector.many else [bytes(place)]
        except _MALFORMED as error:
            raise _malformed(error) from None


def _key(members: Mapping[str, Any], name: str) -> str:
    """Return the key of a member; case counts only in doubt."""
    if name in members:
        return name
    return next((key for key in members if key.casefold() == name.casefold()), name)


def _member(holder: Any, name: str, place: str) -> Any:
    if holder is None or (isinstance(holder, str) and not holder.strip()):
        return None
    if not isinstance(holder, dict):
        raise SchemaMismatch(place, "an object")
    return holder.get(_key(holder, name))


def _raw_rows(place: Any) -> Iterable[Any]:
    """The items of a list; one object where a list is declared is one item; else there are none."""
    try:
        return msgspec.json.decode(place, type=list[msgspec.Raw] | None) or ()
    except msgspec.ValidationError:
        return (place,) if bytes(place).lstrip()[:1] == b"{" else ()


# --- the typed reading -------------------------------------------------------------------------------


def _typed(page: Node, dates: Dates) -> Callable[[bytes], Any]:
    decoder = msgspec.json.Decoder(type_of(page), float_hook=_decimal)
    complete = completer(page, dates)
    may_be_odd = has_numbers(page)

    def decode(body: bytes) -> Any:
        if may_be_odd and has_odd_numbers(body):
            raise DoesNotFit("a number in other digits")
        try:
            value = decoder.decode(body)
        except _MALFORMED:
            raise DoesNotFit("another document") from None
        return value if value is None else complete(value)

    return decode


_LEADS = tuple(bytes([byte]) for byte in b"\xd9\xdb\xdf\xe0\xe1\xea\xef\xf0")
"""What digits begin with in UTF-8 that are not ASCII's (Unicode, category Nd)."""
_ODD = re.compile(rb'"[-+ 0-9.eE]*(?:[_\xd9\xdb\xdf\xe0\xe1\xea\xef\xf0]|\\u)[-+ 0-9.a-fA-F_u\\\x80-\xff]*"')


def has_odd_numbers(body: bytes) -> bool:
    """Tell whether a text may be a number in other digits than ASCII's, or with ``_``: msgspec takes these.

    The first look costs next to nothing; linear in any case, as a text is gone over at most three times.
    """
    may_have = b"_" in body or (not body.isascii() and any(lead in body for lead in _LEADS)) or _has_escape(body)
    return may_have and _ODD.search(body) is not None


def _has_escape(body: bytes) -> bool:
    """Tell whether a character is escaped by number; from backslash to backslash, as they are few."""
    at = body.find(b"\\")
    while at >= 0:
        if body.startswith(b"u", at + 1):
            return True
        at = body.find(b"\\", at + 2)
    return False
