"""`penpay demo`: real deposits, good and bad, through the public API of a real node, and the proof at the end."""
