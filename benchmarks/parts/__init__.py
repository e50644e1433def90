"""The parts of the benchmarks; each measures one thing, and writes one file of results."""
