r"""A text as it reads once its escapes are undone, and where in the text each of its characters stands.

Undone are percent-encoding (RFC 3986, 2.1, in either case; bytes that are not UTF-8 are read as Latin-1), the escapes
of strings in JSON and programs (RFC 8259, 7; ``\\xNN``), and the references of XML and HTML (XML 1.0, 4.1; all names of
HTML, and as HTML reads them without ``;``): each of the three by itself and all together, up to ``LEVELS`` times over.
Characters that are not seen, such as controls and those of no width, are left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from html.entities import html5
from typing import NamedTuple

LEVELS = 6
"""So many times over escapes are undone: four, and two for what looks like an escape in a secret that was escaped."""

# Characters that show as nothing or as a gap, some of which count as printable. Of Unicode 17: all that have the
# property Default_Ignorable_Code_Point (DerivedCoreProperties.txt);
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# those of which the code charts say that they only join, stack or turn others: the property Indic_Syllabic_Category is
# Invisible_Stacker or Number_Joiner (IndicSyllabicCategory.txt), and the ones of Tifinagh, hieroglyphs and Duployan;
_JOINERS = (
    "\u1039\u17d2\u1a60\u1bab\u2d7f\uaaf6\U00010a3f\U0001107f\U00011133\U000113d0\U0001193e\U00011a47\U00011a99"
    "\U00011d45\U00011d97\U00011f42\U00013440\U0001bc9d"
)
# and those whose glyph is blank by their names: of Braille, hieroglyphs, Khitan and music, and of objects.
_BLANKS = "\u2800\ufffc\U00013441\U00013442\U00016fe4\U0001d159"
_GAP = re.compile(f"[{_IGNORABLE}{_JOINERS}{_BLANKS}]")
_HEX = "[0-9a-fA-F]"
_NEXT = f"%[89abAB]{_HEX}"
_PERCENT = f"%u{_HEX}{{4}}|%[cdCD]{_HEX}{_NEXT}|%[eE]{_HEX}(?:{_NEXT}){{2}}|%[fF][0-7](?:{_NEXT}){{3}}|%{_HEX}{{2}}"
_BACKSLASH = rf"\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|\\u{_HEX}{{4}}|\\x{_HEX}{{2}}|\\[nrtbf/\"'\\]"
_BARE = "|".join(sorted((name for name in html5 if name[-1] != ";"), reverse=True))  # HTML has these without ";" too
_REFERENCE = rf"&\#0*[0-9]{{1,7}};?|&\#[xX]0*{_HEX}{{1,6}};?|&[A-Za-z][A-Za-z0-9]{{1,31}};|&(?:{_BARE})"
_KINDS = tuple(
    re.compile(pattern) for pattern in (_PERCENT, _BACKSLASH, _REFERENCE, f"{_PERCENT}|{_BACKSLASH}|{_REFERENCE}")
)
_UNIT = re.compile(f"u({_HEX}{{4}})")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


class Reading(NamedTuple):
    """A text as it reads, and where in the original each of its characters begins and ends."""

    text: str
    begins: Sequence[int]
    ends: Sequence[int]

    def folded(self) -> Reading:
        """Return the reading in which neither case nor ``+`` for a blank makes a difference."""
        if self.text.isascii():
            return Reading(self.text.lower().replace("+", " "), self.begins, self.ends)
        text = self.text.replace("\u0130", "I").replace("\u0131", "i")  # whose other case depends on the language
        made = _made(zip(map(str.casefold, text), self.begins, self.ends, strict=True))
        return made._replace(text=made.text.replace("+", " "))


def readings(text: str) -> Iterator[Reading]:
    """Yield a text as it is, and as it reads with escapes undone; nothing twice in a row."""
    first = _as_it_is(text)
    yield first
    if not any(mark in first.text for mark in "%&\\"):
        return
    for kind in _KINDS:
        reading = first
        for _ in range(LEVELS):
            if kind.search(reading.text) is None:
                break
            before, reading = reading.text, _undone(reading, kind)
            if reading.text == before:  # what looked like a name is none
                break
            yield reading


def is_seen(text: str) -> bool:
    """Whether all characters of a text are seen as such: no control, no mark of direction, nothing of no width."""
    return text.isprintable() and (text.isascii() or _GAP.search(text) is None)


def visible(text: str) -> str:
    """Return a text with a blank for each character that is not seen; its lines stay lines."""
    if is_seen(text):
        return text
    return "".join(char if char == "\n" or is_seen(char) else " " for char in text)


def _as_it_is(text: str) -> Reading:
    """Return the reading of a text without its characters that are not seen."""
    if is_seen(text):
        return Reading(text, range(len(text)), range(1, len(text) + 1))
    return _made((char, at, at + 1) for at, char in enumerate(text) if is_seen(char))


def _made(parts: Iterable[tuple[str, int, int]]) -> Reading:
    """Return the reading made of texts, each with where what it stands for begins and ends."""
    texts: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    for text, begin, end in parts:
        texts.append(text)
        begins += [begin] * len(text)
        ends += [end] * len(text)
    return Reading("".join(texts), begins, ends)


def _undone(reading: Reading, kind: re.Pattern[str]) -> Reading:
    """Return a reading with one level of a kind of escapes undone."""
    texts: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    at = 0
    for found in kind.finditer(reading.text):
        begin, end = found.span()
        plain = "".join(filter(is_seen, _plain(found[0])))
        texts += [reading.text[at:begin], plain]
        begins += [*reading.begins[at:begin], *[reading.begins[begin]] * len(plain)]
        ends += [*reading.ends[at:begin], *[reading.ends[end - 1]] * len(plain)]
        at = end
    texts.append(reading.text[at:])
    return Reading("".join(texts), [*begins, *reading.begins[at:]], [*ends, *reading.ends[at:]])


def _plain(escape: str) -> str:
    """Return what an escape stands for."""
    if escape[:2] == "&#":
        digits, base = (escape[3:], 16) if escape[2] in "xX" else (escape[2:], 10)
        return html.unescape(f"&#{int(digits.rstrip(';').lstrip('0') or '0', base)};")  # int refuses 5,000 zeros
    if escape[0] == "&":
        return html.unescape(escape)
    if escape[1] in "uU":
        units = b"".join(bytes.fromhex(unit) for unit in _UNIT.findall(escape))
        return units.decode("utf-16-be", "replace")
    if escape[0] == "%":
        data = bytes.fromhex(escape.replace("%", ""))
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("latin-1")
    if escape[1] == "x":
        return chr(int(escape[2:], 16))
    return _LETTERS.get(escape[1], escape[1])
