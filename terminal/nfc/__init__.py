"""Readers and cards: PC/SC, the EV2 channel, the DESFire purse card, issuing."""
