"""Bytes that lie, for every parser of bytes that come from outside.

``python -m tests.fuzz --seconds 60`` mutates good examples and keeps what breaks a parser under ``corpus/``; the fast
lane plays the corpus again, and 2,000 mutations of each target.
"""
