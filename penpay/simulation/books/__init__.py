"""The money invariants of `sql/invariants.sql` over the simulation's rows, under the same names.

`sweep(server)` (penpay.simulation.books.sweep) looks at everything: at the end of a run. `Watch(server)`
(penpay.simulation.books.watch) looks at what each commit touched, as it happens, and keeps what it finds in
`broken`. What is a matter of time (a late wake-up, waiting evidence, a stuck outbox) is asked by the sweep only.
"""
