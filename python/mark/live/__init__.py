"""Drivers of live serving: sockets, the event loop and the wall clock around the passive dispatcher and controller."""
