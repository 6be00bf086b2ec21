-- The same for codes of forgotten passwords.
DROP TABLE IF EXISTS {users}.password_codes;
