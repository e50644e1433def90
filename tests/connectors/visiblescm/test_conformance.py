"""VisibleSCM keeps to what every connector has to."""

from vendortap.testing import connector_suite

TestVisibleSCM = connector_suite("visiblescm")
