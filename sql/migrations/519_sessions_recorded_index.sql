-- Sessions that the chain does not know yet are few among many.
CREATE INDEX ix_sessions_recorded ON {users}.sessions (recorded, ended_at);
