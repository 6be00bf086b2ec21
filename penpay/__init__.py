"""PenPay: an actor-based payment runtime between M-Pesa and Deriv."""

__version__ = "0.1.0"
