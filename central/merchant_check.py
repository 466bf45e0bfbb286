"""Whether what an operator says of a merchant can be meant, beside the rules in force; in French, with what to do.

A word no rule names is a doubt and no mistake: the next rules may name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Final

from central.rule_file.mistakes import near
from central.rule_file.words import LABELS, MERCHANTS, french_day
from domain.identity import LONGEST_FAMILY_CODE
from domain.may_pay import may_ever_pay
from domain.rule_set import Certificate, Condition, Merchant, RuleSet
from sync.listed_values import MOST_TEXT
from sync.merchant_format import MOST_NAME, MOST_WORDS

SOON: Final = timedelta(days=60)
"""A last day that is nearer is shown."""
_MOST_NEAR: Final = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """What becomes of a certificate on a day.

    Attributes:
        days_left: until its last day; below zero: since; ``None`` without end.
        says: what an operator has to know, a French sentence; empty while there is nothing to do.
    """

    certificate: Certificate
    days_left: int | None
    says: str


# --- mistakes: raised as ValueError -----------------------------------------------------------------------------------


def check_texts(entry: Merchant) -> None:
    """Raises ValueError for a text a till could not read or show."""
    if not entry.name.strip() or not entry.name.isprintable() or len(entry.name) > MOST_NAME:
        raise ValueError(f"Un point de vente a un nom, d'une ligne et de {MOST_NAME} caractères au plus.")
    for what, word in (*(("groupe", group) for group in sorted(entry.groups)), ("profil", entry.profile)):
        if (what == "groupe" or word) and not _is_word(word, MOST_TEXT):
            raise ValueError(f"« {word} » n'est pas un {what} : un mot sans espace, de {MOST_TEXT} caractères au plus.")
    if len(entry.groups) > MOST_WORDS:
        raise ValueError(f"Un point de vente a {MOST_WORDS} groupes au plus.")


def check_family(entry: Merchant, rules: RuleSet) -> None:
    """Raises ValueError for a default family that does not exist or that no purse could ever pay there.

    Where no purse pays anything at all, which is a doubt of its own, only a family no purse pays anywhere is refused.
    """
    code, family = entry.default_family, rules.families.get(entry.default_family)
    payable = _payable(entry, rules) or _payable_somewhere(rules)
    if family is None:
        raise ValueError(f"Il n'y a pas de famille « {code} ». {_nearest(code, payable, rules)}")
    if code not in payable:
        alone = "" if entry.is_attended else ", où personne ne tient la caisse"
        raise ValueError(
            f"Aucune enveloppe ne peut payer la famille « {code} » ({family.name_fr}) à ce point de vente{alone} : "
            f"ce que le caissier tape sans choisir de famille n'y serait jamais payé. {_nearest(code, payable, rules)}"
        )


def check_days(first: date | None, last: date | None) -> None:
    """Raises ValueError where the last day is before the first."""
    if first is not None and last is not None and last < first:
        raise ValueError(f"Le dernier jour, {french_day(last)}, est avant le premier, {french_day(first)}.")


def check_not_past(day: date | None, today: date, remedy: str) -> None:
    """Raises ValueError, with what to do, for a day that is over."""
    if day is not None and day < today:
        raise ValueError(f"Le {french_day(day)} est passé. {remedy}")


def check_certificate(certificate: Certificate) -> None:
    """Raises ValueError for a label no line could claim, or a number no till could read."""
    if not _is_word(certificate.label, LONGEST_FAMILY_CODE):
        word = f"un mot sans espace, de {LONGEST_FAMILY_CODE} caractères au plus"
        raise ValueError(f"« {certificate.label} » n'est pas un label : {word}.")
    number = certificate.number
    if not number.strip() or not number.isprintable() or len(number) > MOST_TEXT:
        raise ValueError(f"Un certificat a un numéro, de {MOST_TEXT} caractères au plus.")


# --- doubts -----------------------------------------------------------------------------------------------------------


def doubts(entry: Merchant, rules: RuleSet) -> tuple[str, ...]:
    """What is probably not meant in an entry: words no rule in force names, a place where nothing is paid."""
    named = _named(rules)
    groups = (_unknown("le groupe", word, named, MERCHANTS) for word in sorted(entry.groups - named))
    profile = (_unknown("le profil", word, named, MERCHANTS) for word in {entry.profile} - {"", *named})
    found = [*groups, *profile, *label_doubts((item.label for item in entry.certificates), rules)]
    if not _payable(entry, rules):
        alone = "" if entry.is_attended else ", sans personne à la caisse"
        found.append(f"Avec ces mots{alone}, aucune enveloppe ne paie rien ici selon les règles en vigueur.")
    return tuple(found)


def label_doubts(labels: Iterable[str], rules: RuleSet) -> tuple[str, ...]:
    """A sentence for each label no rule in force asks for."""
    asked = frozenset(word for item in _conditions(rules) for word in item.labels)
    return tuple(_unknown("le label", word, asked, LABELS) for word in sorted({*labels} - asked))


# --- what comes to an end ---------------------------------------------------------------------------------------------


def standings(certificates: Iterable[Certificate], today: date) -> tuple[Standing, ...]:
    """How each certificate stands today; one that another of its label outlives asks for nothing."""
    every = tuple(certificates)
    return tuple(
        Standing(
            item,
            None if item.last_day is None else (item.last_day - today).days,
            "" if any(_outlives(other, item) for other in every) else _ends(item, today),
        )
        for item in every
    )


def ends_say(entry: Merchant, today: date) -> tuple[str, ...]:
    """All there is to know of an entry and its certificates that end soon or have ended, a sentence each."""
    says = (days_say(entry, today), *(standing.says for standing in standings(entry.certificates, today)))
    return tuple(sentence for sentence in says if sentence)


def days_say(entry: Merchant, today: date) -> str:
    """What an operator has to know of the days of an entry: not begun, soon over, over; empty otherwise."""
    if entry.last_day is not None and entry.last_day < today:
        return f"Fiche finie le {french_day(entry.last_day)} : les cartes n'y paient plus rien."
    if entry.first_day is not None and entry.first_day > today:
        return f"Fiche en vigueur à partir du {french_day(entry.first_day)} : d'ici là les cartes n'y paient rien."
    if entry.last_day is not None and entry.last_day - today <= SOON:
        return f"Dernier jour {_when(entry.last_day, today)}."
    return ""


def _ends(certificate: Certificate, today: date) -> str:
    what = f"{LABELS.get(certificate.label, certificate.label)}, certificat {certificate.number or 'sans numéro'}"
    if certificate.last_day is None or certificate.last_day - today > SOON:
        return ""
    if certificate.last_day < today:
        return (
            f"{what} : fini le {french_day(certificate.last_day)}, il ne compte plus. "
            "Renouvelez-le avec le nouveau certificat, ou retirez-le."
        )
    return f"{what} : prend fin {_when(certificate.last_day, today)}. Demandez le suivant au commerçant."


def _outlives(other: Certificate, certificate: Certificate) -> bool:
    if other.label != certificate.label or certificate.last_day is None:
        return False
    return other.last_day is None or other.last_day > certificate.last_day


def _when(day: date, today: date) -> str:
    """``ce soir``, ``demain soir``, ``dans 12 jours, le 19 mars 2026``."""
    left = (day - today).days
    return ("ce soir", "demain soir")[left] if left < 2 else f"dans {left} jours, le {french_day(day)}"


# --- within -----------------------------------------------------------------------------------------------------------


def _conditions(rules: RuleSet) -> Iterator[Condition]:
    for purse in rules.purses:
        yield from purse.pays
    for campaign in rules.campaigns:
        yield from campaign.conditions


def _named(rules: RuleSet) -> frozenset[str]:
    """Groups and profiles the rules name."""
    return frozenset(word for item in _conditions(rules) for word in item.merchants)


def _payable(entry: Merchant, rules: RuleSet) -> tuple[str, ...]:
    return tuple(code for code in rules.families if may_ever_pay(code, rules, entry))


def _payable_somewhere(rules: RuleSet) -> tuple[str, ...]:
    return _payable(Merchant(0, 0, "", _named(rules), ""), rules)


def _unknown(what: str, word: str, named: Iterable[str], meanings: Mapping[str, str]) -> str:
    told = [f"{code} ({meanings[code]})" if code in meanings else code for code in sorted(named)]
    guess = "".join(f"Vouliez-vous « {code} » ? " for code in near(word, named))
    those = f"Les règles nomment : {', '.join(told)}." if told else "Les règles n'en nomment aucun."
    return (
        f"Aucune règle en vigueur ne nomme {what} « {word} » : il ne change rien à ce que les cartes paient, tant que "
        f"de prochaines règles ne le nomment pas. {guess}{those}"
    )


def _nearest(word: str, payable: Iterable[str], rules: RuleSet) -> str:
    """The codes that were probably meant; where none looks like it, the broadest there are."""
    codes = {code: code for code in payable}
    names = {rules.families[code].name_fr.lower(): code for code in codes}
    found = get_close_matches(word.lower(), [*codes, *names], 2 * _MOST_NEAR, 0.6)
    near_ones = list(dict.fromkeys((codes | names)[text] for text in found))[:_MOST_NEAR]
    broad = [code for code in codes if rules.families[code].parent not in codes]
    told = [f"{code} ({rules.families[code].name_fr})" for code in near_ones or broad[:_MOST_NEAR]]
    return f"Les plus proches : {', '.join(told)}." if told else "Les règles en vigueur ne paient rien."


def _is_word(text: str, most: int) -> bool:
    return 0 < len(text) <= most and text.isprintable() and not any(character.isspace() for character in text)
