"""Safaricom Daraja: OAuth, STK push and its query, Reversal, TransactionStatus, Pull, AccountBalance and B2C v3."""
