"""The XML decoder: what is a list, null, text or an attribute; and what is refused without being looked at."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.decode.kit import list_decoder, page_decoder, xml_decoder
from vendortap.declare.model import Node, RecordSelector, Value
from vendortap.decode import incremental, xml_tree
from vendortap.decode.values import FEWER_DIGITS, Dates, Malformed, SchemaMismatch
from vendortap.decode.xml import XmlDecoder
from vendortap.errors import BodyError

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
LINE = Node("object", False, fields={"Price": Node("number"), "Text": Node("string")}, xml_name="Line")
INVOICE = Node(
    "object",
    False,
    xml_name="Invoice",
    fields={
        "Number": Node("string", False, xml_name="No"),
        "Version": Node("integer", xml_attribute=True, xml_name="version"),
        "Total": Node("number"),
        "Count": Node("integer"),
        "Paid": Node("boolean"),
        "At": Node("date-time"),
        "Day": Node("date"),
        "Text": Node("string"),
        "Lines": Node("array", xml_wrapped=True, item=LINE),
        "Tags": Node("array", item=Node("string", False, xml_name="Tag")),
        "To": Node("object", fields={"City": Node("string"), "Kind": Node("string", xml_attribute=True)}),
    },
    required=frozenset({"Number"}),
)
NULLS: dict[str, Any] = dict.fromkeys(INVOICE.fields)


def decode(body: str | bytes, node: Node = INVOICE) -> Any:
    return xml_decoder(node, Dates())(body.encode() if isinstance(body, str) else body)


def invoice(members: str, attributes: str = XSI) -> Any:
    """Decode an invoice with these members; return what is not null in it."""
    read = decode(f"<Invoice {attributes}><No>1</No>{members}</Invoice>")
    assert list(read) == list(INVOICE.fields)
    return {name: value for name, value in read.items() if name != "Number" and value != NULLS[name]}


def mismatch(members: str, node: Node = INVOICE) -> tuple[str, str]:
    with pytest.raises(SchemaMismatch) as caught:
        decode(f"<Invoice {XSI}>{members}</Invoice>", node)
    return caught.value.path, caught.value.expected


def test_a_whole_document() -> None:
    body = """<?xml version="1.0" encoding="utf-8"?>
        <Invoice version="3">
          <No>1</No> <Total> 10.00 </Total> <Count>2</Count> <Paid>true</Paid>
          <At>2025-01-18T00:00:00Z</At> <Day>2025-01-18</Day> <Text> a  b </Text>
          <Lines>
            <Line><Price>1.10</Price><Text>a</Text></Line>
            <Line><Text/></Line>
          </Lines>
          <Tag>x</Tag> <Tag>y</Tag>
          <To Kind="home"><City>Ulm</City></To>
        </Invoice>"""
    assert decode(body) == {
        "Number": "1",
        "Version": 3,
        "Total": Decimal("10.00"),
        "Count": 2,
        "Paid": True,
        "At": datetime(2025, 1, 18, tzinfo=UTC),
        "Day": date(2025, 1, 18),
        "Text": " a  b ",
        "Lines": [{"Price": Decimal("1.10"), "Text": "a"}, {"Price": None, "Text": ""}],
        "Tags": ["x", "y"],
        "To": {"City": "Ulm", "Kind": "home"},
    }


@pytest.mark.promise("Both decoders keep every digit of a number")
@pytest.mark.parametrize("text", ["1234567890123456.78", "-0.00", "10.00", "1" * 30, "1.5E3", ".5", "5.", "+5"])
def test_numbers_keep_every_digit(text: str) -> None:
    assert invoice(f"<Total>{text}</Total>")["Total"].as_tuple() == Decimal(text).as_tuple()


@pytest.mark.parametrize("text", ["NaN", "INF", "-INF", "Infinity", "1_0", "1,5", "\u0661", "abc"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    assert mismatch(f"<No>1</No><Total>{text}</Total>") == ("$.Total", "a number")


def test_an_exponent_beyond_reason_costs_nothing() -> None:
    assert invoice("<Total>1e99</Total>")["Total"].adjusted() == 99
    for text in ("1e100", "1e999999999", "1e-100", "0e-999999999", "9" * 101, "9" * 5000, "1." + "0" * 100):
        assert mismatch(f"<No>1</No><Total>{text}</Total>") == ("$.Total", FEWER_DIGITS)
    for text in ("1e100", "1e999999999", "9" * 101, "9" * 5000):
        assert mismatch(f"<No>1</No><Count>{text}</Count>") == ("$.Count", FEWER_DIGITS)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), (" false ", False), ("0", False)])
def test_booleans(text: str, value: bool) -> None:
    assert invoice(f"<Paid>{text}</Paid>") == {"Paid": value}


# --- null --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Total", "Count", "Paid", "At", "Day", "To"])
@pytest.mark.parametrize("form", ["<{0}/>", "<{0}></{0}>", "<{0}> \n </{0}>", '<{0} xsi:nil="true"/>'])
def test_an_empty_element_is_null_where_the_type_is_not_string(name: str, form: str) -> None:
    assert invoice(form.format(name)) == {}


def test_an_empty_element_of_type_string_is_the_empty_string() -> None:
    assert invoice("<Text/>") == {"Text": ""}
    assert invoice("<Text></Text>") == {"Text": ""}
    assert invoice('<Text xsi:nil="false"/>') == {"Text": ""}


@pytest.mark.parametrize("nil", ["true", "1"])
@pytest.mark.parametrize("name", ["Text", "Total", "Lines", "To"])
def test_nil_is_null(name: str, nil: str) -> None:
    assert invoice(f'<{name} xsi:nil="{nil}"/>') == {}
    assert invoice(f'<{name} n:nil="{nil}"></{name}>', XSI.replace("xsi", "n")) == {}


def test_the_year_one_is_null() -> None:
    assert invoice("<At>0001-01-01T00:00:00</At><Day>0001-01-01</Day>") == {}


def test_an_empty_element_with_a_declared_attribute_is_an_object() -> None:
    assert invoice('<To Kind="home"/>') == {"To": {"City": None, "Kind": "home"}}


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ("", "$.Number"),
        (f"<No {XSI} xsi:nil='true'/>", "$.Number"),
        ("<No>1</No><Tag/><Tag xsi:nil='true'/>", "$.Tags[1]"),
        ("<No>1</No><Lines><Line/><Line xsi:nil='true'/></Lines>", "$.Lines[1]"),
    ],
)
def test_null_where_a_value_is_required_is_refused(members: str, path: str) -> None:
    assert mismatch(members) == (path, "a value")


def test_a_required_number_is_not_empty() -> None:
    node = Node("object", False, fields={"Total": Node("number", False)}, required=frozenset({"Total"}))
    assert mismatch("<Total/>", node) == ("$.Total", "a value")
    assert mismatch("", node) == ("$.Total", "a value")


def test_a_required_attribute_is_present_and_not_blank() -> None:
    number = Node("integer", False, xml_attribute=True)
    node = Node("object", False, fields={"n": number}, required=frozenset({"n"}))
    assert decode('<x n="7"/>', node) == {"n": 7}
    for body in ("<x/>", '<x n=" "/>'):
        with pytest.raises(SchemaMismatch) as caught:
            decode(body, node)
        assert (caught.value.path, caught.value.expected) == ("$.n", "a value")


# --- lists -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_wrapped_and_unwrapped_lists_of_any_length(count: int) -> None:
    lines = "".join(f"<Line><Price>{n}</Price></Line>" for n in range(count))
    tags = "".join(f"<Tag>{n}</Tag>" for n in range(count))
    read = decode(f"<Invoice><No>1</No><Lines>{lines}</Lines>{tags}</Invoice>")
    assert read["Lines"] == [{"Price": n, "Text": None} for n in range(count)]
    assert read["Tags"] == ([str(n) for n in range(count)] or None)


def test_a_list_of_which_there_is_nothing_is_null_where_it_may_be_and_else_empty_if_it_has_no_wrapper() -> None:
    assert decode("<Invoice><No>1</No></Invoice>") == {**NULLS, "Number": "1"}
    tags = replace(INVOICE.fields["Tags"], nullable=False)
    node = replace(INVOICE, fields={**INVOICE.fields, "Tags": tags}, required=frozenset({"Number", "Tags"}))
    assert decode("<Invoice><No>1</No></Invoice>", node) == {**NULLS, "Number": "1", "Tags": []}
    wrapped = replace(node, fields={**node.fields, "Tags": replace(tags, xml_wrapped=True)})
    assert mismatch("<No>1</No>", wrapped) == ("$.Tags", "a value")


def test_the_items_of_an_unwrapped_list_may_stand_anywhere() -> None:
    assert invoice("<Tag>a</Tag><Text>t</Text><Tag>b</Tag>") == {"Tags": ["a", "b"], "Text": "t"}


def test_without_a_declared_item_name_every_child_is_an_item() -> None:
    node = Node("array", item=Node("string", False), xml_wrapped=True)
    assert decode("<list><a>1</a><b>2</b></list>", node) == ["1", "2"]


def test_lists_of_lists() -> None:
    node = Node("object", False, fields={"Row": Node("array", item=Node("array", item=Node("integer")))})
    assert decode("<x><Row><c>1</c><c>2</c></Row><Row/></x>", node) == {"Row": [[1, 2], []]}


# --- names and text ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        '<Invoice xmlns="urn:v"><No>1</No><Lines><Line><Price>2</Price></Line></Lines><Tag>t</Tag></Invoice>',
        '<v:Invoice xmlns:v="urn:v"><v:No>1</v:No><v:Lines><v:Line><v:Price>2</v:Price></v:Line></v:Lines>'
        "<v:Tag>t</v:Tag></v:Invoice>",
        '<Invoice xmlns:a="urn:a"><No>1</No><a:Lines><Line><a:Price>2</a:Price></Line></a:Lines>'
        "<a:Tag>t</a:Tag></Invoice>",
    ],
    ids=["default", "prefixed", "mixed"],
)
def test_names_are_matched_without_their_namespace(body: str) -> None:
    assert decode(body) == {**NULLS, "Number": "1", "Lines": [{"Price": 2, "Text": None}], "Tags": ["t"]}


def test_attributes_of_a_namespace_are_others() -> None:
    assert invoice('<To xsi:Kind="type"><City>Ulm</City></To>') == {"To": {"City": "Ulm", "Kind": None}}


def test_unknown_elements_and_attributes_are_ignored() -> None:
    members = '<New a="1"><No>2</No></New><Lines n="1"><Page/><Line><New/><Price>1</Price></Line></Lines>'
    assert invoice(members, 'new="1"') == {"Lines": [{"Price": 1, "Text": None}]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1<!-- x -->2", "12"),
        ("1<?x y?>2", "12"),
        ("<!-- x -->12", "12"),
        ("<![CDATA[<1>]]>2<![CDATA[&]]>", "<1>2&"),
        ("&lt;&#65;&#x20AC;&amp;&quot;", '<A\u20ac&"'),
        ("a\r\nb", "a\nb"),
        ("a&#13;b", "a\rb"),
        ("\U0001f4b6", "\U0001f4b6"),
    ],
)
def test_text_is_read_whole(text: str, value: str) -> None:
    assert invoice(f"<Text>{text}</Text>") == {"Text": value}


def test_comments_between_elements_are_no_elements() -> None:
    assert invoice("<Lines><!-- a --><Line><!-- b --></Line></Lines><Text><!-- c --></Text>") == {
        "Lines": [{"Price": None, "Text": None}],
        "Text": "",
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_the_declared_encoding_is_read(encoding: str) -> None:
    name = {"utf-8-sig": "utf-8"}.get(encoding, encoding)
    body = f'<?xml version="1.0" encoding="{name}"?><Invoice><No>M\u00fcller</No></Invoice>'
    assert decode(body.encode(encoding))["Number"] == "M\u00fcller"


def test_a_byte_order_mark_needs_no_declaration() -> None:
    assert decode("<Invoice><No>\u00fc</No></Invoice>".encode("utf-8-sig"))["Number"] == "\u00fc"
    assert decode("<Invoice><No>\u00fc</No></Invoice>".encode("utf-16"))["Number"] == "\u00fc"


# --- what does not fit -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "path", "expected"),
    [
        ("<Total>x</Total>", "$.Total", "a number"),
        ("<Count>1.5</Count>", "$.Count", "an integer"),
        ("<Paid>yes</Paid>", "$.Paid", "true or false"),
        ("<At>18.01.2025</At>", "$.At", "a date-time"),
        ("<Day>2025-02-30</Day>", "$.Day", "a date"),
        ("<Text><b>x</b></Text>", "$.Text", "a value without elements inside"),
        ("<Total><b>1</b></Total>", "$.Total", "a value without elements inside"),
        ("<Total>1</Total><Total>2</Total>", "$.Total", "a single element"),
        ("<To>Ulm</To>", "$.To", "an object"),
        ("<Lines>none</Lines>", "$.Lines", "a list"),
        ("<Lines><Line/><Line><Price>x</Price></Line></Lines>", "$.Lines[1].Price", "a number"),
        ("<Lines><Page/><Line><Price>x</Price></Line></Lines>", "$.Lines[0].Price", "a number"),
        ("<Tag>a</Tag><Tag><b/></Tag>", "$.Tags[1]", "a value without elements inside"),
    ],
)
def test_what_does_not_fit_is_named_by_path(members: str, path: str, expected: str) -> None:
    assert mismatch(f"<No>1</No>{members}") == (path, expected)


def test_an_attribute_that_does_not_fit_is_named_by_path() -> None:
    with pytest.raises(SchemaMismatch) as caught:
        decode('<Invoice version="x"><No>1</No></Invoice>')
    assert (caught.value.path, caught.value.expected) == ("$.Version", "an integer")


def test_another_root_element_is_refused_by_name() -> None:
    with pytest.raises(Malformed, match=r"^the root element is not <Invoice>$"):
        decode("<Error><No>1</No></Error>")


DEEP = 100_000
BOMB = b"".join(
    [
        b"<!DOCTYPE Invoice [<!ENTITY a0 'ha'>",
        *(b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12)),
        b"]><Invoice><No>&a11;</No></Invoice>",
    ]
)
HOSTILE = {
    "empty": b"",
    "blank": b" \n",
    "truncated": b"<Invoice><No>1</No><Lines><Line>",
    "truncated in a tag": b"<Invoice><No>1</No",
    "two roots": b"<Invoice><No>1</No></Invoice><Invoice/>",
    "not UTF-8": b"<Invoice><No>\xff</No></Invoice>",
    "unknown encoding": b'<?xml version="1.0" encoding="x-none"?><Invoice><No>1</No></Invoice>',
    "JSON": b'{"No": "1"}',
    "HTML": b"<html><body>Please log in<br></body></html>",
    "undeclared prefix in a name": b"<a:Invoice><No>1</No></a:Invoice>",
    "undefined entity": b"<Invoice><No>&nbsp;</No></Invoice>",
    "forbidden character": b"<Invoice><No>&#0;</No></Invoice>",
    "document type": b"<!DOCTYPE Invoice><Invoice><No>1</No></Invoice>",
    "HTML document type": b"<!DOCTYPE html><html/>",
    "internal entity": b'<!DOCTYPE Invoice [<!ENTITY x "1">]><Invoice><No>&x;</No></Invoice>',
    "external entity": b'<!DOCTYPE Invoice [<!ENTITY x SYSTEM "file:///etc/hostname">]><Invoice><No>&x;</No></Invoice>',
    "parameter entity": b'<!DOCTYPE Invoice [<!ENTITY % x SYSTEM "file:///etc/hostname"> %x;]><Invoice/>',
    "default attribute": b'<!DOCTYPE Invoice [<!ATTLIST Invoice version CDATA "9">]><Invoice><No>1</No></Invoice>',
    "billion laughs": BOMB,
    "deep": b"<Invoice>" + b"<To>" * DEEP + b"</To>" * DEEP + b"</Invoice>",
    "deep and truncated": b"<a>" * DEEP,
    "huge text": b"<Invoice><No>" + b"1" * 11_000_000 + b"</No></Invoice>",
}


@pytest.mark.promise("A body that cannot be read is refused without being quoted")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_plain_xml_is_malformed_and_never_quoted(name: str) -> None:
    for read in (decode, xml_tree.loads):
        with pytest.raises(Malformed) as caught:
            read(HOSTILE[name])
        assert len(str(caught.value)) < 100


def test_why_it_is_refused_is_said() -> None:
    for name, why in {
        "truncated": "^not well-formed, at line 1, column ",
        "document type": "^XML with a DTD is refused$",
        "external entity": "^XML with a DTD is refused$",
        "deep": "^nested too deeply, at line 1",
        "huge text": "^too large, at line 1",
    }.items():
        with pytest.raises(Malformed, match=why):
            decode(HOSTILE[name])


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


def test_nothing_external_is_asked_for(listener: socket.socket) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    for head in (
        f'<!DOCTYPE Invoice SYSTEM "{url}">',
        f'<!DOCTYPE Invoice PUBLIC "-//x" "{url}">',
        f'<!DOCTYPE Invoice [<!ENTITY x SYSTEM "{url}">]>',
        f'<!DOCTYPE Invoice [<!ENTITY % x SYSTEM "{url}"> %x;]>',
    ):
        entity = "&x;" if "ENTITY x" in head else ""
        with pytest.raises(Malformed):
            decode(f"{head}<Invoice><No>1{entity}</No></Invoice>")
    include = f'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="{url}"/>'
    read = f'<Invoice {XSI} xsi:schemaLocation="urn:x {url}"><No>1</No>{include}</Invoice>'
    assert decode(f'<?xml-stylesheet href="{url}"?>{read}')["Number"] == "1"
    with pytest.raises(BlockingIOError):
        listener.accept()


# --- small bodies of unknown shape -------------------------------------------------------------------


def test_a_body_of_unknown_shape_becomes_dicts_lists_and_text() -> None:
    body = b'<Error code="7"><Message>no</Message><Message>way</Message><Detail/></Error>'
    assert xml_tree.loads(body) == {"Error": {"@code": "7", "Message": ["no", "way"], "Detail": None}}


def test_an_encoding_that_only_one_parser_knows_is_refused() -> None:
    body = '<?xml version="1.0" encoding="shift_jis"?><Error>\u65e5\u672c</Error>'.encode("shift_jis")
    with pytest.raises(Malformed, match=r"^not readable: "):
        xml_tree.loads(body)


def test_a_body_that_is_written_is_read_again() -> None:
    document = {"Request": {"@version": "1", "No": "<1> & \u20ac", "Line": ["a", "b"]}}
    body = xml_tree.dumps(document)
    assert body.startswith(b'<?xml version="1.0" encoding="utf-8"?>')
    assert xml_tree.loads(body) == document


# --- large documents ---------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("item", ["Line", None])
def test_a_list_is_read_while_the_rest_is_parsed(piece: int, item: str | None) -> None:
    """Whatever stands around the list: white space, other elements in it and beside it, text, its own null."""
    selector = RecordSelector(("List", "Rows"), more={"Next": Value(("Next",), "integer")})
    others = "<Other>9</Other>" if item else ""
    lines = "".join(f"\n <Line><Price>{n}.10</Price><!-- {n} --><Text>\u00fc</Text></Line>" for n in range(50))
    body = f"""<?xml version="1.0" encoding="utf-8"?><?pi x?>
        <p:Page xmlns:p="urn:p" {XSI}><List><Rows xsi:nil="true">text{others}{lines}{others}
        </Rows></List><Next>2</Next></p:Page>"""
    expected = [{"Price": Decimal(f"{n}.10"), "Text": "\u00fc"} for n in range(50)]
    found = page_decoder(replace(LINE, xml_name=item), selector, Dates(), piece=piece)(body.encode())
    assert (found.records, found.more, list(found.siblings)) == (expected, {"Next": 2}, ["Other"] if item else [])


@pytest.mark.parametrize("count", [3, 2000])
@pytest.mark.parametrize("item", ["Line", None])
def test_each_record_can_be_had_by_itself_from_small_and_large_documents(count: int, item: str | None) -> None:
    row = replace(LINE, xml_name=item)
    selector = RecordSelector(("Rows",))
    others = "<Other/>" if item else ""
    lines = "\n".join(f"<p:Line><Price>{n}</Price><p:Text>\u00fc</p:Text></p:Line>" for n in range(count))
    body = f'<p:Page xmlns:p="urn:p"><Rows>text{others}{lines}{others}</Rows></p:Page>'.encode()
    assert (len(body) > incremental.PIECE_BYTES) == (count > 1000)
    records = [decode(raw, LINE) for raw in XmlDecoder(row, selector, Dates()).split(body)]
    assert records == list_decoder(row, selector, Dates())(body)
    assert records == [{"Price": n, "Text": "\u00fc"} for n in range(count)]


@pytest.mark.parametrize(
    "body",
    [
        "<x><R>A1B</R><R>A2B</R></x>",
        "<x><R>A1B</R><R/></x>",
        f'<x {XSI}><R xsi:nil="true">A1B</R><R>A2B</R></x>',
        "<x><R>A1BAbB</R></x>",
        "<x><R>A1B</R><n>b</n></x>",
        "<x><R>A1B</R><n>1</n><n>1</n></x>",
        "<x><R>AbB</R><n>1</n>",
        "<x><R>A1B</R></x></x>",
        "<x><R>A1B<other><n>1</n></other></R></x>",
        "<x><R>A1B</R>" + " " * 99 + "<n>&e;</n></x>",
        '<!DOCTYPE x [<!ENTITY e "1">]><x><R>A1B</R><n>&e;</n></x>',
        "no XML at all, though longer than a piece",
    ],
)
def test_what_is_wrong_with_a_document_in_pieces_is_told_as_of_the_whole(body: str) -> None:
    row = Node("object", False, fields={"n": Node("integer", False)}, required=frozenset({"n"}), xml_name="a")
    content = body.replace("A", "<a><n>").replace("B", "</n></a>").encode()
    told = set()
    for piece in (1, 7, 64, 1 << 20):
        decode_page = page_decoder(
            row, RecordSelector(("R",), more={"n": Value(("n",), "integer")}), Dates(), piece=piece
        )
        with pytest.raises((Malformed, SchemaMismatch, BodyError)) as caught:
            decode_page(content)
        told.add(str(caught.value))
    assert len(told) == 1


def test_a_large_document_is_never_there_as_a_tree() -> None:
    """A tree takes eight times the room of its text; the items that are kept here next to none."""
    pytest.importorskip("resource")
    program = """
import resource, sys
from vendortap.declare import Node
from vendortap.declare.model import RecordSelector
from vendortap.decode import xml_tree
from vendortap.decode.values import Dates
from tests.decode.kit import list_decoder
xml_tree.parse(b"<x/>")
row = Node("object", fields={"n": Node("boolean")}, xml_name="row")
decode = list_decoder(row, RecordSelector(), Dates())
body = b"<rows>" + b"<row><n>true</n><a/><b/><c/><d/><e/></row>" * 20_000 + b"</rows>"
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = peak()
assert len(decode(body)) == 20_000
print((peak() - before) / len(body))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) < 12
