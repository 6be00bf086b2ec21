"""HTTP: the public API, provider callbacks and the internal listener."""
