"""Ingram Micro keeps to what every connector has to."""

from vendortap.testing import connector_suite

TestIngramMicro = connector_suite(
    "ingram-micro", config={"order_numbers": ["40-K000K-11", "30-K000M-11", "40-K000N-12"]}
)
