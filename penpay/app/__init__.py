"""The composition root: the only room that names concrete classes. Starts in order, stops in reverse.

`outside` makes what the node talks to, `crew` what its actors are made of, `listeners` its sockets, `node` its life.
"""
