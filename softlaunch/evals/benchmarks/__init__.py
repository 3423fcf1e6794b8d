"""Published benchmarks with their published protocols: MT-Bench and AlpacaEval."""
