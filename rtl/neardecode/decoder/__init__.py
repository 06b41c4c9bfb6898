"""The token decoder: runs a program of descriptors, token after token."""
