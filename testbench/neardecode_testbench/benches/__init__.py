"""cocotb benches, one module a block: cycle by cycle against the reference."""
