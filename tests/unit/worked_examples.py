"""Eleven worked examples: what docs/rules.md says is written from them, and the decision is held to them.

``python -m tests.unit.worked_examples`` writes the page's part anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from fractions import Fraction
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from domain.basket import Basket, Line
from domain.card_log import LogRecord, LogType
from domain.decision import CardFacts, Decision, StallFacts, decide
from domain.identity import CardId, PurseNumber, SlotFile, Station
from domain.money import ZERO, Cents, in_euros
from domain.purse import Counters, Entitlement, Slot
from domain.reason import Reason
from domain.refund import Destination, GoesTo, PaidLine, Refunded, destination, refund_line
from domain.rule_check import with_widths
from domain.rule_set import (
    USUAL_TIERS,
    Campaign,
    Ceilings,
    Certificate,
    Condition,
    Match,
    Merchant,
    PriceCeiling,
    Purse,
    RuleSet,
)
from terminal.ui.sentences import sentence

PAGE: Final = Path(__file__).parents[2] / "docs" / "rules.md"
PARIS: Final = ZoneInfo("Europe/Paris")
FULL: Final = Cents(16_000_000)
BEGINS, ENDS = "<!-- written by tests/unit/worked_examples.py -->", "<!-- end of the examples -->"


# --- rules -----------------------------------------------------------------------------------------------------------


def rules(*purses: Purse, campaigns: tuple[Campaign, ...] = ()) -> RuleSet:
    return with_widths(
        RuleSet(
            programme="exemple",
            version=1,
            timezone="Europe/Paris",
            never=frozenset({"alcohol", "tobacco", "pet", "deposit", "non-food"}),
            purses=purses,
            ceilings=Ceilings(Cents(8_000), Cents(12_000), Cents(5_000), USUAL_TIERS, Cents(2_000)),
            campaigns=campaigns,
        )
    )


def purse(number: int, code: str, name: str, *pays: Condition, **more: object) -> Purse:
    return Purse(PurseNumber(number), code, name, pays, **more)  # type: ignore[arg-type]


def paying(*families: str, at: str = "referenced", **more: object) -> Condition:
    return Condition(frozenset(families), frozenset({at}), **more)  # type: ignore[arg-type]


WINTER: Final = Campaign(
    code="sustainable-winter",
    first_day=date(2026, 1, 1),
    last_day=date(2026, 5, 31),
    conditions=(paying("food", at="sustainable"),),
    earned_on=frozenset({"food"}),
    give=Cents(500),
    per=Cents(1_000),
    month_cap=Cents(6_000),
    into="food",
)
GERS: Final = rules(purse(1, "food", "Alimentation", paying("food")), campaigns=(WINTER,))
ORGANIC: Final = rules(
    purse(1, "bio", "Bio", paying("fresh-produce", labels=frozenset({"organic"})), paying("bread")),
)
TWO: Final = rules(
    purse(1, "food", "Alimentation", paying("food")), purse(2, "veg", "Légumes", paying("fresh-produce"))
)
FUNDERS: Final = rules(
    purse(1, "caf", "Alimentation (CAF)", paying("food"), funder="CAF"),
    purse(2, "msa", "Alimentation (MSA)", paying("food"), funder="MSA"),
)
INSTANT: Final = rules(
    purse(1, "bonus", "Bonus", paying("food", at="sustainable"), match=Match(Fraction(1, 3))),
    purse(2, "food", "Alimentation", paying("food")),
)
HARD_LIST: Final = rules(
    purse(1, "milk", "Lait", paying(products="milk-2026"), price_ceiling=PriceCeiling(Cents(150), "l")),
    purse(2, "produce", "Fruits et légumes", paying("fresh-produce")),
)


# --- examples --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Envelope:
    """An open window of a card: purse code, cents left, first and last day (``None``: no end)."""

    code: str
    left: int
    first: date = date(2026, 3, 1)
    last: date | None = date(2026, 3, 31)


@dataclass(frozen=True, slots=True)
class Expected:
    """One line of the answer: cents by purse code, and the reason of what is left."""

    by_purse: Mapping[str, int]
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A refund: the line, cents, on which day, what the card has then, and where each part goes."""

    line: int
    amount: int
    day: date
    card: tuple[Envelope, ...]
    parts: Mapping[str, tuple[int, GoesTo]]


@dataclass(frozen=True, slots=True)
class Worked:
    """A worked example, with its answer."""

    title: str
    says: str
    rules: RuleSet
    lines: tuple[Line, ...]
    card: tuple[Envelope, ...]
    answer: tuple[Expected, ...]
    why: str
    bonus: int | None = None
    month_base: int = 0
    day: date = date(2026, 3, 7)
    groups: frozenset[str] = frozenset({"referenced"})
    certificates: tuple[Certificate, ...] = ()
    refund: Given | None = None


