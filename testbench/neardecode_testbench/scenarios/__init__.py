"""Stimulus and checks, in no simulator's terms."""
