-- Codes live in one table from now on. What is lost here is younger than ten minutes, and another code can be asked for.
DROP TABLE IF EXISTS {users}.phone_codes;
