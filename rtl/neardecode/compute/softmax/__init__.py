"""Streaming softmax in base 2, beside a MAC slice."""
