"""The JSON schemas of Acme: its settings, and one of each stream's records."""
