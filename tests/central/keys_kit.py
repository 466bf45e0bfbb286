"""A centre with real custodians whose passphrases cost little to try, so that tests are quick."""

from __future__ import annotations

from pathlib import Path

from central.keys import load_keys
from central.keys.custodians import Cost
from central.keys.making import TokenChoice, make_kept_keys
from central.office import Office, make_centre
from tests.central.kit import MORNING, RULE_FILE, WoundClock

CHEAP = Cost(memory_kib=8, passes=1, lanes=1)
ANNE, BRUNO, CHANTAL = b"la phrase d'Anne est longue", b"celle de Bruno aussi, ma foi", b"Chantal en a une autre encore"
KEEPERS = {"anne": ANNE, "bruno": BRUNO, "chantal": CHANTAL}
TWO = {"anne": ANNE, "bruno": BRUNO}


def kept_centre(
    folder: Path, daily: TokenChoice | None = None, money: TokenChoice | None = None, clock: WoundClock | None = None
) -> Office:
    """A centre kept by three custodians, opened by two of them."""
    make_kept_keys(folder / "keys", KEEPERS, MORNING, daily, money, CHEAP)
    make_centre(folder, RULE_FILE, MORNING, keys=load_keys(folder / "keys", TWO))
    return opened(folder, TWO, clock)


def opened(folder: Path, secrets: dict[str, bytes], clock: WoundClock | None = None) -> Office:
    """The centre as these custodians open it."""
    return Office(folder, clock or WoundClock(), load_keys(folder / "keys", secrets))
