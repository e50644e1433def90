"""Plugins of vendortap, one of each kind, and a connector that uses them; each module stands by itself."""
