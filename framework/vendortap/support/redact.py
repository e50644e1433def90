"""Makes foreign text fit to be shown: without secrets, in one line of characters that are seen, and short.

In this order: whoever cuts first leaves the front of a secret that can no longer be recognised, and whoever strips
first may have put its parts together. ``shown`` and ``shown_name`` are for pieces of a message, ``shown_line``,
``shown_lines`` and ``shown_document`` for what is written as a whole: the log, errors, tables, reports.

A secret is recognised as it is and in any letter case, inside a longer word, and

- percent-encoded, wholly or in part, in either case, with ``+`` or ``%20`` for a blank (RFC 3986, 2.1);
- with the escapes of JSON or of programs (RFC 8259, 7), or the references of XML and HTML (XML 1.0, 4.1); these and
  percent-encoding in any mixture, up to four levels of them (vendortap.support.encodings);
- with characters between its own that are not seen: controls, line breaks, marks of direction, those of no width;
- in hexadecimal digits, of its UTF-8 or Latin-1;
- as a part of what is written in Base64, in either alphabet and at each of the three alignments (RFC 4648, 4 and 5):
  then the whole word of Base64 is blanked out;
- in UTF-8 that was read as Latin-1, as header fields are.

It is not recognised where the vendor shows a part of it only, or has changed it in another way. Values of fewer than
``SECRET_LENGTH`` characters are not taken for secrets.

Secrets are the process's: whatever it writes may hold those of any of its connections. So all of
these functions go by all redactors that are in use.
"""

from __future__ import annotations

import base64
import re
import sys
import threading
import traceback
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from vendortap.support.encodings import Reading, readings, visible

E = TypeVar("E", bound=BaseException)

MESSAGE_LENGTH = 200
"""Longest message of a vendor that is quoted, in characters."""
NAME_LENGTH = 60
"""Longest name of a vendor's that is quoted: of a field or an element, of a charset, a key."""
SECRET_LENGTH = 4
"""Shorter values are not taken for secrets: blanking them out would blank out ordinary words."""
_BLANK = "***"
_WORD = re.compile(r"[A-Za-z0-9+/_=%-]+")  # of Base64
_WINDOW = 1 << 15
"""So much of a text that is going to be cut is searched."""
_ENCODED = 1 << 14
"""A secret is no longer than this, however it is encoded; so much of the window's end is searched and not shown."""


class Redactor:
    """Knows secrets, and makes foreign text fit to be shown."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._values: frozenset[str] = frozenset()
        self._known: frozenset[str] = frozenset()
        self._packed: frozenset[str] = frozenset()
        self._shortest = sys.maxsize
        self._lock = threading.Lock()
        self.learn(secrets)
        with _register:
            _redactors.add(self)

    def learn(self, secrets: Iterable[str]) -> None:
        """Blank these values out from now on."""
        values = _long_enough(secrets)
        # A mixture of escapes is undone as a whole, and what looks like an escape in the secret itself with it.
        read = (reading for value in values for form in _forms(value) for reading in readings(form))
        known = _long_enough(reading.folded().text for reading in read)
        packed = _long_enough(form for value in values for form in _packed(value))
        with self._lock:
            self._values |= {*values}
            self._known |= known
            self._packed |= packed
            self._shortest = min(map(len, self._known | self._packed), default=sys.maxsize)

    def learn_of(self, other: Redactor, *, but: Collection[str] = ()) -> None:
        """Blank out what another one knows by now as well, but for these values."""
        self.learn(other._values.difference(but))

    def __call__(self, text: str) -> str:
        """Return a vendor's sentence as it may be shown: one short line, without mail addresses as well."""
        return _sentence(text, (self,))

    def blank(self, text: str) -> str:
        """Return ``text`` without the secrets, and without the whole of what has one in Base64."""
        return _blanked(text, (self,))

    def spans(self, reading: Reading) -> Iterator[tuple[int, int]]:
        """Yield from where to where secrets are in the original of a reading of it."""
        is_ascii = reading.text.isascii()  # other letters may become more when they are folded
        if not (self._known or self._packed) or (is_ascii and len(reading.text) < self._shortest):
            return
        plain = reading.folded()
        for secret in self._known:
            for at in _places(plain.text, secret):
                yield plain.begins[at], plain.ends[at + len(secret) - 1]
        text = reading.text.replace("-", "+").replace("_", "/")
        for packed in self._packed:
            if packed in text:
                for word in _WORD.finditer(text):
                    if packed in word[0]:
                        yield reading.begins[word.start()], reading.ends[word.end() - 1]


_register = threading.Lock()
_redactors: weakref.WeakSet[Redactor] = weakref.WeakSet()


