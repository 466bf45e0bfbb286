"""The rules as French sentences that whoever pays can read and sign. Nothing in them needs the file beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from central.rule_file.reading import RuleFile
from central.rule_file.words import LABELS, MERCHANTS, UNITS, french_day, french_share, joined, typographic
from domain.family import is_within, lineage
from domain.money import Cents, in_euros, total
from domain.rule_set import (
    Allotment,
    Campaign,
    Case,
    Condition,
    Match,
    MatchOf,
    Payer,
    Purse,
    RuleSet,
    Unspent,
    WhoPays,
    Window,
)

HOUSEHOLDS: Final = ((1, 0), (2, 0), (2, 1), (1, 2))
"""Adults and children of the households allotments are worked out for."""
_TEN_EUROS: Final = Cents(1_000)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its sentences; a sentence that begins with a dash belongs under the one before."""

    title: str
    sentences: tuple[str, ...]


def sections(file: RuleFile) -> tuple[Section, ...]:
    """Everything a rule file says but its examples, in the order a funder asks."""
    rules = file.rules
    found = [
        Section("Le programme", (*_programme(rules),)),
        *(Section(_title(purse), (*_purse(purse, file),)) for purse in rules.purses),
        Section("L'ordre des enveloppes", (*_order(rules),)),
        Section("Ce qu'aucune enveloppe ne paie", (*_never(rules),)),
        Section("Les dotations", (*_allotments(file),)),
        Section("Le bonus", (*_bonuses(file),)),
        Section("Les plafonds", (*_ceilings(rules),)),
        Section("Qui paie quoi", (*_who_pays(rules),)),
        Section("Ce que les mots veulent dire", (*_families(rules),)),
    ]
    return tuple(
        Section(typographic(section.title), tuple(typographic(says) for says in section.sentences))
        for section in found
        if section.sentences
    )


def _programme(rules: RuleSet) -> Iterator[str]:
    yield f"Règles du programme « {rules.programme} », version {rules.version}."
    yield f"Les jours et les mois sont ceux du fuseau {rules.timezone}. Toutes les sommes sont au centime près."
    yield "Une carte ne paie que ce que ces règles disent ; tout le reste se règle autrement."
    if rules.phone:
        yield f"Quand une carte ne peut pas payer, le porteur peut appeler le {rules.phone}."


# --- purses -----------------------------------------------------------------------------------------------------------


def _called(purse: Purse) -> str:
    return f"« {purse.name} »"


def _title(purse: Purse) -> str:
    funder = f", financeur : {purse.funder}" if purse.funder else ""
    return f"L'enveloppe {_called(purse)} (n° {purse.number}{funder})"


def _purse(purse: Purse, file: RuleFile) -> Iterator[str]:
    if len(purse.pays) == 1:
        yield f"Elle paie {_condition(purse.pays[0], file)}."
    else:
        yield "Elle paie :"
        for place, condition in enumerate(purse.pays, 1):
            yield f"- {_condition(condition, file)}{' ; ou' if place < len(purse.pays) else '.'}"
    yield _window(purse)
    if purse.match is not None:
        yield from _match(purse.match, file.rules)
    if purse.price_ceiling is not None:
        yield (
            f"Elle paie au plus {in_euros(purse.price_ceiling.price)} par {UNITS[purse.price_ceiling.per]} ; "
            "le prix au-dessus se règle autrement. Il faut que la quantité soit connue."
        )
    for most, what in ((purse.ceilings.payment, "par paiement"), (purse.ceilings.day, "par carte et par jour")):
        if most is not None:
            yield f"Elle paie au plus {in_euros(most)} {what}."
    if purse.pays_unattended:
        yield "Elle paie aussi là où personne ne tient la caisse."
    else:
        yield "Elle ne paie pas là où personne ne tient la caisse."


def _condition(condition: Condition, file: RuleFile) -> str:
    """« les produits de la famille « Légumes », avec le label « … », dans les producteurs ou les épiceries »."""
    what = _goods(condition, file)
    if condition.labels:
        labels = [f"« {_meaning(code, LABELS, file)} »" for code in sorted(condition.labels)]
        what += f", avec le label {joined(labels, 'ou')} certifié pour le commerce"
    if not condition.merchants:
        return f"{what}, partout où la carte est acceptée"
    places = [f"les {_meaning(code, MERCHANTS, file)}" for code in sorted(condition.merchants)]
    return f"{what}, {'chez' if condition.merchants == {'producer'} else 'dans'} {joined(places, 'ou')}"


