"""The JSON schemas of the benchmarks' vendor; the peers are given the same ones, as Singer has them."""
