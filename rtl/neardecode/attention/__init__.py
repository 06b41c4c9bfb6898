"""Attention beside a memory: keys and values stream out of it once for all heads that share them."""
