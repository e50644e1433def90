"""The pluggy host: hook specifications, loading of plugins, what they bring, validation of declarations."""
