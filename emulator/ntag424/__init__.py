"""A virtual NTAG 424 DNA, after NXP's data sheet NT4H2421Gx and AN12196 as public descriptions give them."""
