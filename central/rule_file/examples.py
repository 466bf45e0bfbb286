"""The worked examples of a rule set, run through the decision itself with a card made up for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from central.rule_file.mistakes import Mistake
from domain.basket import Basket, Line
from domain.card_log import LogRecord, LogType
from domain.decision import CardFacts, StallFacts, decide
from domain.identity import LAST_SLOT, CardId, SlotFile, Station
from domain.money import ZERO, Cents, in_euros, total
from domain.purse import Counters, Entitlement, Slot
from domain.rule_set import Certificate, Example, Merchant, Purse, RuleSet, Unspent, Window

_CARD: Final = CardId(bytes(8))
_LOADED: Final = Cents(16_000_000)
_USUAL_DAY: Final = date(2026, 1, 15)
_OPENS, _LAST_PAYMENT = time(10), time(8)


@dataclass(frozen=True, slots=True)
class ExampleRun:
    """What the rules make of an example: cents by purse code (only those that pay), bonus, and what is left to pay."""

    example: Example
    paid: Mapping[str, Cents]
    bonus: Cents
    rest: Cents

    @property
    def is_as_said(self) -> bool:
        """Whether it is what the example says."""
        said = {code: amount for code, amount in self.example.paid.items() if amount}
        return self.paid == said and self.bonus == self.example.bonus


def outcome_as_french(paid: Mapping[str, Cents], bonus: Cents, rules: RuleSet) -> str:
    """« « Alimentation » paie 12,50 €, bonus 6,25 € »."""
    sums = [f"« {purse.name} » paie {in_euros(paid[purse.code])}" for purse in rules.purses if paid.get(purse.code)]
    earned = [f"bonus {in_euros(bonus)}"] if bonus else []
    return ", ".join([*(sums or ["la carte ne paie rien"]), *earned])


def mistakes_of_examples(rules: RuleSet) -> list[Mistake]:
    """The examples that do not come out as they say."""
    return [
        Mistake(
            f"exemple « {run.example.says} »",
            f"il dit : {outcome_as_french(run.example.paid, run.example.bonus, rules)} ; ces règles donnent : "
            f"{outcome_as_french(run.paid, run.bonus, rules)}. Corrigez l'exemple, ou les règles.",
        )
        for run in run_examples(rules)
        if not run.is_as_said
    ]


def run_examples(rules: RuleSet) -> tuple[ExampleRun, ...]:
    """Every example of the rules, in order."""
    return tuple(run_example(example, rules) for example in rules.examples)


def run_example(example: Example, rules: RuleSet) -> ExampleRun:
    """One example: a fresh card with these sums, before a till with fresh lists, at ten in the morning."""
    day = example.day or max((campaign.first_day for campaign in rules.campaigns), default=_USUAL_DAY)
    at = _instant(day, _OPENS, rules)
    held = {code: purse for code in example.card for purse in rules.purses if purse.code == code}
    slots = tuple(
        _slot(SlotFile(file), purse, example.card[code], day, rules)
        for file, (code, purse) in enumerate(list(held.items())[:LAST_SLOT], 1)
    )
    card = CardFacts(
        card=_CARD,
        expires_at=None,
        is_on_hot_list=False,
        entitlement=Entitlement(1, _CARD, 1, 1, at, at + timedelta(days=31), rules.version, 0, ZERO, slots),
        counters=Counters(0, {slot.file: _LOADED for slot in slots}),
        newest=_last_payment(example, day, rules),
    )
    basket = Basket(tuple(_line(number, example) for number in range(len(example.basket))))
    decision = decide(basket, rules, _merchant(example), card, StallFacts(at, at, 0, ZERO))
    codes = {slot.file: code for slot, code in zip(slots, held, strict=False)}
    earned = decision.bonus.earned if decision.bonus is not None else None
    return ExampleRun(
        example=example,
        paid={codes[debit.file]: debit.amount for debit in decision.debits},
        bonus=earned or ZERO,
        rest=total(line.amount for line in basket.lines) - decision.paid,
    )


def _slot(file: SlotFile, purse: Purse, amount: Cents, day: date, rules: RuleSet) -> Slot:
    """A window of the purse open on that day: of its month, or without end."""
    first = day.replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    ends = purse.window is not Window.NONE and purse.unspent is Unspent.LAPSE
    end = _instant(after, time(), rules) if ends else None
    return Slot(file, purse.number, amount, ZERO, _LOADED, _instant(first, time(), rules), end)


def _last_payment(example: Example, day: date, rules: RuleSet) -> LogRecord:
    """What the card carries: the month's base, and nothing spent today."""
    at = _instant(day, _LAST_PAYMENT, rules)
    return LogRecord(LogType.PAYMENT, Station(1), 1, 0, at, rules.version, 1, (), example.month_base, ZERO)


def _line(number: int, example: Example) -> Line:
    line = example.basket[number]
    return Line(
        line.family, line.amount, True, line.labels, quantity=line.quantity, unit=line.unit, lists=line.lists
    )  # fmt: skip


def _merchant(example: Example) -> Merchant:
    certificates = tuple(Certificate(label, "") for label in sorted(example.certified))
    return Merchant(1, 1, "", example.merchant, "", certificates=certificates)


def _instant(day: date, at: time, rules: RuleSet) -> datetime:
    return datetime.combine(day, at, ZoneInfo(rules.timezone)).astimezone(UTC)
