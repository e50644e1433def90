"""XML to typed values: lxml parses, converters compiled from the schema read the elements.

The schema says what is a list, what is null and what is a number, so that one line and two lines give the same
shape. Names are matched without their namespace. Null is an absent element, ``xsi:nil`` (XML Schema 1.1 part 1,
2.7.2), or an empty element of a type that has no empty value: neither string nor list. DTDs and entities are
refused, nothing external is read. ``xmltodict`` reads small bodies of unknown shape (``loads``) and writes
bodies (``dumps``).

Both are imported with the first XML there is: lxml is a tenth of a tap's memory, and most runs read JSON only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from typing import Any

from vendortap.declare.model import Node
from vendortap.decode import incremental
from vendortap.decode.values import (
    FEWER_DIGITS,
    Dates,
    Decode,
    Malformed,
    Mismatch,
    Place,
    TooDeep,
    TooLong,
    Undeclared,
    boolean,
    day,
    integer,
    number,
)
from vendortap.errors import BodyError
from vendortap.support.numbers import MOST_DIGITS
from vendortap.support.redact import shown_name

DEEPEST = 250
"""How many levels can be asked for at the most: at 256 libxml2 gives up."""
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
"""The namespace of ``xsi:nil`` and of other attributes that are no data."""
_NIL = f"{{{INSTANCE}}}nil"
TEXT = "#text"
"""The name under which text beside elements is noticed and kept."""

Read = Callable[[Any], Any]
"""Element → value; raises Mismatch with the path inside the element."""
ReadText = Callable[[str], Any]
"""Text → value, None for null; raises Mismatch."""


def compile(  # noqa: A001 - like re.compile
    node: Node, dates: Dates, most: int = DEEPEST, *, piece: int = incremental.PIECE_BYTES
) -> Decode:
    """Return the decoder of one schema. An object's root element has to be ``node.xml_name``, if that is set.

    ``most`` is how many levels a document may be nested. One of more than a ``piece`` (in bytes) is read in pieces.

    Raises (the decoder):
        Malformed: not XML, a DTD, another root element, or (TooDeep) nested too deeply.
        Mismatch: XML that does not fit, with the path of the first place.
        Undeclared: an object has an element that its schema does not let pass.
    """
    read_root = root_reader(node, dates)
    listed = incremental.listed(node, lambda item, above: _reader(item, dates, most - above))

    def decode(body: bytes) -> Any:
        if listed and len(body) > piece:
            try:
                root, items = incremental.parse(body, listed, piece, most)
                return listed.put(read_root(root), items)
            except (Malformed, Mismatch):
                pass  # which of them comes first, and where, is told by the document as a whole
        root = parse(body, most)
        try:
            return read_root(root)
        except Mismatch as error:
            raise error.inside("$") from None

    return decode


def root_reader(node: Node, dates: Dates) -> Read:
    """Return what reads a root element, however deep it is nested; raises as the decoder of ``compile``."""
    read = _reader(node, dates)
    name = node.xml_name if node.kind == "object" else None

    def read_root(root: Any) -> Any:
        if name and _local(root.tag) != name:
            raise Malformed(f"the root element is not <{name}>")
        return read(root)

    return read_root


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


# --- a closer look -----------------------------------------------------------------------------------


def split(body: bytes, path: Sequence[str], row: Node, *, many: bool) -> list[bytes]:
    """Return each record's element, written by itself; of a body that is one record, the body as received.

    Raises:
        Malformed: not XML.
    """
    from lxml import etree

    def write(element: Any) -> bytes:
        written: bytes = etree.tostring(element, encoding="utf-8", with_tail=False)
        return written

    if many and len(body) > incremental.PIECE_BYTES:
        with suppress(Malformed):  # told by the document as a whole
            listed = incremental.Listed(tuple(path), tuple(path), row.xml_name, write)
            return incremental.parse(body, listed, incremental.PIECE_BYTES, DEEPEST)[1]
    place = parse(body)
    if not path and not many:
        return [body]
    for name in path if many else (*path[:-1], row.xml_name or path[-1]):
        place = next((child for child in place if _local(child.tag) == name), None)
        if place is None:
            return []
    named = [child for child in place if row.xml_name in (None, _local(child.tag))] if many else [place]
    return [write(element) for element in named]


def beside_records(body: bytes, path: Sequence[str], row: Node) -> list[str]:
    """Return the names of the elements that stand among the records of a list and are none.

    Raises:
        Malformed: not XML.
    """
    holder = incremental.find(parse(body), tuple(path))
    names = [_local(child.tag) for child in holder] if holder is not None else []
    return [name for name in dict.fromkeys(names) if row.xml_name not in (None, name)]


def undeclared(raw: bytes, node: Node, *, any_case: bool = False) -> Iterator[tuple[Place, Any]]:
    """Yield what a record has beside its schema: the text, or what is inside by name; attributes start with ``@``."""
    del any_case  # names have one in XML
    yield from _undeclared(parse(raw), node)


def _undeclared(element: Any, node: Node) -> Iterator[tuple[Place, Any]]:
    known = _names(node)
    for name, value in element.attrib.items():
        if f"@{name}" not in known and not name.startswith(f"{{{INSTANCE}}}"):
            yield (f"@{_local(name)}",), value
    if node.kind in ("object", "array") and len(element) and (texts := _texts_beside(element)):
        yield (TEXT,), texts if len(texts) > 1 else texts[0]
    if node.kind == "object":
        yield from _undeclared_members(element, node, known)
    elif node.item is not None:
        yield from _undeclared_items(element, node.item)


def _texts_beside(element: Any) -> list[str]:
    """Return the texts that stand beside the elements inside an element."""
    texts = [element.text, *(child.tail for child in element)]
    return [text.strip() for text in texts if text and not text.isspace()]


def _undeclared_items(element: Any, item: Node) -> Iterator[tuple[Place, Any]]:
    beside: dict[str, list[Any]] = {}
    index = 0
    for child in element:
        tag = _local(child.tag)
        if item.xml_name in (None, tag):
            yield from (((index, *place), inside) for place, inside in _undeclared(child, item))
            index += 1
        else:
            beside.setdefault(tag, []).append(_content(child))
    for tag, contents in beside.items():
        yield (tag,), contents if len(contents) > 1 else contents[0]


def _undeclared_members(element: Any, node: Node, known: Mapping[str, tuple[str, Node]]) -> Iterator[tuple[Place, Any]]:
    beside: dict[str, list[Any]] = {}
    times: dict[str, int] = {}
    for child in element:
        tag = _local(child.tag)
        if tag not in known:
            if tag not in _given(node):
                beside.setdefault(tag, []).append(_content(child))
            continue
        name, member = known[tag]
        place: Place = (name,)
        if member.item is not None and not member.xml_wrapped:
            place, member = (name, times.get(name, 0)), member.item
            times[name] = times.get(name, 0) + 1
        yield from (((*place, *deeper), inside) for deeper, inside in _undeclared(child, member))
    for tag, contents in beside.items():
        yield (tag,), contents if len(contents) > 1 else contents[0]


def _given(node: Node) -> frozenset[str]:
    """Return the fields that come from the request: what a reply has under their names does not count."""
    return frozenset(name for name, member in node.fields.items() if member.kind == "given")


def _names(node: Node) -> dict[str, tuple[str, Node]]:
    """Return the fields by what they are called in XML."""
    named: dict[str, tuple[str, Node]] = {}
    for name, member in node.fields.items():
        inner = member.item if member.item is not None and not member.xml_wrapped else member
        named[f"{'@' if member.xml_attribute else ''}{inner.xml_name or name}"] = (name, member)
    return named


def _content(element: Any) -> Any:
    """Return an element of unknown shape as its text, or as what is inside it by name."""
    if not len(element) and not element.attrib:
        return element.text or ""
    if _is_nil(element):
        return None
    content: dict[str, Any] = {f"@{_local(name)}": text for name, text in element.attrib.items()}
    if element.text and not element.text.isspace():
        content["#text"] = element.text
    inner: dict[str, list[Any]] = {}
    for child in element:
        inner.setdefault(_local(child.tag), []).append(_content(child))
    return content | {name: values if len(values) > 1 else values[0] for name, values in inner.items()}


# --- decoders ----------------------------------------------------------------------------------------


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _is_nil(element: Any) -> bool:
    return element.get(_NIL) in ("true", "1")


def _reader(node: Node, dates: Dates, levels: int | None = None, *, watched: bool = False) -> Read:
    """Return what reads an element, which may be nested so many ``levels`` deep, itself the first.

    How deep it is where its schema leads is known beforehand: only what is not declared is looked into, which is a
    tenth faster than looking into it all. ``None``: somebody else has seen to it. ``watched``: what is around the
    element sees to it that nothing undeclared stands in it.
    """
    inside = None if levels is None else levels - 1
    watches = node.extra is not None and not watched
    if node.kind == "object":
        read = _object(node, dates, inside, watched=watched or watches)
    elif node.kind == "array":
        read = _wrapped(node, dates, inside, watched=watched or watches)
    elif node.kind == "string":
        read = _string
    elif node.kind == "any":
        read = _present(inside)
    else:
        read = _leaf(_text_reader(node, dates))
    if levels is not None and levels < 1:
        return _refuse_depth
    if watches:
        read = _watching(read, node)
    return read if node.nullable else _never_null(read)


def _watching(read: Read, node: Node) -> Read:
    """Have a reader look for what converters pass over: attributes, and text beside elements."""

    def watched(element: Any) -> Any:
        value = read(element)
        if _has_more()(element) and not all(_passes(node, place) for place, _ in _undeclared(element, node)):
            raise Undeclared("an attribute or text that is not declared")
        return value

    return watched


@cache
def _has_more() -> Callable[[Any], Any]:
    """Return what tells, in C, whether an element has attributes that may be data, or text beside elements inside."""
    from lxml import etree

    data = f"descendant-or-self::*/@*[namespace-uri() != '{INSTANCE}']"
    return etree.XPath(f"boolean({data} | descendant-or-self::*[*]/text()[normalize-space()])")


def _passes(node: Node, place: Place) -> bool:
    """Whether a strict schema lets the name at a place pass."""
    *inside, name = place
    for step in inside:
        node = (node.item or node) if isinstance(step, int) else node.fields[step]
    return name in (node.extra or ())


def _refuse_depth(_: Any) -> None:
    raise TooDeep("nested too deeply")


def _hold_depth(element: Any, levels: int | None) -> None:
    """Refuse what is not declared and nested too deeply."""
    if levels is not None and len(element) and incremental.too_deep(element, levels):
        raise TooDeep("nested too deeply")


def _never_null(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def checked(source: Any) -> Any:
        value = read(source)
        if value is None:
            raise Mismatch("", "a value")
        return value

    return checked


def _present(inside: int | None) -> Read:
    def read(element: Any) -> bool:
        """Return what a value of unknown shape comes to: that there is something."""
        for child in element:
            _hold_depth(child, inside)
        return len(element) > 0 or bool(element.text)

    return read


def _string(element: Any) -> str | None:
    if len(element):
        raise Mismatch("", "a value without elements inside")
    text: str | None = element.text
    return text or (None if _is_nil(element) else "")


def _leaf(read_text: ReadText) -> Read:
    def read(element: Any) -> Any:
        if len(element):
            raise Mismatch("", "a value without elements inside")
        text = element.text
        return read_text(text) if text else None

    return read


_PARSERS: Mapping[str, tuple[str, ReadText]] = {
    "number": ("a number", number),
    "integer": ("an integer", integer),
    "boolean": ("true or false", boolean),
    "date": ("a date", day),
}


def _text_reader(node: Node, dates: Dates) -> ReadText:
    """Return the reader of a leaf's text, whether an element or an attribute holds it."""
    if node.kind == "string":
        return str
    expected, parser = ("a date-time", dates.parse) if node.kind == "date-time" else _PARSERS[node.kind]

    def read(text: str) -> Any:
        try:
            return parser(text) if (text := text.strip()) else None
        except TooLong:
            raise Mismatch("", FEWER_DIGITS) from None
        except ValueError:
            raise Mismatch("", expected) from None

    return read


