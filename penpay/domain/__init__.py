"""Pure business rules: no clock, no I/O, no randomness."""
