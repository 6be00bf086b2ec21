-- Registrations that nobody completed are few among many customers.
CREATE INDEX ix_users_unverified ON {users}.users (phone_verified_at, created_at);
