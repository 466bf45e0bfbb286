"""Whether a new version of a programme's rules may follow the ones before it: what was promised stays true."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date

from central.rule_file.mistakes import Mistake
from central.rule_file.words import french_day
from domain.identity import PurseNumber
from domain.rule_set import Campaign, RuleSet


def mistakes_of_change(
    before: Sequence[RuleSet], new: RuleSet, today: date, in_use: Collection[PurseNumber] = ()
) -> tuple[Mistake, ...]:
    """Why these rules cannot follow, in French; nothing where they can.

    Args:
        before: all versions so far, oldest first; at least one.
        today: a bonus that has begun by then keeps its terms.
        in_use: purses that cards hold open windows of.
    """
    return (
        *_head(before[-1], new),
        *(mistake for former in before for mistake in _numbers(former, new)),
        *_gone(before[-1], new, in_use),
        *(mistake for former in before for mistake in _campaigns(former, new, today)),
    )


def _head(last: RuleSet, new: RuleSet) -> Iterator[Mistake]:
    if new.version <= last.version:
        yield Mistake(
            "version", f"les règles en vigueur ont la version {last.version}. Écrivez version = {last.version + 1}."
        )
    if new.programme != last.programme:
        yield Mistake("programme", f"ce centre est celui du programme « {last.programme} ». Un autre a le sien.")
    if new.timezone != last.timezone:
        yield Mistake("timezone", f"les jours de ce programme sont ceux de {last.timezone}, depuis son début.")


def _numbers(former: RuleSet, new: RuleSet) -> Iterator[Mistake]:
    for purse in new.purses:
        known = former.purse(purse.number)
        if known is not None and known.code != purse.code:
            yield Mistake(
                f"[[purse]] {purse.code}",
                f"le numéro {purse.number} est celui de l'enveloppe « {known.code} » depuis la version "
                f"{former.version} ; il ne sert jamais à une autre. Prenez un numéro qui n'a pas servi.",
            )


def _gone(last: RuleSet, new: RuleSet, in_use: Collection[PurseNumber]) -> Iterator[Mistake]:
    for purse in last.purses:
        if purse.number in in_use and new.purse(purse.number) is None:
            yield Mistake(
                f"[[purse]] {purse.code}",
                f"des cartes ont encore de l'argent dans l'enveloppe n° {purse.number}, que plus rien ne paierait. "
                "Gardez-la jusqu'à la fin de ses périodes.",
            )


def _campaigns(former: RuleSet, new: RuleSet, today: date) -> Iterator[Mistake]:
    known = {campaign.code: campaign for campaign in former.campaigns if campaign.first_day <= today}
    for campaign in new.campaigns:
        begun = known.get(campaign.code)
        if begun is not None and _terms(begun) != _terms(campaign):
            yield Mistake(
                f"[[bonus]] {campaign.code}",
                f"ce bonus a commencé le {french_day(begun.first_day)} : ses caisses l'ont déjà montré, ses montants "
                "ne changent plus. Finissez-le à la fin d'un mois, et donnez un autre nom au suivant.",
            )


def _terms(campaign: Campaign) -> tuple[object, ...]:
    return (campaign.first_day, campaign.give, campaign.per, campaign.month_cap, campaign.into)
