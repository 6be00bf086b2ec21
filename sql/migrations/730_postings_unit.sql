-- The comparison with the providers asks for each reference what its unit moved; without this it reads every posting.
CREATE INDEX ix_postings_unit ON {ledger}.postings (unit_id);
