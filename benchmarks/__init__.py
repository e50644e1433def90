"""What vendortap costs, measured through its commands: ``python -m benchmarks``."""
