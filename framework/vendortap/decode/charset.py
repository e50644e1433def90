"""In which encoding a reply is: what is decoded is UTF-8.

XML: a byte order mark, then ``charset`` of Content-Type, then the XML declaration (RFC 7303, 3). JSON: UTF-8 and
nothing else (RFC 8259, 8.1).
"""

from __future__ import annotations

import codecs
import re

from vendortap.errors import BodyError
from vendortap.support.redact import shown_name

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^";\s]+)', re.IGNORECASE)
_DECLARATION = re.compile(rb"\s*<\?xml\s[^>]{0,200}\?>")
_ENCODING = re.compile(rb"""\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf_7", "mbcs"})
"""Python's codecs that are no encodings of a reply."""


def xml_as_utf8(body: bytes, content_type: str) -> bytes:
    """Return an XML body in UTF-8, without a declaration that says otherwise.

    Raises:
        BodyError: the encoding is not known, or the body is not in it.
    """
    marked = next((name for mark, name in _MARKS if body.startswith(mark)), None)
    given = _CHARSET.search(content_type)
    name = marked or (given and given[1])
    if name is None:
        return body  # the parser reads the declaration, or takes it for UTF-8
    if _python_name(name) == "utf-8" and _declared(body) in (b"", b"utf-8", b"utf8"):
        return body
    text = _decoded(body, name)
    return re.sub(r"^\ufeff?\s*<\?xml\s[^>]{0,200}\?>", "", text, count=1).encode()


def _declared(body: bytes) -> bytes:
    """Return the encoding that an XML declaration names, in lower case; nothing where there is none."""
    declaration = _DECLARATION.match(body)
    found = _ENCODING.search(declaration[0]) if declaration else None
    return found[1].lower() if found else b""


def check_json(body: bytes, content_type: str) -> None:
    """Refuse a JSON body that is not UTF-8, once a decoder has stumbled over it.

    Raises:
        BodyError: it is in another encoding.
    """
    given = _CHARSET.search(content_type)
    says = f", as its Content-Type says ({shown_name(given[1])})" if given and _python_name(given[1]) != "utf-8" else ""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BodyError(
            f"the answer is JSON that is not UTF-8{says}, from byte {error.start} on; JSON has to be (RFC 8259, 8.1): "
            "report it to the vendor"
        ) from None
    if b"\0" in body[:4]:
        raise BodyError(f"the answer is JSON in UTF-16 or UTF-32{says}; it has to be UTF-8 (RFC 8259, 8.1)")


def _python_name(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        return ""


def _decoded(body: bytes, name: str) -> str:
    known = _python_name(name)
    if not known or known.replace("-", "_") in _NO_CHARSETS:
        raise BodyError(
            f"the answer is XML in the charset {shown_name(name)!r}, which is not known; report it to the vendor"
        )
    try:
        return body.decode(known)
    except LookupError:  # a codec of bytes, as zlib's
        raise BodyError(f"the answer is XML in the charset {shown_name(name)!r}, which is none") from None
    except (UnicodeDecodeError, ValueError):
        raise BodyError(
            f"the answer is not in the charset that it says, {shown_name(name)!r}; it may have been cut short: run "
            "again, and report it to the vendor if it stays"
        ) from None


# --- halves of surrogate pairs -----------------------------------------------------------------------

_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""Escapes in JSON text, one after the other: a pair of surrogates, half of one (the group), anything else."""


def without_lone_surrogates(body: bytes) -> tuple[bytes, bytes] | None:
    """Return a JSON body with a mark of the same length in the place of each half of a surrogate pair, and the mark.

    Half of a pair is no character (RFC 8259, 8.2). ``None`` where there is none. The mark is an escape that is nowhere
    in the body: that of a noncharacter.
    """
    if b"\\ud" not in body and b"\\uD" not in body:
        return None
    free = (b"\\ufd%02x" % number for number in range(0xD0, 0xF0))
    mark = next((mark for mark in free if mark not in body.lower()), None)
    if mark is None:
        return None
    mended, times = _ESCAPES.subn(lambda found: mark if found[1] else found[0], body)
    return (mended, mark) if times and mark in mended else None