def _wrapped(node: Node, dates: Dates, inside: int | None, *, watched: bool) -> Read:
    """A list as one element with the items inside. Without a declared item name, every child is an item."""
    assert node.item is not None  # noqa: S101 - the compiler of schemas sees to it
    item, name = _reader(node.item, dates, inside, watched=watched), node.item.xml_name
    texts = node.item.kind == "string"

    def read(element: Any) -> Any:
        if not len(element):
            _hold_no_text(element, "a list")
            return None if _is_nil(element) else []
        values: list[Any] = []
        try:
            for child in element:
                if name is None or child.tag == name or _local(child.tag) == name:
                    values.append((texts and not len(child) and child.text) or item(child))
                else:
                    _leave_item(child, node, inside)
        except Mismatch as error:
            raise error.inside(f"[{len(values)}]") from None
        return values

    return read


def _leave_item(child: Any, node: Node, inside: int | None) -> None:
    """Let an element of another name than the items' pass, where the schema does.

    Raises:
        BodyError: it may be a record, as it has elements inside, and only records may stand in the list.
        Undeclared: the name is not known.
    """
    name = _local(child.tag)
    if node.closed and len(child):
        wanted = node.item.xml_name if node.item else None
        raise BodyError(
            f"the list of records, <{shown_name(_local(child.getparent().tag))}>, has the element "
            f"<{shown_name(name)}>, and records are declared to be <{wanted}>; they may have "
            "been renamed: report it, or mend the stream's schema"
        )
    if node.extra is not None and name not in node.extra:
        raise Undeclared("an element that is not declared")
    _hold_depth(child, inside)


