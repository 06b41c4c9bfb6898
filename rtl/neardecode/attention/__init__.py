"""Attention beside a memory: keys and values stream out once for all heads that share them."""
