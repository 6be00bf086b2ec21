"""Supervision: a generic OTP-style tree, addresses that survive restarts, and our tree as data."""
