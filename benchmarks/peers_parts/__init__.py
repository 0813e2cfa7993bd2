"""The parts of benchmarks/peers: what is measured, what becomes of it."""
