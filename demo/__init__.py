"""The demonstration stall: a private PC/SC stack, a centre, tills and virtual cards on one machine."""
