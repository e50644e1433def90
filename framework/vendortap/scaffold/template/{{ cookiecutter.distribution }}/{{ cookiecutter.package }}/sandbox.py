"""A local server that imitates {{ cookiecutter.title }}; it knows nothing of the connector that is held against it."""

from __future__ import annotations

{{ cookiecutter.sandbox_imports }}

{% if cookiecutter.dated -%}
FIRST = datetime(2025, 1, 1)
"""When the first record changed last."""

{% endif -%}
{% for names in cookiecutter.xml_names -%}
{{ names.name }} = {{ names.source }}
{% endfor -%}
{% if cookiecutter.xml_names -%}
ERROR = XmlNames("error", namespaces=())

{% endif %}
def app(*, invoices: int = 2000, seed: int = 1, latency_ms: float = 0, rate: float = 0) -> Starlette:
    """Return the server; its ``state.totals()`` is the truth that a run is held against."""
{%- if cookiecutter.token_route %}
    tokens = Tokens()

    def token(call: Call) -> Response:
        given = dict(parse_qsl(call.body.decode()))
        if (given.get("client_id"), given.get("client_secret")) != ("sandbox", "sandbox-secret"):
            return refuse(call.request, 401, "The client is not known.")
        return json_answer({"access_token": tokens.issue(), "token_type": "Bearer", "expires_in": tokens.seconds})
{%- endif %}
{%- if cookiecutter.guard_expression %}

    def guard(call: Call) -> Response | None:
        headers = call.request.headers
        known = {{ cookiecutter.guard_expression }}
        return None if known else refuse(call.request, 401, "The credentials are not known.")
{%- endif %}
{%- for handler in cookiecutter.handlers %}

    def answer_{{ handler.name }}(call: Call) -> Response:
{%- if handler.many and handler.paged %}
        size = {{ handler.size }}
        first = {{ handler.first }}
        shown = call.shown(call.moved(range(invoices))[first : first + size])
{%- if handler.count %}
        rows = [{{ "{" }}**{{ handler.name }}_record(seed, index), {{ handler.count }}{{ "}" }} for index in shown]
{%- else %}
        rows = [{{ handler.name }}_record(seed, index) for index in shown]
{%- endif %}
{%- if handler.token %}
        following = str(first + size) if first + size < invoices else None
{%- endif %}
{%- elif handler.many %}
        rows = [{{ handler.name }}_record(seed, index) for index in call.shown(range(invoices))]
{%- else %}
        record = {{ handler.name }}_record(seed, known_index(call.params["{{ handler.key }}"], invoices))
{%- endif %}
        return {{ handler.answer }}
{%- endfor %}

    server = Server(refuse, latency_ms, Bucket(rate))
    routes = [
{%- if cookiecutter.token_route %}
        server.route("/oauth/token", "token", token, methods=["POST"]),
{%- endif %}
{%- for handler in cookiecutter.handlers %}
{{ handler.route }},
{%- endfor %}
    ]
    records = ({{ cookiecutter.total_function }}(seed, index) for index in range(invoices))
    totals = add_up([({{ cookiecutter.total_currency }}, {{ cookiecutter.total_amount }}) for record in records])
    return server.application(routes, totals=lambda: totals)
{%- for record in cookiecutter.records %}


def {{ record.name }}_record(seed: int, index: int) -> Document:
    """Return a made-up record, computed from the seed and its index alone."""
{{ record.source }}
{%- endfor %}

{% if cookiecutter.has_documents %}
def known_index(key: str, invoices: int) -> int:
    """Return the index of the record with this key; one that there is not is answered with 404."""
    digits = key.removeprefix("A")
    if not digits.isdecimal() or int(digits) >= invoices:
        raise HTTPException(404, "There is no such invoice.")
    return int(digits)

{% endif %}
{%- if not cookiecutter.guard_expression %}
def anyone(call: Call) -> Response | None:
    """Let every call pass: the vendor asks for no credentials."""
    del call
    return None

{% endif %}
def refuse(request: Request, status: int, detail: str) -> Response:
    """Return the vendor's error answer."""
{%- if cookiecutter.xml_names %}
    return answer(request, {"message": detail}, ERROR, status)
{%- else %}
    del request
    return json_answer({"message": detail}, status)
{%- endif %}
