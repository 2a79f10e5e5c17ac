"""`mark top`."""
