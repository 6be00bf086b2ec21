-- Links that wait for staff are few among many.
CREATE INDEX ix_deriv_links_status ON {users}.deriv_links (status, review_id);
