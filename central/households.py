"""The households of a programme: how many people, which cards, what is noted of them. Numbers only, no names.

What is written down holds from a day on; nothing is written over, so that any figure can be explained later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from central.days import day_of, number_of
from central.store import Store
from domain.allotment import Size, Span, month_of
from domain.identity import CardId, PurseNumber

MOST_PEOPLE: Final = 30
_FIRST_DAY, _LAST_DAY = date(2020, 1, 1), date(2050, 12, 31)
"""Days a card can hold (docs/formats/card.md), and a slip of the pen is not one of them."""


@dataclass(frozen=True, slots=True)
class Household:
    """A household on one day.

    Attributes:
        size: ``None`` before its first day.
        cards: those in its hands, reported lost or not.
    """

    number: int
    size: Size | None
    cards: tuple[CardId, ...]


def take_in(store: Store, size: Size, first: date, at: datetime) -> int:
    """A new household from a day on; its number. Inside a transaction. ValueError: no such size."""
    _check_size(size)
    number = store.next_number("household")
    store.put("household", number=number, taken_in_at=int(at.timestamp()))
    resize(store, number, size, first)
    return number


def resize(store: Store, number: int, size: Size, first: date) -> None:
    """The household has another size from a day on. ValueError: no such household or size."""
    _check_size(size)
    _check_day(first)
    _check_known(store, number)
    day = number_of(first)
    store.change("DELETE FROM household_size WHERE household = ? AND first_day = ?", number, day)
    store.put("household_size", household=number, first_day=day, adults=size.adults, children=size.children)


def hand_over(store: Store, number: int, card: CardId, first: date) -> None:
    """A card is in a household's hands from a day on. ValueError: no such household or card, or it is somebody's."""
    _check_known(store, number)
    _check_day(first)
    if store.one("SELECT 1 FROM card WHERE card = ?", card) is None:
        raise ValueError("aucune carte de ce numéro")
    day = number_of(first)
    held = store.one(
        "SELECT household FROM household_card WHERE card = ? AND (last_day IS NULL OR last_day >= ?)", card, day
    )
    if held is not None:
        raise ValueError(f"cette carte est celle du foyer {held['household']} ; reprenez-la d'abord")
    store.put("household_card", card=card, first_day=day, last_day=None, household=number)
    store.next_number("card keys")  # terminals learn each card's share of its household's month cap


def take_back(store: Store, number: int, card: CardId, last: date) -> None:
    """A card leaves a household after a day; one to be handed over later is not. ValueError: it is not theirs then."""
    day = number_of(last)
    where = (card, number, day)
    coming = "card = ? AND household = ? AND first_day > ? AND last_day IS NULL"
    if not store.change(f"DELETE FROM household_card WHERE {coming}", *where) and not store.change(
        """UPDATE household_card SET last_day = ? WHERE card = ? AND household = ? AND last_day IS NULL
        AND first_day <= ?""",
        day,
        card,
        number,
        day,
    ):
        raise ValueError(f"cette carte n'est pas celle du foyer {number} ce jour-là")
    store.next_number("card keys")


def note(store: Store, number: int, fact: str, month: date) -> None:
    """Note a fact the rules ask for (``only_if``) for a month. ValueError: no such household."""
    _check_known(store, number)
    store.put_new("household_fact", household=number, fact=fact, month=number_of(month_of(month).first))


def is_noted(store: Store, number: int, fact: str, month: date) -> bool:
    """Whether a fact is noted for a month."""
    query = "SELECT 1 FROM household_fact WHERE household = ? AND fact = ? AND month = ?"
    return store.one(query, number, fact, number_of(month_of(month).first)) is not None


def put_dates(store: Store, number: int, purse: PurseNumber, span: Span) -> None:
    """The household's own dates in a purse that goes by dates.

    Raises:
        ValueError: no such household, the last day before the first, or dates that cross others of this purse.
    """
    _check_known(store, number)
    if span.last is None or span.last < span.first:
        raise ValueError("le dernier jour est avant le premier")
    _check_day(span.first)
    _check_day(span.last)
    first, last = number_of(span.first), number_of(span.last)
    if store.one(
        "SELECT 1 FROM household_dates WHERE household = ? AND purse = ? AND first_day <= ? AND last_day >= ?",
        number,
        purse,
        last,
        first,
    ):
        raise ValueError("ces dates en chevauchent d'autres de ce foyer dans cette enveloppe")
    store.put("household_dates", household=number, purse=purse, first_day=first, last_day=last)


def drop_dates(store: Store, number: int, purse: PurseNumber, first: date) -> None:
    """Take back dates that were put by mistake. ValueError: there are none from that day, or they were granted."""
    where = (number, purse, number_of(first))
    if store.one("SELECT 1 FROM allotted WHERE household = ? AND purse = ? AND for_day = ?", *where) is not None:
        raise ValueError("pour ces dates l'argent est déjà versé")
    if not store.change("DELETE FROM household_dates WHERE household = ? AND purse = ? AND first_day = ?", *where):
        raise ValueError(f"le foyer {number} n'a pas de dates qui commencent ce jour-là dans cette enveloppe")


def dates_in(store: Store, number: int, purse: PurseNumber, month: date) -> tuple[Span, ...]:
    """The household's dates in a purse that touch a month, the earliest first."""
    whole = month_of(month)
    assert whole.last is not None
    rows = store.all(
        """SELECT first_day, last_day FROM household_dates WHERE household = ? AND purse = ? AND first_day <= ?
        AND last_day >= ? ORDER BY first_day""",
        number,
        purse,
        number_of(whole.last),
        number_of(whole.first),
    )
    return tuple(Span(day_of(row["first_day"]), day_of(row["last_day"])) for row in rows)


