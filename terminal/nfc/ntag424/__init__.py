"""The NTAG 424 DNA as a purse card: the same channel as a DESFire card, no value file, no commit and no proof.

    tag.py      how its application is selected, and what its files are
    purse.py    read, debit, write the next state: one half of the purse file (``ports.PurseCard``)
    issuing.py  makes a blank one the programme's

Sources: NT4H2421Gx and AN12196 by public descriptions; docs/formats/card-ntag424.md, docs/decisions/0006.
"""

from __future__ import annotations

from terminal.nfc.ntag424.issuing import check_issued_tag, issue_tag
from terminal.nfc.ntag424.purse import Ntag424Purse
from terminal.nfc.ntag424.tag import select_tag

__all__ = ["Ntag424Purse", "check_issued_tag", "issue_tag", "select_tag"]
