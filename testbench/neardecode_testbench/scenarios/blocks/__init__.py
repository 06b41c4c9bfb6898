"""One scenario a block: stimulus, the values that must come out, and the cycle of each."""