def line(family: str, amount: int, **more: object) -> Line:
    return Line(family, Cents(amount), family_typed=True, **more)  # type: ignore[arg-type]


SUSTAINABLE: Final = frozenset({"referenced", "sustainable"})
FORTY: Final = (Envelope("food", 4_000),)
MIXED: Final = (line("vegetables", 980), line("cheese", 620), line("bread", 410), line("alcohol", 330))
MIXED_ANSWER: Final = (
    Expected({"food": 980}),
    Expected({"food": 620}),
    Expected({"food": 410}),
    Expected({}, Reason.NEVER_FAMILY),
)
CAF_AND_MSA: Final = (
    Envelope("caf", 1_000),
    Envelope("msa", 1_500, date(2026, 2, 1), date(2026, 6, 30)),
)

EXAMPLES: Final = (
    Worked(
        "Un panier mêlé dans un magasin bio, un mois avec bonus",
        "Samedi 7 mars, un magasin bio référencé et durable. La carte a 40 € dans l'enveloppe Alimentation.",
        GERS,
        MIXED,
        FORTY,
        MIXED_ANSWER,
        "Tout ce qui se mange est payé ; le vin se règle autrement. La carte a payé 20,10 € dans un commerce durable : "
        "5 € rendus pour 10 €, donc la moitié, au centime inférieur.",
        bonus=1_005,
        groups=SUSTAINABLE,
    ),
    Worked(
        "Le même panier un mois sans bonus",
        "Le même magasin, samedi 6 juin. Aucune campagne n'est en cours ce mois-là.",
        GERS,
        MIXED,
        (Envelope("food", 4_000, date(2026, 6, 1), date(2026, 6, 30)),),
        MIXED_ANSWER,
        "La carte paie la même chose. Sans campagne, il n'y a pas de bonus, et l'écran n'en parle pas.",
        day=date(2026, 6, 6),
        groups=SUSTAINABLE,
    ),
    Worked(
        "De l'alcool",
        "Une bouteille de vin seule, chez un producteur référencé. La carte a 40 €.",
        GERS,
        (line("alcohol", 850),),
        FORTY,
        (Expected({}, Reason.NEVER_FAMILY),),
        "L'alcool n'est payé par aucune enveloppe, quoi qu'il reste sur la carte. Rien n'est demandé à la carte.",
    ),
    Worked(
        "Un certificat bio périmé",
        "L'enveloppe Bio paie les fruits et légumes certifiés bio, et le pain. Le certificat du producteur a pris fin "
        "le 28 février ; nous sommes le 7 mars. La carte a 15 €.",
        ORGANIC,
        (line("vegetables", 1_200, labels=("organic",)), line("bread", 400)),
        (Envelope("bio", 1_500),),
        (Expected({}, Reason.LABEL_NOT_CERTIFIED), Expected({"bio": 400})),
        "Les légumes sont annoncés bio, mais plus aucun certificat ne le dit : cette enveloppe ne les paie pas. Le "
        "pain n'a pas besoin de label. Le 28 février encore, tout aurait été payé.",
        certificates=(Certificate("organic", "FR-BIO-01-2025", date(2026, 2, 28)),),
    ),
    Worked(
        "La fin du mois avec deux enveloppes",
        "Le 31 mars. Il reste 3,20 € dans Alimentation, perdus ce soir, et 20 € dans Légumes, qui ne se perdent pas.",
        TWO,
        (line("vegetables", 800), line("bread", 300)),
        (Envelope("food", 320), Envelope("veg", 2_000, date(2026, 1, 1), None)),
        (Expected({"food": 20, "veg": 780}), Expected({"food": 300})),
        "L'enveloppe qui se perd la première paie autant qu'elle peut, mais en gardant de quoi payer le pain, que "
        "Légumes ne paie pas : rien ne reste à régler.",
        day=date(2026, 3, 31),
    ),
    Worked(
        "Le plafond du bonus atteint au milieu d'une ligne",
        "Ce mois-ci la carte a déjà payé 115 € qui comptent pour le bonus : 57,50 € gagnés, sur 60 € au plus par mois.",
        GERS,
        (line("vegetables", 1_250),),
        FORTY,
        (Expected({"food": 1_250}),),
        "12,50 € donneraient 6,25 €, mais il ne manque que 2,50 € pour atteindre 60 €.",
        bonus=250,
        month_base=11_500,
        groups=SUSTAINABLE,
    ),
    Worked(
        "Il reste un centime",
        "Il reste 0,01 € dans l'enveloppe. Une baguette à 1,20 €.",
        GERS,
        (line("bread", 120),),
        (Envelope("food", 1),),
        (Expected({"food": 1}, Reason.PURSE_EMPTY),),
        "La carte paie ce qu'elle a, si le porteur l'accepte ; le reste se règle autrement.",
    ),
    Worked(
        "Deux financeurs",
        "Le foyer a 10 € de la CAF jusqu'au 31 mars, et 15 € de la MSA jusqu'au 30 juin.",
        FUNDERS,
        (line("vegetables", 1_800),),
        CAF_AND_MSA,
        (Expected({"caf": 1_000, "msa": 800}),),
        "L'argent qui se perd le plus tôt sert le premier. Chaque financeur sait au centime ce qu'il a payé.",
    ),
    Worked(
        "Le bonus immédiat",
        "Chez un producteur durable, l'enveloppe Bonus complète l'argent de la carte : 5 € pour 10 €. Il reste 25 € "
        "dans Bonus et 10 € dans Alimentation ; le panier coûte 18 €.",
        INSTANT,
        (line("vegetables", 1_800),),
        (Envelope("bonus", 2_500), Envelope("food", 1_000)),
        (Expected({"bonus": 500, "food": 1_000}, Reason.NO_CARD_MONEY_TO_MATCH),),
        "Les 10 € de la carte amènent 5 € de bonus. Il resterait du bonus, mais plus d'argent de la carte à compléter "
        ": 3 € se règlent autrement.",
        groups=SUSTAINABLE,
    ),
    Worked(
        "Une liste fermée avec un prix plafond",
        "L'enveloppe Lait paie le lait de la liste jusqu'à 1,50 € le litre. Six litres à 1,62 €, et du chocolat.",
        HARD_LIST,
        (
            line("milk", 972, quantity=6_000, unit="l", lists=frozenset({"milk-2026"})),
            line("groceries", 250, lists=frozenset()),
        ),
        (Envelope("milk", 1_800), Envelope("produce", 2_600)),
        (Expected({"milk": 900}, Reason.PRICE_ABOVE_CEILING), Expected({}, Reason.NOT_IN_THE_LIST)),
        "6 × 1,50 € = 9,00 € : les 0,72 € au-dessus du plafond sont à la charge du porteur. Le chocolat n'est pas dans "
        "la liste.",
    ),
    Worked(
        "Un remboursement partiel après la fin de l'enveloppe",
        "Le panier de 18 € de l'exemple 8. Le 10 avril, la moitié est rendue : l'enveloppe de mars est finie, celle "
        "d'avril est ouverte.",
        FUNDERS,
        (line("vegetables", 1_800),),
        CAF_AND_MSA,
        (Expected({"caf": 1_000, "msa": 800}),),
        "Chacun reprend la moitié de ce qu'il avait payé. La part de la CAF va dans son enveloppe d'avril, puisque "
        "celle de mars ne peut plus payer ; celle de la MSA revient d'où elle est venue. Jamais d'argent liquide.",
        refund=Given(
            line=0,
            amount=900,
            day=date(2026, 4, 10),
            card=(
                Envelope("caf", 4_000, date(2026, 4, 1), date(2026, 4, 30)),
                Envelope("msa", 700, date(2026, 2, 1), date(2026, 6, 30)),
            ),
            parts={"caf": (500, GoesTo.OPEN_PURSE), "msa": (400, GoesTo.SAME_WINDOW)},
        ),
    ),
)


