"""Settings, bounds and logging of an installation."""
