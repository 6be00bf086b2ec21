"""Benchmarks behind `penpay bench`."""
