-- The question to staff whether a link in another name may become active; empty until it is put.
ALTER TABLE {users}.deriv_links ADD COLUMN review_id VARCHAR(26) NOT NULL DEFAULT '';
