-- Tokens that are older than any session are taken away, the oldest first.
CREATE INDEX ix_refresh_tokens_created ON {users}.refresh_tokens (created_at);
