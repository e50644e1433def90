"""Takes secrets and personal data out of real replies: what identifies somebody is replaced by something made up.

The same value becomes the same made-up value wherever it stands, in replies, requests and settings, of the same type
and form: a digit becomes a digit, a letter a letter, and what is between them stays. So keys still fit each other, and
amounts stay as they are. What a value was cannot be found out: the key of the hash is thrown away.

Replaced is, in this order: what the schema marks with ``"personal": true``, never what it marks with ``false``; the
document inside a record (``Stream.document``); what is called like personal data, or stands inside something that is;
what the schema does not declare; and mail addresses wherever they are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lxml import etree

from vendortap.decode import json as json_format
from vendortap.support.numbers import MOST_DIGITS, is_short, plain

PERSONAL = re.compile(
    r"name|mail|street|addr|phone|mobile|fax|city|town|zip|postal|contact|attention|attn|customer|recipient|buyer"
    r"|person|client|birth|vat_?id|tax_?id|iban|account_?(no|number)|signature|bill_?to|ship_?to|sold_?to",
    re.IGNORECASE,
)
"""What personal data are called, in properties and in settings."""
_LOCAL = re.compile(r"[\w.+-]")
"""A character of what stands before the ``@`` of a mail address."""
_DOMAIN = re.compile(r"@[\w-]+(?:\.[\w-]+)+")
"""What mail addresses are found by: from their beginnings on, each letter of a long text would be tried as one."""
_TOKEN = re.compile(r"\w+|\W")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
KNOWN_LENGTH = 4
"""A shorter value is replaced where it is personal, and not wherever else it stands: it would be in ordinary words."""
INSIDE_LENGTH = 200
"""A longer one is not looked for inside others: it is a text itself, and to look for it would take ages."""
Leaf = Callable[[tuple[str, ...], Any], Any]
"""The names that lead to a value, and the value → what stands there afterwards."""


@dataclass
class Names:
    """What the schemas say of names, in lower case, JSON's and XML's: declared ones, marked ones, and documents."""

    declared: set[str] = field(default_factory=set)
    marked: dict[str, bool] = field(default_factory=dict)
    documents: set[str] = field(default_factory=set)

    def add(self, schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> None:
        """Take in a schema, and what is inside it."""
        root = root or schema
        for name, member in schema.get("properties", {}).items():
            self._add_member(name, member, root)

    def _add_member(self, name: str, member: Mapping[str, Any], root: Mapping[str, Any]) -> None:
        if "$ref" in member:
            member = {**root["$defs"][member["$ref"].rpartition("/")[2]], **member}
        names = {name.lower(), str(member.get("xml", {}).get("name", name)).lower()}
        self.declared |= names
        if "personal" in member:  # of two places with one name, the one that is personal counts
            self.marked.update({one: member["personal"] or self.marked.get(one, False) for one in names})
        if "items" in member:
            item = member["items"]
            self._add_member(str(item.get("xml", {}).get("name", name)), item, root)
        self.add(member, root)

    def is_personal(self, path: tuple[str, ...]) -> bool:
        """Whether what stands at the end of these names is, or may be, personal."""
        own = path[-1].lower() if path else ""
        if own in self.marked:
            return self.marked[own]
        return own not in self.declared or any(self.marked.get(n.lower(), bool(PERSONAL.search(n))) for n in path)


class MadeUp:
    """Makes values up, and remembers for which others."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._key = secrets.token_bytes(32)
        self.known: dict[str, str] = {}
        self._made: set[str] = set()
        self._words = _Words()

    def learn(self, path: tuple[str, ...], value: Any) -> Any:
        """Note a value if it is personal, so that ``replace`` finds it wherever it stands; returns it as it is."""
        if isinstance(value, str) and value and self._names.is_personal(path):
            self.text(value)
        return value

    def replace(self, path: tuple[str, ...], value: Any) -> Any:
        """Return what is to stand in the place of a value."""
        if path and path[-1].lower() in self._names.documents and value:
            return base64.b64encode(f"A document was here: {self._hash(str(value)).hex()[:16]}".encode()).decode()
        if not self._names.is_personal(path):
            return self.mention(value) if isinstance(value, str) else value
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            return value
        return type(value)(self.text(_written(value)))

    def mention(self, text: str) -> str:
        """Return a text that is kept, without the personal values and mail addresses that are in it."""
        if text in self.known and len(text) >= KNOWN_LENGTH:
            return self.known[text]
        text = "".join(self.known[part] if is_known else part for is_known, part in self._words.cut(text))
        return "".join(self._mail(part) if is_mail else part for is_mail, part in _mails(text))

    def text(self, value: str) -> str:
        """Return the made-up text of the same form for a value; no two values have the same."""
        if value not in self.known:
            made, tried = self._form(value, 0), 0
            while made in self._made and tried < len(string.ascii_letters):
                made, tried = self._form(value, tried + 1), tried + 1
            self.known[value] = made
            self._made.add(made)
            if KNOWN_LENGTH < len(value) <= INSIDE_LENGTH and any(character.isalpha() for character in value):
                self._words.add(value)
        return self.known[value]

    def _form(self, value: str, tried: int) -> str:
        if [is_mail for is_mail, _ in _mails(value)] == [True]:
            return self._mail(value)
        if _DATE.match(value):
            return f"2000-01-01{value[10:]}"
        stream = hashlib.shake_256(self._hash(f"{tried}:{value}")).digest(len(value))
        return "".join(_like(c, number, first=n == 0) for n, (c, number) in enumerate(zip(value, stream, strict=True)))

    def _mail(self, address: str) -> str:
        return f"{self._hash(address).hex()[:10]}@example.com"

    def _hash(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), "sha256")