def _goods(condition: Condition, file: RuleFile) -> str:
    names = [f"« {file.rules.families[code].name_fr} »" for code in _in_tree_order(condition.families, file.rules)]
    families = f"{'de la famille' if len(names) == 1 else 'des familles'} {joined(names)}" if names else ""
    if condition.products is None:
        return f"les produits {families}" if families else "tous les produits"
    listed = f"les produits de la liste « {condition.products} »"
    if condition.products in file.words:
        listed = f"les {file.words[condition.products]} (liste « {condition.products} »)"
    return f"{listed} {families}".strip()


def _meaning(code: str, usual: Mapping[str, str], file: RuleFile) -> str:
    """What a word means: as the file says, else as usual."""
    return file.words.get(code) or usual.get(code, code)


def _in_tree_order(codes: frozenset[str], rules: RuleSet) -> list[str]:
    return [code for code in rules.families if code in codes]


def _window(purse: Purse) -> str:
    if purse.unspent is Unspent.CARRY:
        rhythm = {
            Window.MONTH: "L'argent est donné chaque mois",
            Window.DATES: "L'argent est donné aux dates fixées pour chaque foyer",
            Window.NONE: "L'argent n'a pas de date de fin",
        }[purse.window]
        return f"{rhythm} ; ce qui n'est pas dépensé reste acquis."
    if purse.window is Window.DATES:
        return "L'argent vaut entre les dates fixées pour chaque foyer ; ce qui reste à la fin est perdu pour lui."
    return "L'argent vaut un mois, du premier au dernier jour ; ce qui reste à la fin du mois est perdu pour le foyer."


def _match(match: Match, rules: RuleSet) -> Iterator[str]:
    share = french_share(match.share)
    if match.of is MatchOf.PRICE:
        yield f"Elle paie au plus {share} du prix de ces produits ; le porteur règle le reste comme il veut."
        return
    others = [_called(other) for other in rules.purses if other.match is None]
    brings = Cents(int(_TEN_EUROS) * match.share.numerator // (match.share.denominator - match.share.numerator))
    source = f"l'enveloppe {others[0]}" if len(others) == 1 else f"des autres enveloppes ({joined(others)})"
    yield (
        f"Elle ne paie jamais seule : elle ajoute son argent à celui de la carte, et porte au plus {share} de ce que "
        f"la carte paie en tout sur ces produits. Pour {in_euros(_TEN_EUROS)} de {source}, "
        f"elle ajoute {in_euros(brings)}."
    )


def _never(rules: RuleSet) -> Iterator[str]:
    names = [rules.families[code].name_fr for code in _in_tree_order(rules.never, rules)]
    if names:
        yield f"{joined(names)} : jamais, quoi que disent les enveloppes."
    left = [rules.families[code].name_fr for code in _unpaid(rules)]
    if left:
        conditions = [item for purse in rules.purses for item in purse.pays]
        lists = " hors des listes citées" if any(item.products is not None for item in conditions) else ""
        yield f"{joined([f'« {name} »' for name in left])} : aucune enveloppe n'en paie{lists}."
    yield "Une ligne négative, un rendu de monnaie, des espèces : jamais sur la carte."


def _unpaid(rules: RuleSet) -> list[str]:
    """Families that no purse pays as a family, though it might; the greatest ones, in the order of the tree."""
    roots = frozenset[str]().union(*(condition.families for purse in rules.purses for condition in purse.pays))
    paid = {code for code in rules.families if is_within(code, roots, rules.families) and not rules.is_never(code)}
    paid |= {step for code in paid for step in lineage(code, rules.families)}
    left = [code for code in rules.families if code not in paid and not rules.is_never(code)]
    return [code for code in left if rules.families[code].parent not in left]


def _order(rules: RuleSet) -> Iterator[str]:
    """Which purse pays when several may."""
    if len(rules.purses) == 1:
        return
    yield "La carte paie autant qu'elle peut : les enveloppes se partagent les lignes pour en couvrir le plus possible."
    matching = [_called(purse) for purse in rules.purses if purse.match is not None]
    first = f"d'abord {matching[0]}, puis" if matching else "d'abord"
    yield (
        f"Entre deux partages qui couvrent autant, la carte prend {first} l'enveloppe qui finit le plus tôt, "
        "puis celle qui paie le moins de familles, puis l'ordre de ce texte."
    )
    yield "Un paiement prend dans trois enveloppes au plus."


# --- allotments -------------------------------------------------------------------------------------------------------


def _allotments(file: RuleFile) -> Iterator[str]:
    rules = file.rules
    by_purse = {allotment.purse: allotment for allotment in rules.allotments}
    for purse in rules.purses:
        allotment = by_purse.get(purse.code)
        if allotment is None:
            yield f"Enveloppe {_called(purse)} : la dotation est saisie au centre, foyer par foyer."
        else:
            yield from _allotment(allotment, purse, file)
    if by_purse:
        yield "Ainsi un foyer reçoit, à chaque fois :"
        ends = [" ;"] * (len(HOUSEHOLDS) - 1) + ["."]
        for (adults, children), end in zip(HOUSEHOLDS, ends, strict=True):
            yield f"- {_people(adults, children)} : {_received(adults, children, rules)}{end}"


def _allotment(allotment: Allotment, purse: Purse, file: RuleFile) -> Iterator[str]:
    parts = [
        (allotment.adult, "par adulte"),
        (allotment.child, "par enfant"),
        (allotment.household, "pour la première personne du foyer" if allotment.next else "par foyer"),
        (allotment.next, "pour chaque personne en plus"),
    ]
    sums = joined([f"{in_euros(amount)} {what}" for amount, what in parts if amount])
    rhythm = {Window.MONTH: "chaque mois", Window.DATES: "à chaque date fixée", Window.NONE: "à chaque versement"}
    until = f", {allotment.months} fois" if allotment.months is not None else ""
    if allotment.months is not None and purse.window is Window.MONTH:
        until = f", pendant {allotment.months} mois"
    only_if = f", si {_meaning(allotment.only_if, {}, file)}" if allotment.only_if else ""
    yield f"Enveloppe {_called(purse)}, {rhythm[purse.window]}{until} : {sums}{only_if}."
    if allotment.paid_by:
        shares = [f"{_meaning(who, {}, file)} pour {french_share(share)}" for who, share in allotment.paid_by]
        yield f"- Qui la finance : {joined(shares)}."


def _people(adults: int, children: int) -> str:
    words = [_counted(adults, "adulte"), _counted(children, "enfant")]
    return joined([word for word in words if word])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}" if number else ""


