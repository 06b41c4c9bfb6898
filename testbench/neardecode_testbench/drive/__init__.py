"""Runs one scenario on any of four simulators, with the same cycles on each."""
