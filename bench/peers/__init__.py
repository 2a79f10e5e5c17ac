"""mark beside other model servers: one model, one core, the same requests; see `python -m bench.peers --help`."""