def shown(text: str) -> str:
    """Return a foreign sentence as it may be shown: redacted, in one line, without mail addresses, cut."""
    return _sentence(text, _all())


def shown_name(text: str) -> str:
    """Return a foreign name or key as it may be shown: as ``shown``, but cut anywhere; it may begin with ``@``."""
    text = _without_mails(one_line(_blanked(text, _all(), short=True)), is_name=True)
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 1]}…"


def shown_lines(text: str) -> str:
    """Return a text that is written as a whole, without secrets and without what is not seen; its lines stay lines."""
    return visible(_blanked(text, _all()))


def shown_line(text: str) -> str:
    """Return a text that is written as a whole as one line, without secrets and without what is not seen."""
    return one_line(_blanked(text, _all()))


def has_secret(text: str) -> bool:
    """Whether a text has a secret in it."""
    return bool(_spans(text, _all()))


def shown_document(value: Any, *, but: Collection[str] = ()) -> Any:
    """Return a document with each text as ``shown_lines`` has it; names stay, and the members that ``but`` names."""
    if isinstance(value, str):
        return shown_lines(value)
    if isinstance(value, Mapping):
        return {key: member if key in but else shown_document(member, but=but) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [shown_document(item, but=but) for item in value]
    return value


def without_secrets(error: E) -> E:
    """Return an error, its message made one line without secrets."""
    error.args = (shown_line(str(error)), *error.args[1:])
    return error


def one_line(text: str) -> str:
    """Return the text without line breaks, characters that are not seen, and runs of blanks."""
    return " ".join(visible(text).split())


# --- how ---------------------------------------------------------------------------------------------


def _all() -> Collection[Redactor]:
    with _register:
        return list(_redactors)


def _sentence(text: str, redactors: Collection[Redactor]) -> str:
    text = _without_mails(one_line(_blanked(text, redactors, short=True)))
    if len(text) <= MESSAGE_LENGTH:
        return text
    # Not within a word: it may be a part of a secret that whoever reads this text next would blank out.
    return text[: MESSAGE_LENGTH - 1].rpartition(" ")[0] + "…"


def _without_mails(text: str, *, is_name: bool = False) -> str:
    """Blank out mail addresses; a name of an attribute, or of OData, begins with ``@``."""
    words = ((word, word[is_name:]) for word in text.split(" "))
    return " ".join(_BLANK if "@" in rest or "%40" in word else word for word, rest in words)


def _blanked(text: str, redactors: Collection[Redactor], *, short: bool = False) -> str:
    """Return a text without secrets; where it is to be ``short``, only the begin of one that is very long."""
    is_cut = short and len(text) > _WINDOW
    spans = _spans(text[:_WINDOW] if is_cut else text, redactors)
    if is_cut:
        text = text[: _WINDOW - _ENCODED]
    parts: list[str] = []
    at = 0
    for begin, end in spans:
        if begin < len(text):
            parts += [text[at:begin], _BLANK]
            at = end
    return "".join([*parts, text[at:]])


def _spans(text: str, redactors: Collection[Redactor]) -> list[tuple[int, int]]:
    """Return from where to where secrets are in a text, in order; those that touch or overlap are one."""
    found = sorted({span for reading in readings(text) for redactor in redactors for span in redactor.spans(reading)})
    merged: list[tuple[int, int]] = []
    for begin, end in found:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _places(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _long_enough(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(text for text in texts if len(text) >= SECRET_LENGTH)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it may be echoed, escapes and case aside."""
    yield secret
    yield secret.lower()  # of "İ", two characters
    yield one_line(secret)
    yield secret.encode("utf-8", "replace").decode("latin-1")
    for data in _bytes(secret):
        yield data.hex()


def _bytes(secret: str) -> Iterator[bytes]:
    yield secret.encode("utf-8", "replace")
    if not secret.isascii():
        yield secret.encode("latin-1", "replace")


def _packed(secret: str) -> Iterator[str]:
    """Yield what Base64 makes of a secret, whatever stands before and behind it.

    Three bytes become four characters, so there are three cases, by how many bytes before it are left over; the
    characters at both ends that have bits of the neighbours are left out.
    """
    for data in _bytes(secret):
        for before in range(3):
            text = base64.b64encode(bytes(before) + data).decode("ascii")
            yield text[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]


def unexpected(error: BaseException) -> str:
    """Say where an error came about that nobody foresaw; not its text, which may hold data or a secret."""
    lines = [f"unexpected {type(error).__name__}; please report it with these lines, which hold no data:"]
    cause: BaseException | None = error
    while cause is not None:
        lines += [place.rstrip() for place in traceback.format_tb(cause.__traceback__)]
        lines.append(type(cause).__name__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(lines)
