-- What of a session stands in the chain of sign-ins: nothing, its beginning, its end.
ALTER TABLE {users}.sessions ADD COLUMN recorded TINYINT NOT NULL DEFAULT 0;
