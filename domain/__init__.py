"""What a card may pay for, and why: pure rules, the standard library only. No I/O, no clock, no randomness."""
