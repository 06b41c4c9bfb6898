"""The hardware: a memory system for LLM decode as synthesisable Amaranth RTL."""