class _Words:
    """Finds values inside texts, as whole words, the longest first; however many values there are."""

    def __init__(self) -> None:
        self._root: dict[str | None, Any] = {}

    def add(self, value: str) -> None:
        """Have a value found from now on."""
        node = self._root
        for token in _TOKEN.findall(value):
            node = node.setdefault(token, {})
        node[None] = value

    def cut(self, text: str) -> Iterator[tuple[bool, str]]:
        """Cut a text into these values and what is between them; say of each part whether it is one."""
        tokens: list[str] = _TOKEN.findall(text)
        at = 0
        while at < len(tokens):
            found, end, node = None, at + 1, self._root
            for place in range(at, len(tokens)):
                if (inside := node.get(tokens[place])) is None:
                    break
                node = inside
                if None in node:
                    found, end = node[None], place + 1
            yield found is not None, tokens[at] if found is None else found
            at = end


def _mails(text: str) -> Iterator[tuple[bool, str]]:
    """Cut a text into mail addresses and what is between them; say of each part whether it is one."""
    done = 0
    for found in _DOMAIN.finditer(text):
        begin = found.start()
        while begin > done and _LOCAL.match(text, begin - 1):
            begin -= 1
        if begin < found.start():
            if done < begin:
                yield False, text[done:begin]
            yield True, text[begin : found.end()]
            done = found.end()
    if done < len(text):
        yield False, text[done:]


def _written(value: str | int | Decimal) -> str:
    """Return the digits of a number; of one that is too long, other ones: what it was is not to be found out anyway."""
    if not isinstance(value, str) and not is_short(value):
        return "1" * MOST_DIGITS
    return plain(value) if isinstance(value, Decimal) else str(value)


def _like(character: str, number: int, *, first: bool) -> str:
    """Return a character of the same kind; a first digit is never 0, or a number would get shorter."""
    if character.isdigit():
        return str(number % 9 + 1 if first else number % 10)
    letters = string.ascii_uppercase if character.isupper() else string.ascii_lowercase
    return letters[number % len(letters)] if character.isalpha() else character


# --- documents ---------------------------------------------------------------------------------------


def changed(body: bytes, media_type: str, leaf: Leaf) -> bytes:
    """Return a body with every value in it handed through ``leaf``; XML or JSON, numbers digit for digit."""
    if not body.strip():
        return body
    if media_type.endswith("xml"):
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
        _change_element(root, (), leaf)
        return etree.tostring(root, encoding="utf-8")
    return json_format.dumps(_changed_value(json_format.loads(body), (), leaf))


def _changed_value(value: Any, path: tuple[str, ...], leaf: Leaf) -> Any:
    if isinstance(value, dict):
        return {name: _changed_value(member, (*path, name), leaf) for name, member in value.items()}
    if isinstance(value, list):
        return [_changed_value(item, path, leaf) for item in value]
    return leaf(path, value)


def _change_element(element: etree._Element, path: tuple[str, ...], leaf: Leaf) -> None:
    inside = (*path, etree.QName(element).localname)
    for name, value in element.attrib.items():
        if not str(name).startswith("{"):
            element.set(name, leaf((*inside, str(name)), str(value)))
    children = list(_children(element))
    if not children and element.text:
        element.text = leaf(inside, element.text)
    for child in children:
        _change_element(child, inside, leaf)


def _children(element: etree._Element) -> Iterator[etree._Element]:
    for child in list(element):
        if isinstance(child.tag, str):
            yield child
        else:
            element.remove(child)  # comments and processing instructions may say anything
