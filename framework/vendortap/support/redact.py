"""Makes a vendor's text fit for a message: one short line without secrets and mail addresses."""

from __future__ import annotations

import base64
import json
import re
import threading
import traceback
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MESSAGE_LENGTH = 200
"""Longest message of a vendor that is quoted, in characters."""
SECRET_LENGTH = 4
"""Shorter values are not taken for secrets: blanking them out would blank out ordinary words."""
_BLANK = "***"
_WORD = re.compile(r"[A-Za-z0-9+/_=%-]+")  # of Base64, percent-encoded too
_ESCAPE = re.compile(r"%[0-9A-F]{2}")


class Redactor:
    """Makes a vendor's text fit for a message, and knows the secrets that no message may show."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: tuple[str, ...] = ()
        self._packed: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Blank out these values from now on, also percent-encoded, escaped, or as a part of something in Base64."""
        values = [value for value in secrets if len(value) >= SECRET_LENGTH]
        forms = {form for value in values for form in _forms(value) if len(form) >= SECRET_LENGTH}
        packed = {form for value in values for form in _packed(value) if len(form) >= SECRET_LENGTH}
        with self._lock:  # Longest first: a secret may be a part of another one.
            self._known = tuple(sorted(forms.union(self._known), key=len, reverse=True))
            self._packed = tuple(packed.union(self._packed))

    def __call__(self, text: str) -> str:
        """Return ``text`` as it may be shown."""
        text = self.blank(one_line(text))
        text = " ".join(_BLANK if "@" in word or "%40" in word else word for word in text.split())
        if len(text) <= MESSAGE_LENGTH:
            return text
        # Not within a word: it may be a part of a secret that whoever reads this text next would blank out.
        return text[: MESSAGE_LENGTH - 1].rpartition(" ")[0] + "…"

    def blank(self, text: str) -> str:
        """Return ``text`` without the secrets, and without the whole of what has one in Base64."""
        for secret in self._known:
            text = text.replace(secret, _BLANK)
        if self._is_packed_in(text):
            text = _WORD.sub(lambda word: _BLANK if self._is_packed_in(word[0]) else word[0], text)
        return text

    def _is_packed_in(self, text: str) -> bool:
        return any(packed in text for packed in self._packed)


def one_line(text: str) -> str:
    """Return the text without line breaks, control characters and runs of blanks."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it may be echoed, in its own case or another: as it is, in URLs, in JSON, in XML."""
    for value in (secret, secret.lower(), secret.upper()):
        data = value.encode("utf-8", "replace")
        yield value
        yield one_line(value)
        for quoted in (quote(data), quote(data, ""), quote_plus(data)):
            yield quoted
            yield _ESCAPE.sub(lambda escape: escape[0].lower(), quoted)
        yield json.dumps(value)[1:-1]
        yield json.dumps(value, ensure_ascii=False)[1:-1]
        yield value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _packed(secret: str) -> Iterator[str]:
    """Yield what Base64 makes of a secret, whatever stands before and behind it (RFC 4648, 4 and 5).

    Three bytes become four characters, so there are three ways, by how many bytes before it are left over; the
    characters at both ends that have bits of the neighbours are left out.
    """
    data = secret.encode("utf-8", "replace")
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode("ascii")
        core = text[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield core
        yield core.translate(str.maketrans("+/", "-_"))
        yield quote(core, "")


def unexpected(error: BaseException) -> str:
    """Say where an error came about that nobody foresaw; not its text, which may hold data or a secret."""
    lines = [f"unexpected {type(error).__name__}; please report it with these lines, which hold no data:"]
    cause: BaseException | None = error
    while cause is not None:
        lines += [line.rstrip() for line in traceback.format_tb(cause.__traceback__)]
        lines.append(type(cause).__name__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(lines)
