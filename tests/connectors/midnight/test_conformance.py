"""Midnight keeps to what every connector has to."""

from vendortap.testing import connector_suite

TestMidnight = connector_suite("midnight")
