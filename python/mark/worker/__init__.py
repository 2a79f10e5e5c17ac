"""The worker: one model, one process, served over the Open Inference Protocol."""
