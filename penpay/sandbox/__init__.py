"""Simulators of both rails as real servers, with fault scripts and a durable ground truth."""
