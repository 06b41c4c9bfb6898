"""The HBF channel controller."""