def _received(adults: int, children: int, rules: RuleSet) -> str:
    names = {purse.code: purse.name for purse in rules.purses}
    sums = [(names[item.purse], item.granted(adults, children)) for item in rules.allotments]
    given = [(name, amount) for name, amount in sums if amount]
    whole = in_euros(total(amount for _, amount in given))
    if len(given) <= 1:
        return whole
    return f"{whole} ({joined([f'{in_euros(amount)} sur « {name} »' for name, amount in given])})"


# --- bonus ------------------------------------------------------------------------------------------------------------


def _bonuses(file: RuleFile) -> Iterator[str]:
    rules = file.rules
    if not rules.campaigns:
        if all(purse.match is None for purse in rules.purses):
            yield "Il n'y a pas de bonus."
        return
    for campaign in sorted(rules.campaigns, key=lambda item: item.first_day):
        yield from _campaign(campaign, file)
    yield "En dehors de ces dates, il n'y a pas de bonus."
    yield (
        "Le bonus est calculé sur le total du mois, au centime inférieur : payer en plusieurs fois n'en donne ni plus "
        "ni moins. "
        "La caisse le montre tout de suite, le centre le verse."
    )


def _campaign(campaign: Campaign, file: RuleFile) -> Iterator[str]:
    rules = file.rules
    earning = [purse for purse in rules.purses if purse.code in campaign.earned_on]
    into = next(purse for purse in rules.purses if purse.code == campaign.into)
    names = joined([_called(purse) for purse in earning])
    money = f"l'enveloppe {names}" if len(earning) == 1 else f"les enveloppes {names}"
    yield (
        f"Du {french_day(campaign.first_day)} au {french_day(campaign.last_day)} compris (bonus « {campaign.code} ») : "
        f"{in_euros(campaign.give)} rendus pour {in_euros(campaign.per)} payés par {money}, "
        f"au plus {in_euros(campaign.month_cap)} par mois et par foyer, toutes cartes ensemble."
    )
    yield f"- Il se gagne sur {joined([_condition(item, file) for item in campaign.conditions], 'ou')}."
    yield f"- Il est versé sur l'enveloppe {_called(into)}."
    if into.code in campaign.earned_on:
        yield "- Le bonus versé rapporte à son tour quand il est dépensé, car cette enveloppe rapporte."
    else:
        yield "- Le bonus versé ne rapporte pas à son tour, car cette enveloppe ne rapporte pas."
    yield "- L'argent propre du porteur ne rapporte jamais."


