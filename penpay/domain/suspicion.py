"""Evidence that may be what ends processes: how it is told from rows that only lay there when one ended.

A row that two starts of its shard's ledger found unused is suspect. Before anybody works on a suspect (its saga, or the
inbox that books what is nobody's) the row says so durably, and one at a time in a process: who is in hand when that
process ends has a delivery counted by the next start.
A `kill -9` under load makes hundreds of rows suspect and none of them guilty.
"""

DELIVERIES_MAX = 3
"""How often an actor or its process may break over a row. One that was not taken waits, however often it was told."""
SUSPECT = 2
"""So many starts have found it waiting; no more are counted. In ordinary running nothing comes to this."""
IN_HAND = 3
"""Somebody works on it."""


def found_by_a_start(*, deliveries: int, suspicion: int) -> tuple[int, int]:
    """Deliveries and suspicion of a row that a new incarnation of its shard's ledger finds unused."""
    return deliveries + (suspicion == IN_HAND), min(suspicion + 1, SUSPECT)
