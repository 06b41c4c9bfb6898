"""Area, timing and energy of the hardware, with Yosys."""