# --- ceilings and who pays --------------------------------------------------------------------------------------------


def _ceilings(rules: RuleSet) -> Iterator[str]:
    usual = rules.ceilings
    yield (
        f"Une carte paie au plus {in_euros(usual.floor_limit)} par jour chez un même commerçant, "
        f"et {in_euros(usual.day_total)} par jour en tout."
    )
    if usual.payment is not None:
        yield f"Elle paie au plus {in_euros(usual.payment)} en une fois."
    yield "Ce qui dépasse un plafond se règle autrement ; le paiement n'est pas refusé pour autant."
    yield f"Au-dessus de {in_euros(usual.confirm)}, le commerçant appuie sur une touche avant que la carte ne paie."
    for tier in usual.tiers:
        day_total = tier.day_total
        limit = (
            "les plafonds habituels" if day_total is None else f"{in_euros(day_total)} par carte et par jour au plus"
        )
        yield f"Une caisse sans nouvelles du centre depuis {tier.max_age_days} jours ou moins : {limit}."
    oldest = usual.tiers[-1].max_age_days
    yield (
        f"Une caisse sans nouvelles du centre depuis plus de {oldest} jours : les cartes n'y paient plus, "
        "elles y montrent seulement leur solde."
    )
    yield (
        "Une caisse hors ligne croit les annulations faites ailleurs, que le centre ne connaît pas encore, jusqu'à "
        f"{in_euros(usual.void_allowance)} par carte."
    )


_CASES: Final = {
    Case.WITHIN_LIMITS: "Paiement dans les limites",
    Case.TORN_WITHOUT_PROOF: "Carte retirée trop tôt, pas de preuve, marchandise emportée",
    Case.REPORTED_LOST: "Carte déclarée perdue, la caisse ne le savait pas encore",
    Case.TERMINAL_DESTROYED: "Caisse détruite, paiements retrouvés sur les cartes et les exports",
    Case.FALSE_PROOF: "Preuve fausse, dans les limites de la caisse",
    Case.STOLEN_SLIP: "Annulation écrite par une caisse volée",
    Case.LATE_AND_RETURNED: "Paiement arrivé trop tard, déjà rendu au porteur",
    Case.NEWER_ENTITLEMENT_LOWER: "Droits abaissés depuis, la caisse ne le savait pas encore",
    Case.NOT_COVERED: "Ce que la carte ne paie pas",
}
_PAYERS: Final = {
    Payer.PROGRAMME: "le programme",
    Payer.MERCHANT: "le commerçant",
    Payer.HOLDER: "le porteur",
}


def _who_pays(rules: RuleSet) -> Iterator[str]:
    for row in rules.who_pays:
        yield f"{_CASES[row.case]} : {_payer(row)}."


def _payer(row: WhoPays) -> str:
    payer = _PAYERS[row.payer]
    if row.up_to is not None:
        above = "" if row.payer is Payer.MERCHANT else ", le commerçant au-delà"
        payer += f" jusqu'à {in_euros(row.up_to)} par carte et par caisse{above}"
    return f"{payer}, après décision d'une personne" if row.is_decided_by_a_person else payer


def _families(rules: RuleSet) -> Iterator[str]:
    """What stands under each family the rules name."""
    conditions = [item for purse in rules.purses for item in purse.pays]
    conditions += [item for campaign in rules.campaigns for item in campaign.conditions]
    named = rules.never.union(*(condition.families for condition in conditions))
    for code in _in_tree_order(named, rules):
        parts = [family.name_fr for family in rules.families.values() if family.parent == code]
        if parts:
            yield f"« {rules.families[code].name_fr} » comprend : {joined([f'« {name} »' for name in parts])}."
