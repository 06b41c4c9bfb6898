"""The MAC slice that stands behind every memory port."""