# --- played ----------------------------------------------------------------------------------------------------------


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), PARIS).astimezone(UTC)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), PARIS).astimezone(UTC)


def numbered(example: Worked, code: str) -> PurseNumber:
    return next(item.number for item in example.rules.purses if item.code == code)


def entitled(example: Worked, card: tuple[Envelope, ...], day: date) -> Entitlement:
    """Each purse has two files, used by turns in odd and even months."""
    slots = []
    for envelope in card:
        number = numbered(example, envelope.code)
        file = SlotFile(2 * number - envelope.first.month % 2)
        end = None if envelope.last is None else midnight(date.fromordinal(envelope.last.toordinal() + 1))
        slots.append(Slot(file, number, Cents(envelope.left), ZERO, FULL, midnight(envelope.first), end))
    return Entitlement(
        1, CardId(b"card-one"), 1, 1, noon(day), datetime(2027, 1, 1, tzinfo=UTC), 1, 0, ZERO,
        tuple(sorted(slots, key=lambda slot: slot.file)),
    )  # fmt: skip


def played(example: Worked) -> Decision:
    """The decision of an example."""
    now = noon(example.day)
    word = entitled(example, example.card, example.day)
    newest = LogRecord(
        LogType.PAYMENT, Station(2), 1, 5, noon(example.day.replace(day=1)), 1, 1, (), Cents(example.month_base), ZERO
    )
    facts = CardFacts(word.card, None, False, word, Counters(5, {slot.file: FULL for slot in word.slots}), newest)
    merchant = Merchant(1, 1, "Exemple", example.groups, "vegetables", certificates=example.certificates)
    return decide(Basket(example.lines), example.rules, merchant, facts, StallFacts(now, now, 0, ZERO))


