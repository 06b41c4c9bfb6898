"""Writes of a channel: pages gathered, checked, programmed, and answered for."""
