"""Simulators of both rails as real servers, with fault scripts and a durable ground truth.

Their shapes come from the providers' documents. Nothing here knows PenPay's own clients, so that a misreading there
cannot be repeated here. The control API is described in `penpay.sandbox.control`.
"""
