"""The JSON schemas of {{ cookiecutter.title }}: its settings, and one of each stream's records."""
