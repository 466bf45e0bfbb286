"""What no public source proves, asked of a real card (docs/real-card-checklist.md).

throwaway.py     keys for test cards and the file they are kept in
card_in_hand.py  the card, its sessions, and what each exchange took
transaction.py   one transaction of chosen commands, its TMI kept item by item
facts.py         the checks that need no hand: reader id, TMV by command, error status, rights, order of records
tears.py         pulls by hand: nothing may be half done
pace.py          whole payments, timed command by command
"""