def _hold_no_text(element: Any, expected: str) -> None:
    if element.text and not element.text.isspace():
        raise Mismatch("", expected)


_TEXT, _NUMBER, _INTEGER, _NESTED, _AGAIN = range(5)
"""How an element in an object is read: its text is the value, or its digits; by a reader; as one of several."""
_FORMS = {"string": _TEXT, "number": _NUMBER, "integer": _INTEGER}
_NUMERIC = "0123456789.+-"
_DIGITS = "0123456789"
_LONGEST = 18
"""Longer integers are left to ``integer``, which knows the bounds; so are numbers with an exponent to ``number``."""


class _Members:
    """How the members of an object are read, by the names they have in XML: property, form and reader.

    ``left`` are names that are let pass, though nothing is kept of them; ``None`` stands for all. ``inside`` is how
    many levels deep each may be nested.
    """

    def __init__(self, node: Node, dates: Dates, inside: int | None, *, watched: bool) -> None:
        self.inside = inside
        read = partial(_reader, dates=dates, levels=inside, watched=watched)
        self.elements: dict[str, tuple[str, int, Read]] = {}
        self.attributes: dict[str, tuple[str, ReadText]] = {}
        self.repeated: list[str] = []
        self.left = None if node.extra is None else set(node.extra)
        for name, member in node.fields.items():
            if member.kind == "given":
                if self.left is not None:
                    self.left.add(name)
            elif member.xml_attribute:
                self.attributes[member.xml_name or name] = (name, _text_reader(member, dates))
            elif member.item is not None and not member.xml_wrapped:
                self.repeated.append(name)
                self.elements[member.item.xml_name or name] = (name, _AGAIN, read(member.item))
            else:
                form = _FORMS.get(member.kind, _NESTED)
                self.elements[member.xml_name or name] = (name, form, read(member))

    def absent(self, element: Any, *, nullable: bool) -> bool:
        """Tell whether an element without elements inside stands for null."""
        _hold_no_text(element, "an object")
        return _is_nil(element) or (nullable and not any(name in element.attrib for name in self.attributes))

    def leave(self, element: Any) -> None:
        """Let an element pass that is no member."""
        if self.left is not None and _local(element.tag) not in self.left:
            raise Undeclared("an element that is not declared")
        _hold_depth(element, self.inside)


