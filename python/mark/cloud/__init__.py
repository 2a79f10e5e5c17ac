"""Clouds: what rents instances. `local` rents processes of this machine."""
