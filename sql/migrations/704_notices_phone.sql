-- Where a message goes when that is not the customer's present number: as it stood sealed in the customer's row.
ALTER TABLE {users}.notices ADD COLUMN phone_sealed VARBINARY(128) NOT NULL DEFAULT '';
