"""Routers and links with credit flow."""
