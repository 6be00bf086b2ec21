"""The deterministic simulation: the production actors on one loop, with everything around them in memory."""
