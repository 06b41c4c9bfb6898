"""The NAND blocks of a channel: where they lie, what became of them, how worn they are."""
