"""Testbenches: the blocks' scenarios on simulators, every stream watched."""
