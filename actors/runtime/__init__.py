"""The machinery behind `actors.base`, one concept per file. Actors import `actors.base`, never these."""
