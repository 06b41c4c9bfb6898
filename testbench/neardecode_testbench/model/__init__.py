"""Cycles, bytes and joules a token in closed form, with terms that RTL runs calibrate."""