def _object(node: Node, dates: Dates, inside: int | None, *, watched: bool) -> Read:
    members = _Members(node, dates, inside, watched=watched)
    nulls = dict.fromkeys(node.fields)

    def read(element: Any) -> Any:
        if not len(element) and members.absent(element, nullable=node.nullable):
            return None
        value: dict[str, Any] = nulls.copy()
        for name in members.repeated:  # no times: an empty list; such a list cannot be null
            value[name] = []
        if members.attributes:
            _read_attributes(value, element, members)
        _read_children(value, element, members)
        for name in node.required:
            if value[name] is None:
                raise Mismatch(f".{name}", "a value")
        return value

    return read


def _read_attributes(value: dict[str, Any], element: Any, members: _Members) -> None:
    for attribute, (name, read_text) in members.attributes.items():
        if (text := element.get(attribute)) is not None:
            try:
                value[name] = read_text(text)
            except Mismatch as error:
                raise error.inside(f".{name}") from None


def _read_children(  # noqa: C901 - the hot loop: what it does costs less than a call would
    value: dict[str, Any], element: Any, members: _Members
) -> None:
    """Read the elements inside an object."""
    elements = members.elements
    for child in element:
        tag = child.tag
        if not (member := elements.get(tag) or elements.get(_local(tag))):
            members.leave(child)
            continue
        name, form, read = member
        if form == _AGAIN:
            _read_another(value[name], read, child, name)
        elif value[name] is not None:
            raise Mismatch(f".{name}", "a single element")
        elif form == _TEXT and not len(child) and (text := child.text):
            value[name] = text
        elif (
            form == _NUMBER
            and not len(child)
            and (text := child.text)
            and len(text) <= MOST_DIGITS
            and not text.strip(_NUMERIC)
        ):
            try:
                value[name] = Decimal(text)
            except InvalidOperation:
                raise Mismatch(f".{name}", "a number") from None
        elif (
            form == _INTEGER
            and not len(child)
            and (text := child.text)
            and len(text) <= _LONGEST
            and not text.strip(_DIGITS)
        ):
            value[name] = int(text)
        else:
            value[name] = _read_one(read, child, name)


def _read_one(read: Read, element: Any, name: str) -> Any:
    try:
        return read(element)
    except Mismatch as error:
        raise error.inside(f".{name}") from None


def _read_another(items: list[Any], read: Read, element: Any, name: str) -> None:
    try:
        items.append(read(element))
    except Mismatch as error:
        raise error.inside(f".{name}[{len(items)}]") from None
