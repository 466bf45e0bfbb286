"""The command line: one program, ``panier``; each command wires its parts and nothing else."""
