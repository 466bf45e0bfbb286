"""A virtual MIFARE DESFire EV2/EV3 card for tests and demonstrations.

It is written from NXP's public papers (MF2DL(H)x0 data sheet, AN12343, AN12196) apart from the card host in
`terminal/nfc` and shares nothing with it but the `cryptography` package.
"""
