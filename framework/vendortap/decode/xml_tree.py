"""XML parsed into a tree, and elements into values for ``coerce``: the schema says what is a list and what is null.

Names are matched without their namespace. Null is an absent element, ``xsi:nil`` (XML Schema 1.1 part 1, 2.7.2), or an
empty element of a type that has no empty value: neither string nor list. DTDs and entities are refused, nothing
external is read. ``xmltodict`` reads small bodies of unknown shape (``loads``) and writes bodies (``dumps``).

Both are imported with the first XML there is: lxml is a tenth of a tap's memory, and most runs read JSON only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from vendortap.declare.model import Node
from vendortap.decode import incremental
from vendortap.decode.coerce import Noted, Unfit
from vendortap.decode.values import Malformed, Place, TooDeep

DEEPEST = 250
"""How many levels can be asked for at the most: at 256 libxml2 gives up."""
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
"""The namespace of ``xsi:nil`` and of other attributes that are no data."""
_NIL = f"{{{INSTANCE}}}nil"
TEXT = "#text"
"""The name under which text beside elements is noticed and kept."""

Shape = Callable[[Any, bool], Any]
"""Element, and whether to look for attributes and text that are not declared → value for ``coerce``."""


def parse(body: bytes, most: int = DEEPEST) -> Any:
    """Parse XML into an lxml element.

    Raises:
        Malformed: not XML; or it has a DTD, which could define entities; or a text of absurd size.
        TooDeep: it is nested more than ``most`` levels deep.
    """
    from lxml import etree

    try:
        root = etree.fromstring(body, etree.XMLParser(**incremental.SAFE))
    except etree.XMLSyntaxError as error:
        line, column = error.position
        if "Excessive depth" in str(error):
            raise TooDeep(f"nested too deeply, at line {line}, column {column}") from None
        what = "too large" if "XML_PARSE_HUGE" in str(error) else "not well-formed"
        raise Malformed(f"{what}, at line {line}, column {column}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Malformed("XML with a DTD is refused")
    if incremental.too_deep(root, most):
        raise TooDeep("nested too deeply")
    return root


def loads(body: bytes) -> Any:
    """Read a small body of unknown shape into dicts, lists and strings.

    Raises:
        Malformed: as ``parse`` does, which has a look first; or an encoding that expat does not know.
    """
    from xml.parsers.expat import ExpatError

    import xmltodict

    parse(body)
    try:
        return xmltodict.parse(body, process_namespaces=False, disable_entities=True)
    except (ExpatError, LookupError, ValueError) as error:
        raise Malformed(f"not readable: {type(error).__name__}") from None


def dumps(document: Mapping[str, Any]) -> bytes:
    """Write a body: one root element; attributes are members whose name starts with ``@``."""
    import xmltodict

    text: str = xmltodict.unparse(dict(document))
    return text.encode()


# --- elements to values ------------------------------------------------------------------------------


def local(tag: str) -> str:
    """Return a name without its namespace."""
    return tag.rpartition("}")[2]


def name_of(node: Node, name: str) -> str:
    """Return the name of the elements that a property is read from."""
    repeated = node.item if node.item is not None and not node.xml_wrapped else None
    return (repeated or node).xml_name or name


@cache
def has_more() -> Callable[[Any], Any]:
    """Return what tells, in C, whether an element has attributes that may be data, or text beside elements inside."""
    from lxml import etree

    data = f"descendant-or-self::*/@*[namespace-uri() != '{INSTANCE}']"
    return etree.XPath(f"boolean({data} | descendant-or-self::*[*]/text()[normalize-space()])")


def shape(node: Node) -> Shape:
    """Return what makes a value of an element, by the schema; it never raises.

    What is not declared is noted beside the value: attributes as ``@name``, text beside elements as ``TEXT``.
    """
    if node.kind == "object":
        return _Object(node)
    if node.item is not None:
        return _wrapped(node.item)
    return _present if node.kind == "any" else _leaf


def _leaf(element: Any, closely: bool) -> Any:
    if len(element):
        return Unfit("a value without elements inside")
    text = element.text or (None if is_nil(element) else "")
    return _noted(text, _attributes(element)) if closely and element.attrib else text


def _content(element: Any) -> Any:
    """Return an element of unknown shape as its text, or as what is inside it by name."""
    if not len(element) and not element.attrib:
        return element.text or ""
    if is_nil(element):
        return None
    content: dict[str, Any] = {f"@{local(name)}": text for name, text in element.attrib.items()}
    if element.text and not element.text.isspace():
        content["#text"] = element.text
    inner: dict[str, list[Any]] = {}
    for child in element:
        inner.setdefault(local(child.tag), []).append(_content(child))
    return content | {name: _one_or_all(values) for name, values in inner.items()}


def _present(element: Any, closely: bool) -> bool:
    """Return what a value of unknown shape comes to: that there is something."""
    del closely
    return len(element) > 0 or bool(element.text)


def is_nil(element: Any) -> bool:
    """Whether an element says that it is null."""
    return element.get(_NIL) in ("true", "1")


def _noted(value: Any, unknown: list[tuple[Place, Any]]) -> Any:
    return Noted(value, unknown) if unknown else value


def _attributes(element: Any, known: Iterable[str] = ()) -> list[tuple[Place, Any]]:
    """Return the attributes that are not known, and may be data."""
    own = ((name, text) for name, text in element.attrib.items() if name not in known)
    return [((f"@{local(name)}",), text) for name, text in own if not name.startswith(f"{{{INSTANCE}}}")]


def _texts(element: Any) -> list[tuple[Place, Any]]:
    """Return the texts that stand beside the elements inside an element."""
    texts = [element.text, *(child.tail for child in element)]
    found = [text.strip() for text in texts if text and not text.isspace()]
    return [((TEXT,), _one_or_all(found))] if found and len(element) else []


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def has_text(element: Any) -> bool:
    """Whether there is more than spaces in front of the elements inside an element."""
    return bool(element.text) and not element.text.isspace()


def _wrapped(item: Node) -> Shape:
    """A list as one element with the items inside. Without a declared item name, every child is an item."""
    read, wanted = shape(item), item.xml_name

    def read_list(element: Any, closely: bool) -> Any:
        if not len(element) and has_text(element):
            return Unfit("a list")
        if not len(element) and is_nil(element):
            return None
        values: list[Any] = []
        others: dict[str, list[Any]] = {}
        for child in element:
            if wanted is None or incremental.is_named(child, wanted):
                values.append(read(child, closely))
            else:
                others.setdefault(local(child.tag), []).append(_content(child))
        unknown: list[tuple[Place, Any]] = [((name,), _one_or_all(found)) for name, found in others.items()]
        if closely:
            unknown += [*_attributes(element), *_texts(element)]
        return _noted(values, unknown)

    return read_list


class _Object:
    """Reads an object's element; ``None`` stands for a member that the request knows, and nothing is read of."""

    def __init__(self, node: Node) -> None:
        self._nullable = node.nullable
        self._elements: dict[str, tuple[str, Shape, bool] | None] = {}
        self._attributes: dict[str, str] = {}
        self._empty: dict[str, list[Any]] = {}
        for name, member in node.fields.items():
            if member.xml_attribute and member.kind != "given":
                self._attributes[member.xml_name or name] = name
            elif member.kind == "given":
                self._elements.setdefault(member.xml_name or name, None)
            else:
                self._add(name, member)

    def _add(self, name: str, member: Node) -> None:
        repeated = member.item if member.item is not None and not member.xml_wrapped else None
        self._elements[name_of(member, name)] = (name, shape(repeated or member), repeated is not None)
        if repeated is not None and not member.nullable:
            self._empty[name] = []  # no element: an empty list

    def __call__(self, element: Any, closely: bool) -> Any:
        """Return the members by their names in the schema; null of an element with nothing in it."""
        if not len(element) and (absent := self._absent(element)) is not True:
            return absent
        value: dict[str, Any] = {name: [] for name in self._empty}
        for attribute, name in self._attributes.items():
            if (text := element.get(attribute)) is not None:
                value[name] = text
        unknown = self._read(element, value, closely)
        if closely:
            unknown += [*_attributes(element, self._attributes), *_texts(element)]
        return _noted(value, unknown)

    def _read(self, element: Any, value: dict[str, Any], closely: bool) -> list[tuple[Place, Any]]:
        """Read the elements inside; returns those that are not declared."""
        elements = self._elements
        others: dict[str, list[Any]] = {}
        for child in element:
            tag = child.tag if child.tag in elements else local(child.tag)
            if tag not in elements:
                others.setdefault(tag, []).append(_content(child))
            elif declared := elements[tag]:
                name, read, is_repeated = declared
                if is_repeated:
                    value.setdefault(name, []).append(read(child, closely))
                else:
                    again = value.get(name) is not None
                    value[name] = Unfit("a single element") if again else read(child, closely)
        return [((name,), _one_or_all(found)) for name, found in others.items()]

    def _absent(self, element: Any) -> Any:
        """Return what an element without elements inside stands for; True for an object with nothing in it."""
        if has_text(element):
            return Unfit("an object")
        is_null = is_nil(element) or (self._nullable and not any(name in element.attrib for name in self._attributes))
        return None if is_null else True
