"""The host's side of a channel: commands in, answers out."""