def code_of(example: Worked, file: SlotFile) -> str:
    number = PurseNumber((file + 1) // 2)
    return next(item.code for item in example.rules.purses if item.number == number)


def refunded(example: Worked, decision: Decision) -> tuple[Refunded, dict[str, Destination]]:
    """The refund of an example, and where each purse's part goes."""
    assert example.refund is not None
    decided = decision.lines[example.refund.line]
    done = refund_line(PaidLine(decided.by_slot, decided.uncovered), ZERO, Cents(example.refund.amount))
    then, now = (
        entitled(example, card, day)
        for card, day in ((example.card, example.day), (example.refund.card, example.refund.day))
    )
    slots = {slot.file: slot for slot in then.slots}
    return done, {
        code_of(example, part.file): destination(slots[part.file], now, example.rules, noon(example.refund.day))
        for part in done.by_slot
    }


# --- written ---------------------------------------------------------------------------------------------------------


def written() -> str:
    """The examples as they stand on the page."""
    return "\n".join(
        [BEGINS, *(text for number, item in enumerate(EXAMPLES, 1) for text in page_of(number, item)), ENDS]
    )


def page_of(number: int, example: Worked) -> Iterator[str]:
    yield f"\n### {number}. {example.title}\n\n{example.says}\n"
    names = {item.code: item.name for item in example.rules.purses}
    yield "| ligne | prix | la carte paie | à régler autrement |\n|---|---|---|---|"
    for item, answer in zip(example.lines, example.answer, strict=True):
        parts = ", ".join(f"{names[code]} {in_euros(Cents(cents))}" for code, cents in answer.by_purse.items())
        rest = Cents(int(item.amount) - sum(answer.by_purse.values()))
        reason = "" if answer.reason is None else f" « {sentence(answer.reason)} »"
        yield (
            f"| {described(item, example.rules)} | {in_euros(item.amount)} | {parts or '–'} "
            f"| {in_euros(rest) + reason if rest else '–'} |"
        )
    paid = Cents(sum(sum(answer.by_purse.values()) for answer in example.answer))
    rest = Cents(sum(int(item.amount) for item in example.lines) - int(paid))
    bonus = "" if example.bonus is None else f" Bonus : **{in_euros(Cents(example.bonus))}**."
    yield f"\nLa carte paie **{in_euros(paid)}** ; à régler autrement : **{in_euros(rest)}**.{bonus}"
    if example.refund is not None:
        yield from refund_of(example.refund, names)
    yield f"\n{example.why}"


def described(item: Line, of: RuleSet) -> str:
    words = [of.families[item.family].name_fr]
    if item.quantity is not None:
        words.append(f"{item.quantity // 1_000} {item.unit}")
    words += ["annoncé bio"] if item.labels else []
    return ", ".join(words)


GOES_TO: Final = {
    GoesTo.SAME_WINDOW: "à l'enveloppe d'où il vient",
    GoesTo.OPEN_PURSE: "à l'enveloppe du même financeur ouverte ce jour",
    GoesTo.FUNDER: "au financeur",
}


def refund_of(given: Given, names: Mapping[str, str]) -> Iterator[str]:
    yield f"\nRendu : **{in_euros(Cents(given.amount))}**.\n\n| part de | rendu | où |\n|---|---|---|"
    for code, (cents, goes_to) in given.parts.items():
        yield f"| {names[code]} | {in_euros(Cents(cents))} | {GOES_TO[goes_to]} |"


def page_with(text: str) -> str:
    """The page with this text in the examples' place."""
    page = PAGE.read_text(encoding="utf-8")
    return page[: page.index(BEGINS)] + text + page[page.index(ENDS) + len(ENDS) :]


if __name__ == "__main__":
    PAGE.write_text(page_with(written()), encoding="utf-8")
