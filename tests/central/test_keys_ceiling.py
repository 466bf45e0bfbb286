"""On one day (UTC) no more newly granted cents are signed than the ceiling says, in whatever order things go wrong."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central import grants, signing_duty
from central.keys import KeysClosed
from central.office import Office
from central.store import Store
from central.tables import SIGNING_TABLES
from domain.identity import CardId
from domain.money import Cents
from sync.card_format import decode_entitlement
from tests.central.keys_kit import ANNE, kept_centre, opened
from tests.central.kit import (
    DECEMBER,
    FEBRUARY,
    FOOD,
    MORNING,
    Held,
    Stall,
    WoundClock,
    account,
    figures,
    in_days,
    new_card,
    new_stall,
)

JANUARY = (DECEMBER[1], FEBRUARY[0])
WINDOWS = (DECEMBER, JANUARY, FEBRUARY)


def put_ceiling(office: Office, cents: int, signatures: int = 1_000) -> None:
    with office.store.writing():
        signing_duty.put_standing_ceiling(office.store, office.keys, cents, signatures)


def signed_by_day(office: Office) -> Counter[date]:
    """Newly granted cents by day, from the signed entitlements alone: what their limits rose by.

    Nothing is ever spent here, so a limit is the sum of the grants of its window.
    """
    keys, found = office.keys.entitlement_keys, Counter[date]()
    best: dict[tuple[bytes, int, datetime], int] = {}
    rows = office.store.all(
        "SELECT entitlement.data, card.uid FROM entitlement JOIN card USING (card) ORDER BY entitlement.change_number"
    )
    for row in rows:
        word = decode_entitlement(bytes(row["data"]), bytes(row["uid"]), keys.get).entitlement  # type: ignore[arg-type]
        for slot in word.slots:
            place = (word.card, slot.file, slot.start)
            found[word.issued_at.date()] += max(slot.limit - best.get(place, 0), 0)
            best[place] = max(best.get(place, 0), slot.limit)
    return found


def waiting(office: Office) -> dict[CardId, int]:
    return signing_duty.waiting(office.store, office._clock())


def entitlements(office: Office) -> int:
    return office.store.number("SELECT count(*) FROM entitlement")


# --- what waits, and until when --------------------------------------------------------------------------------------


def test_what_would_go_above_the_ceiling_is_not_signed_and_waits(office: Office, stall: Stall) -> None:
    put_ceiling(office, 10_000)
    anne, bruno = new_card(office, 2, granted=6_000), new_card(office, 3, granted=0)
    before = entitlements(office)
    why = office.grant(bruno.card, FOOD, Cents(5_000), *DECEMBER)
    assert why is not None
    assert "Rien n'est signé" in why and "Ne la saisissez pas une deuxième fois" in why and "panier central keys" in why
    assert entitlements(office) == before
    assert waiting(office) == {bruno.card: 5_000}
    stall.download(office)
    assert anne.card in stall.entitlements and bruno.card not in stall.entitlements


def test_a_sum_that_still_fits_under_the_ceiling_is_signed_to_the_last_cent(office: Office) -> None:
    put_ceiling(office, 10_000)
    new_card(office, 2, granted=9_999)
    last = new_card(office, 3, granted=0)
    assert office.grant(last.card, FOOD, Cents(2), *DECEMBER) is not None
    other = new_card(office, 4, granted=0)
    assert office.grant(other.card, FOOD, Cents(1), *DECEMBER) is None
    assert signing_duty.duty_of(office.store, MORNING.date()).cents_left == 0


def test_what_waits_is_signed_the_next_day_by_itself(office: Office, stall: Stall, clock: WoundClock) -> None:
    put_ceiling(office, 5_000)
    bruno = new_card(office, 2, granted=0)
    office.grant(bruno.card, FOOD, Cents(3_000), *DECEMBER)
    assert waiting(office) == {bruno.card: 3_000}
    clock.at = datetime(2026, 12, 5, 23, 59, 59, tzinfo=UTC)
    stall.send(office)
    assert waiting(office) == {bruno.card: 3_000}
    clock.at = datetime(2026, 12, 6, tzinfo=UTC)
    stall.start()
    stall.send(office)
    assert waiting(office) == {}
    stall.download(office)
    assert stall.entitlements[bruno.card].entitlement.slots[0].limit == 3_000


def test_the_oldest_grant_that_waits_is_signed_first(office: Office, stall: Stall, clock: WoundClock) -> None:
    put_ceiling(office, 4_000)
    held_back = [new_card(office, number, granted=0).card for number in range(20, 10, -1)]
    for card in held_back:
        office.grant(card, FOOD, Cents(1_000), *DECEMBER)
    assert list(waiting(office)) == held_back
    clock.at = in_days(1)
    stall.send(office)
    assert list(waiting(office)) == held_back[4:]


def test_a_grant_whose_window_is_over_before_it_could_be_signed_is_told_and_never_signed(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    stall.pay(anne, 500)
    put_ceiling(office, 50)
    office.grant(anne.card, FOOD, Cents(100), *DECEMBER)
    assert figures(office)["never_signed"] == (), "it may still be signed"
    clock.at = DECEMBER[1]
    put_ceiling(office, 10_000)
    stall.send(office)
    stall.download(office)
    word = stall.entitlements[anne.card].entitlement
    assert (word.issued_at, word.slots[0].limit) == (DECEMBER[1], 4_000)
    assert figures(office)["never_signed"] == ((anne.card.hex(), FOOD, 100),)
    with office.store.writing():
        assert grants.take_back_unsigned(office.store, anne.card, clock.at) == 0, "only a bonus is due again by itself"
    found = account(office, anne)
    assert (found.granted, found.spent, found.lapsed, found.is_conserved) == (4_100, 500, 3_600, True)


def test_a_bonus_whose_window_is_over_before_it_could_be_signed_is_taken_back(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    bonus = grants.Kind.BONUS
    with office.store.writing():
        grants.give(office.store, anne.card, FOOD, Cents(30), *DECEMBER, MORNING, bonus)
        grants.issue(office.store, office.keys, anne.card, office.rules, MORNING)
    put_ceiling(office, 0)
    with office.store.writing():
        number = grants.give(office.store, anne.card, FOOD, Cents(70), *DECEMBER, MORNING, bonus)
        month = {"card": anne.card, "purse": int(FOOD), "month": 1, "at": 0}
        office.store.put("bonus_given", **month, cents=70, grant_id=number)
        grants.give(office.store, anne.card, FOOD, Cents(5), *DECEMBER, MORNING)
        assert grants.take_back_unsigned(office.store, anne.card, MORNING) == 0, "it may still be signed"
    clock.at = DECEMBER[1]
    with office.store.writing():
        assert grants.take_back_unsigned(office.store, anne.card, clock.at) == 70
        assert grants.take_back_unsigned(office.store, anne.card, clock.at) == 0
    assert office.store.number("SELECT count(*) FROM bonus_given") == 0
    found = account(office, anne)
    assert (found.granted, found.lapsed, found.is_conserved) == (4_035, 4_035, True)
    assert figures(office)["never_signed"] == ((anne.card.hex(), FOOD, 5),)


def test_renewals_and_corrections_cost_no_cents(office: Office, stall: Stall, anne: Held, clock: WoundClock) -> None:
    put_ceiling(office, 0)
    clock.at = in_days(11)
    stall.pay(anne, 500)
    before = entitlements(office)
    stall.send(office)
    assert entitlements(office) == before + 1
    duty = signing_duty.duty_of(office.store, clock.at.date())
    assert (duty.cents, duty.signatures) == (0, 1)


def test_signatures_have_a_ceiling_of_their_own(office: Office, stall: Stall, anne: Held, clock: WoundClock) -> None:
    cards = [anne, new_card(office, 2), new_card(office, 3)]
    put_ceiling(office, 1_000_000, signatures=2)
    clock.at, before = in_days(11), entitlements(office)
    stall.start()
    assert stall.send(office).head_seq == 1
    assert entitlements(office) == before + 2
    why = office.grant(cards[0].card, FOOD, Cents(1), *DECEMBER)
    assert why is not None and "2 dotations ont été signées" in why
    clock.at = in_days(12)
    stall.send(office)
    assert entitlements(office) == before + 4
    assert waiting(office) == {}


def test_a_window_signed_only_when_the_one_before_it_ends_counts_on_that_day(
    office: Office, stall: Stall, anne: Held, clock: WoundClock
) -> None:
    office.grant(anne.card, FOOD, Cents(700), *FEBRUARY)
    assert signing_duty.duty_of(office.store, MORNING.date()).cents == 4_000
    clock.at = DECEMBER[1] + timedelta(hours=1)
    stall.start()
    stall.send(office)
    assert signing_duty.duty_of(office.store, clock.at.date()).cents == 700
    assert signed_by_day(office) == {MORNING.date(): 4_000, clock.at.date(): 700}


def test_the_default_ceiling_is_ten_thousand_euros(office: Office) -> None:
    duty = signing_duty.duty_of(office.store, MORNING.date())
    assert (duty.ceiling_cents, duty.most_signatures) == (1_000_000, 20_000)


def test_two_desks_at_once_stay_below_one_ceiling(office: Office) -> None:
    put_ceiling(office, 1_000)
    cards = [new_card(office, number, granted=0).card for number in range(1, 13)]

    def grant_all(own: list[CardId]) -> list[str | None]:
        desk = Office(office.directory, WoundClock(), office.keys)
        said = [desk.grant(card, FOOD, Cents(150), *DECEMBER) for card in own]
        desk.close()
        return said

    with ThreadPoolExecutor(2) as desks:
        said = [why for found in desks.map(grant_all, (cards[::2], cards[1::2])) for why in found]
    assert said.count(None) == 6
    assert signed_by_day(office) == {MORNING.date(): 900}
    assert sum(waiting(office).values()) == 900


# --- what two custodians may do --------------------------------------------------------------------------------------


def test_two_custodians_raise_the_ceiling_of_one_day(tmp_path: Path) -> None:
    clock = WoundClock()
    office = kept_centre(tmp_path / "centre", clock=clock)
    put_ceiling(office, 1_000)
    anne = new_card(office, 1, granted=4_000)
    assert waiting(office) == {anne.card: 4_000}
    with office.store.writing():
        signing_duty.raise_ceiling(office.store, office.keys, MORNING.date(), 4_000, None)
        grants.sign_waiting(office.store, office.keys, office.rules, MORNING)
    assert waiting(office) == {}
    assert signing_duty.duty_of(office.store, MORNING.date() + timedelta(days=1)).ceiling_cents == 1_000


def test_one_custodian_raises_no_ceiling(tmp_path: Path) -> None:
    kept_centre(tmp_path / "centre")
    alone = opened(tmp_path / "centre", {"anne": ANNE})
    with pytest.raises(KeysClosed), alone.store.writing():
        signing_duty.raise_ceiling(alone.store, alone.keys, MORNING.date(), 9_000_000, None)
    with pytest.raises(KeysClosed), alone.store.writing():
        signing_duty.put_standing_ceiling(alone.store, alone.keys, 9_000_000, None)
    assert signing_duty.duty_of(alone.store, MORNING.date()).ceiling_cents == 1_000_000


def test_the_ceiling_of_a_day_is_not_lowered_behind_what_was_signed(office: Office, anne: Held) -> None:
    with pytest.raises(ValueError, match="ne s'abaisse pas"), office.store.writing():
        signing_duty.raise_ceiling(office.store, office.keys, MORNING.date(), 4_000, None)
    put_ceiling(office, 100)
    assert signing_duty.duty_of(office.store, MORNING.date()).cents_left == 0


# --- the first version's database ------------------------------------------------------------------------------------


def test_what_the_first_version_signed_counts_as_signed(office: Office, anne: Held) -> None:
    with office.store.writing():
        for table in ("signing_day", "signed_grant", "custody"):
            office.store.change(f"DROP TABLE {table}")
        signing_duty.take_over(office.store)
    assert waiting(office) == {}
    assert office.store.number("SELECT cents FROM signed_grant WHERE card = ?", anne.card) == 4_000
    assert len(SIGNING_TABLES) == 3


# --- whatever the order ----------------------------------------------------------------------------------------------


class PowerCut(Exception):
    """The machine stops in the middle of a transaction."""


@contextmanager
def cut_after(store: Store, writes: int | None) -> Iterator[None]:
    """The power goes with write number ``writes`` from now; ``None``: it stays."""
    if writes is None:
        yield
        return
    left, put, change = itertools.count(writes, -1), store.put, store.change

    def counted(write: Callable[..., object]) -> Callable[..., object]:
        def written(*values: object, **columns: object) -> object:
            if next(left) <= 0:
                raise PowerCut
            return write(*values, **columns)

        return written

    store.put, store.change = counted(put), counted(change)  # type: ignore[method-assign, assignment]
    try:
        yield
    except PowerCut:
        pass
    finally:
        store.put, store.change = put, change  # type: ignore[method-assign]


CUTS = st.none() | st.integers(0, 12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.integers(0, 3), st.integers(1, 900), st.integers(0, 2), CUTS),
        st.tuples(st.just("sync"), st.integers(0, 1), CUTS),
        st.tuples(st.just("wait"), st.integers(1, 30) | st.just(28 * 24)),
        st.tuples(st.just("raise"), st.integers(0, 2_000), CUTS),
        st.tuples(st.just("reopen")),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, ceiling=st.integers(0, 1_500), signatures=st.integers(0, 12))
def test_cents_signed_on_a_day_never_exceed_its_ceiling(steps: list[tuple], ceiling: int, signatures: int) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        _live(Path(folder) / "centre", steps, ceiling, signatures)


def _live(folder: Path, steps: list[tuple], ceiling: int, signatures: int) -> None:  # type: ignore[type-arg]
    clock = WoundClock()
    office = kept_centre(folder, clock=clock)
    cards = [new_card(office, number, granted=0) for number in range(1, 5)]
    stalls = [new_stall(office, f"Étal {number}") for number in range(2)]
    put_ceiling(office, ceiling, signatures)
    granted: Counter[CardId] = Counter()
    for step in steps:
        office = _step(office, clock, cards, stalls, step, granted)
    for day, cents in signed_by_day(office).items():
        duty = signing_duty.duty_of(office.store, day)
        assert cents <= duty.ceiling_cents, f"{cents} cents signed on {day}"
        assert cents == duty.cents
    per_day = Counter(
        datetime.fromtimestamp(row["issued_at"], UTC).date()
        for row in office.store.all("SELECT issued_at FROM entitlement")
    )
    for day, count in per_day.items():
        duty = signing_duty.duty_of(office.store, day)
        assert count == duty.signatures <= duty.most_signatures
    signed, left = sum(signed_by_day(office).values()), sum(waiting(office).values())
    assert signed + left <= office.store.number("SELECT sum(amount) FROM grant_given") == sum(granted.values())
    office.close()


def _step(
    office: Office,
    clock: WoundClock,
    cards: list[Held],
    stalls: list[Stall],
    step: tuple,  # type: ignore[type-arg]
    granted: Counter[CardId],
) -> Office:
    match step:
        case ("grant", card, cents, window, cut):
            with suppress(ValueError), cut_after(office.store, cut):  # a window before one that is there is refused
                office.grant(cards[card].card, FOOD, Cents(cents), *WINDOWS[window])
                granted[cards[card].card] += cents
        case ("sync", stall, cut):
            with cut_after(office.store, cut):
                stalls[stall].start()
                stalls[stall].send(office)
        case ("wait", hours):
            clock.at += timedelta(hours=hours)
        case ("raise", cents, cut):
            with cut_after(office.store, cut), office.store.writing():
                day = clock.at.date()
                more = signing_duty.duty_of(office.store, day).ceiling_cents + cents
                signing_duty.raise_ceiling(office.store, office.keys, day, more, None)
                grants.sign_waiting(office.store, office.keys, office.rules, clock.at)
        case ("reopen",):
            folder, keys = office.directory, office.keys
            office.close()
            office = Office(folder, clock, keys)
    return office
