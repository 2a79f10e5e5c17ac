"""Frozen values of the domain: no I/O, no clocks, no threads."""
