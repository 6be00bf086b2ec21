"""Deriv: the v3 WebSocket with its strict schemas, the payment agent's money, and the OAuth page."""
