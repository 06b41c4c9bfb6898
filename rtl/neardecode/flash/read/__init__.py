"""Reads of a channel's core dies: pages asked for, sensed, corrected, buffered and delivered."""
