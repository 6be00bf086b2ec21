"""Actors: the runtime (base.py and its neighbours) and one file per actor."""
