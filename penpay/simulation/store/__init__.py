"""The database of the deterministic simulation: one server in memory, shared by the simulated processes.

```
server = MemoryServer(shards=1, clock=server_clock)                      # penpay.simulation.store.server
server.data_keys[user_id] = wrapped_key                                  # what opens a payee's sealed fields
stores = stores_of(                                                      # penpay.simulation.store.stores
    server, node="a", boot_id=ids.ulid(), clock=clock, ids=ids, weather=weather, lease_s=15.0
)
stores.ledger, .sagas, .users, .inbox, .attempts, .outbox, .leases, .rail_reads, .heads, .overview
```

The names of the stores are those of `penpay.app.outside.Stores`; `heads` serves the anchors, `overview.is_recorded` the
opening balances, `overview.ping` the probe. `leases` has `claim_node` and `drop_claim` as well.

**Trouble and latency** enter only through `Weather.at(point)`, one weather per process, asked at the points of
`penpay.simulation.store.weather.POINTS`. Sleeping there is latency; raising is a fault:
`Unavailable`, `Deadlock`, `LockTimeout`, `ConnectionLost(commit_sent=…)`, `StoreError`. A lost answer of a COMMIT
that took effect is `ConnectionLost(commit_sent=True)` at a point `….done`; one that took none is the same error at the
point before it. The stores then do what the production adapters do: single statements and transactions are tried five
times and end as `Unavailable`; the ledger's transactions let everything through, because the ledger itself decides.

**What befalls the server** is a call: `stop`, `start`, `restart` (connections and claims are gone, committed rows
stay), `kill_process(boot_id, notice_s=…)` **before** the tasks of that process are cancelled. A process that is paused
inside a transaction holds its locks; whoever waits for one gets it once the owner was silent for `IDLE_S`.

**Locks** are rows: a shard's or rail's fence, a lease, an operation. They are granted in the order of asking and end
with the session; a wait ends after `LOCK_WAIT_S` of the loop's time with `LockTimeout`, or at once with `Deadlock`.

Nothing here reads a wall clock, draws a random number or starts a thread or task. Time is `server.clock` (leases, idle
transactions), the process's `clock` (attempts, its own lease deadlines) and the loop's timers (waits). Rows are
immutable and mappings are made fresh for every reader: nothing that is handed out is what is stored.

`server.observers` are called with the changes of every commit. `server.schema` holds the committed rows.
"""
