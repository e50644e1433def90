"""The body of a request, written from the document that its declaration has."""

from __future__ import annotations

from dataclasses import replace

from vendortap.declare.model import Request, is_xml
from vendortap.decode import json, xml_tree


def write(request: Request) -> Request:
    """Return the request with its document written as the body, in the media type of ``Content-Type``."""
    if request.document is None:
        return request
    codec = xml_tree if is_xml(request.headers["Content-Type"]) else json
    return replace(request, body=codec.dumps(request.document), document=None)
