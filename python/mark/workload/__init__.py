"""Load: recorded traces, arrival processes, and the generator that sends it."""
