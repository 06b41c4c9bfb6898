"""What lies outside the chip: the memory dies that its controllers drive."""
