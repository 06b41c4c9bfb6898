"""Everything around the hardware: reference decoder, devices, simulators, benches, commands."""
