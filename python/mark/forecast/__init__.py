"""Forecasters: from the load that was seen to the load to provision for."""
