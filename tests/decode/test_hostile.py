"""XML that means harm, as a whole and in pieces: no entity is expanded, nothing external asked for, and it ends."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.decode.kit import list_decoder
from vendortap.declare.model import Node, RecordSelector
from vendortap.decode import xml_tree
from vendortap.decode.values import Dates, Malformed

INVOICE = Node("object", fields={"No": Node("string")}, xml_name="Invoice")
FILL = b"<Invoice><No>1</No></Invoice>" * 9

WAYS: dict[str, Callable[[bytes], Any]] = {
    "whole": list_decoder(INVOICE, RecordSelector(), Dates()),
    "pieces": list_decoder(INVOICE, RecordSelector(), Dates(), piece=16),
    "untyped": xml_tree.loads,
}
every_way = pytest.mark.parametrize("way", WAYS)


def laughs(reference: bytes, *, of: bytes) -> bytes:
    """Definitions each of which is ten of the one before: eleven of them come to two hundred billion letters."""
    return b"".join(b"<!ENTITY %sa%d '%s'>" % (of, n, (reference % (n - 1)) * 10 if n else b"ha") for n in range(12))


def typed(text: str, encoding: str) -> bytes:
    """A document with a DTD in an encoding in which no one sees the word for it."""
    dtd = '<!DOCTYPE Invoices [<!ENTITY x "1">]>'
    lines = f'<?xml version="1.0" encoding="{encoding}"?>{dtd}<Invoices>&x;{text}</Invoices>'
    return lines.encode(encoding)


BOMBS = {
    "entities in text": b"<!DOCTYPE a [%s]><a>&a11;%s</a>" % (laughs(b"&a%d;", of=b""), FILL),
    "entities in the last item": b"<!DOCTYPE a [%s]><a>%s<b>&a11;</b></a>" % (laughs(b"&a%d;", of=b""), FILL),
    "entities in an attribute": b"<!DOCTYPE a [%s]><a b='&a11;'>%s</a>" % (laughs(b"&a%d;", of=b""), FILL),
    "parameter entities": b"<!DOCTYPE a [%s %%a11;]><a>%s</a>" % (laughs(b"&#37;a%d;", of=b"% "), FILL),
    "one entity many times": b"<!DOCTYPE a [<!ENTITY b '%s'>]><a>%s</a>" % (b"x" * 100_000, b"&b;" * 10_000),
    "one entity many times in an attribute": b"<!DOCTYPE a [<!ENTITY b '%s'>]><a b='%s'>%s</a>"
    % (b"x" * 100_000, b"&b;" * 1_000, FILL),
    "an entity of itself": b"<!DOCTYPE a [<!ENTITY b '&c;'><!ENTITY c '&b;'>]><a>&b;%s</a>" % FILL,
    "a long DTD": b"<!DOCTYPE a [%s]><a>%s</a>" % (b"<!ENTITY b 'c'>" * 2_000, FILL),
    "UTF-16": typed("", "utf-16"),
    "UTF-16 without a mark": '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16-be"),
    "UTF-32": typed("", "utf-32"),
    "UTF-7": b'<?xml version="1.0" encoding="utf-7"?>' + '<!DOCTYPE a [<!ENTITY x "1">]><a>&x;</a>'.encode("utf-7"),
    "EBCDIC": typed("", "cp037"),
    "an undefined entity": b"<a>%s&b;</a>" % FILL,
}


@pytest.mark.promise("XML with a DTD or an entity is refused in every encoding, and none is expanded")
@every_way
@pytest.mark.parametrize("bomb", BOMBS)
def test_no_entity_is_expanded(bomb: str, way: str) -> None:
    with pytest.raises(Malformed) as caught:
        WAYS[way](BOMBS[bomb])
    assert len(str(caught.value)) < 100


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


EXTERNAL = {
    "a DTD": '<!DOCTYPE a SYSTEM "{url}"><a>{fill}</a>',
    "a public DTD": '<!DOCTYPE a PUBLIC "-//x" "{url}"><a>{fill}</a>',
    "an entity": '<!DOCTYPE a [<!ENTITY b SYSTEM "{url}">]><a>&b;{fill}</a>',
    "a parameter entity": '<!DOCTYPE a [<!ENTITY % b SYSTEM "{url}"> %b;]><a>{fill}</a>',
    "entities in one": "<!DOCTYPE a [<!ENTITY % b \"<!ENTITY &#37; c SYSTEM '{url}'>\"> %b; %c;]><a>{fill}</a>",
    "a notation": '<!DOCTYPE a [<!NOTATION n SYSTEM "{url}"><!ENTITY b SYSTEM "{url}" NDATA n>]><a>{fill}</a>',
    "XInclude": '<a xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="{url}"/>{fill}</a>',
    "XInclude as text": '<a xmlns:i="http://www.w3.org/2001/XInclude"><i:include parse="text" href="{url}"/>{fill}</a>',
    "a stylesheet": '<?xml-stylesheet type="text/xsl" href="{url}"?><a>{fill}</a>',
    "a schema": '<a xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:schemaLocation="u {url}">{fill}</a>',
    "a schema without a namespace": '<a xmlns:x="http://www.w3.org/2001/XMLSchema-instance" '
    'x:noNamespaceSchemaLocation="{url}">{fill}</a>',
    "a base": '<a xml:base="{url}">{fill}</a>',
}


@pytest.mark.promise("Nothing outside an XML document is asked for")
@every_way
@pytest.mark.parametrize("place", EXTERNAL)
def test_nothing_external_is_asked_for(place: str, way: str, listener: socket.socket) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    body = EXTERNAL[place].replace("{url}", url).replace("{fill}", FILL.decode()).encode()
    if "<!DOCTYPE" in EXTERNAL[place]:
        with pytest.raises(Malformed):
            WAYS[way](body)
    else:
        assert WAYS[way](body)
    with pytest.raises(BlockingIOError):
        listener.accept()


MANY = 20_000
LOADS = {
    "attributes": b"<a %s>%s</a>" % (b" ".join(b'b%d="1"' % n for n in range(MANY)), FILL),
    "namespaces": b"<a %s>%s</a>" % (b" ".join(b'xmlns:b%d="%d"' % (n, n) for n in range(MANY)), FILL),
    "prefixed attributes": b"<a %s %s>%s</a>"
    % (
        b" ".join(b'xmlns:b%d="%d"' % (n, n) for n in range(MANY // 10)),
        b" ".join(b'b%d:c="1"' % n for n in range(MANY // 10)),
        FILL,
    ),
    "elements": b"<a>%s%s</a>" % (FILL, b"<b/>" * MANY),
    "comments": b"<a>%s%s</a>" % (FILL, b"<!--b-->" * MANY),
    "instructions": b"<a>%s%s</a>" % (FILL, b"<?b c?>" * MANY),
    "pieces of text": b"<a>%s<Invoice><No>%s</No></Invoice></a>" % (FILL, b"<![CDATA[x]]>" * MANY),
    "characters by number": b"<a>%s<Invoice><No>%s</No></Invoice></a>" % (FILL, b"&#65;" * MANY),
}


@pytest.mark.parametrize("way", ["whole", "pieces"])
@pytest.mark.parametrize("load", LOADS)
def test_much_of_one_thing_is_read_like_little(load: str, way: str) -> None:
    invoices = WAYS[way](LOADS[load])
    assert invoices[:9] == [{"No": "1"}] * 9
    assert [len(invoice["No"]) for invoice in invoices[9:]] in ([], [MANY])


def test_an_attribute_that_stands_twice_is_refused() -> None:
    for way in WAYS.values():
        with pytest.raises(Malformed):
            way(b"<a %s>%s</a>" % (b'b="1" ' * MANY, FILL))
