"""Networks of the size of published ones, with random weights: for benches, whose subject is what they cost."""
