"""What a run says to people and to other tools."""
