"""The vector unit's arithmetic: leaf blocks between products of matrices."""