def numbers(store: Store) -> tuple[int, ...]:
    """All households, in the order they were taken in."""
    return tuple(row["number"] for row in store.all("SELECT number FROM household ORDER BY number"))


def on(store: Store, number: int, day: date) -> Household:
    """A household as it is on a day. ValueError: no such household."""
    _check_known(store, number)
    row = store.one(
        """SELECT adults, children FROM household_size WHERE household = ? AND first_day <= ?
        ORDER BY first_day DESC LIMIT 1""",
        number,
        number_of(day),
    )
    size = None if row is None else Size(row["adults"], row["children"])
    return Household(number, size, _held_on(store, number, number_of(day)))


def holder_in(store: Store, card: CardId, day: date) -> int | None:
    """The household that held a card in the month of a day, the last one of several; ``None``: nobody's."""
    whole = month_of(day)
    assert whole.last is not None
    row = store.one(
        """SELECT household FROM household_card WHERE card = ? AND first_day <= ?
        AND (last_day IS NULL OR last_day >= ?) ORDER BY first_day DESC LIMIT 1""",
        card,
        number_of(whole.last),
        number_of(whole.first),
    )
    return None if row is None else int(row["household"])


def cards_in_use(store: Store, number: int, day: date) -> tuple[CardId, ...]:
    """The cards a household can pay with on a day: none that is reported lost."""
    lost = {CardId(bytes(row["card"])) for row in store.all("SELECT card FROM card WHERE hot_since IS NOT NULL")}
    return tuple(card for card in _held_on(store, number, number_of(day)) if card not in lost)


def _held_on(store: Store, number: int, day: int) -> tuple[CardId, ...]:
    rows = store.all(
        """SELECT card FROM household_card WHERE household = ? AND first_day <= ?
        AND (last_day IS NULL OR last_day >= ?) ORDER BY first_day, card""",
        number,
        day,
        day,
    )
    return tuple(CardId(bytes(row["card"])) for row in rows)


def _check_day(day: date) -> None:
    if not _FIRST_DAY <= day <= _LAST_DAY:
        raise ValueError(
            f"le {day:%d/%m/%Y} n'est pas un jour de ce programme : de {_FIRST_DAY.year} à {_LAST_DAY.year}"
        )


def _check_size(size: Size) -> None:
    if size.adults < 0 or size.children < 0 or not 0 < size.adults + size.children <= MOST_PEOPLE:
        raise ValueError(f"un foyer a de 1 à {MOST_PEOPLE} personnes")


def _check_known(store: Store, number: int) -> None:
    if store.one("SELECT 1 FROM household WHERE number = ?", number) is None:
        raise ValueError(f"aucun foyer n° {number}")
