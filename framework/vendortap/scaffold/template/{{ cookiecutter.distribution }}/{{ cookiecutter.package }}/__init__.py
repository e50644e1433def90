"""{{ cookiecutter.title }}: {{ cookiecutter.summary }}, as {{ cookiecutter.formats | join(" or ") }}.  {{ cookiecutter.docs }}"""

{{ cookiecutter.imports }}

{% if cookiecutter.head_comments -%}
{{ cookiecutter.head_comments | join("\n") }}

{% endif -%}
{% if cookiecutter.headers %}
{{ cookiecutter.headers }}

{% endif -%}
{{ cookiecutter.constant }} = {{ cookiecutter.declaration }}


@hookimpl
def register_connector() -> Connector:
    """Bring {{ cookiecutter.title }}."""
    return {{ cookiecutter.constant }}
