"""What must never be true of the books, and how a running node sees that it is not.

- What is asked: `sql/invariants.sql`, a query for each rule that answers the rows which break it.
- Of which rows (`questions`): all there are, those behind the last heads of the chains, or some transactions.
- How (`rounds`): `News` what was added since the last look, `Round` everything that is there, in pieces.
- When (`jobs`): the two jobs of a node, how much of the time they may take, and what they tell log and gauges.

`penpay check` asks everything at once (`penpay/proofs.py`); a simulation asks the same rules of its rows in memory
(`penpay/simulation/books/`), and a test holds both against each other.
"""
