"""Whether a new version of a programme's rules may follow the ones before it: what was promised stays true.

Tills that have not heard of a new version go on under an older one until their lists are too old to pay. Until then
both are in the field, so in no month may two of them show a card two bonuses, or one bonus with two sums.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from central.rule_file.mistakes import Mistake
from central.rule_file.words import french_day
from domain.allotment import month_of
from domain.identity import PurseNumber
from domain.rule_set import Campaign, Purse, RuleSet

BONUS_COMES: Final = timedelta(days=120)
"""How long after its last day a bonus may still be granted: reports come up to 90 days late, then a month's round."""


@dataclass(frozen=True, slots=True)
class Former:
    """A version of before.

    Attributes:
        replaced_on: the day the next one was signed; today for the one in force.
    """

    rules: RuleSet
    replaced_on: date

    @property
    def last_day(self) -> date:
        """The last day a till that has not heard of the next version may pay under this one."""
        days = max((tier.max_age_days for tier in self.rules.ceilings.tiers), default=0)
        return self.replaced_on + timedelta(days=days + 1)  # an age is whole days


def mistakes_of_change(
    before: Sequence[Former],
    new: RuleSet,
    today: date,
    in_use: Collection[PurseNumber] = (),
    *,
    is_forgotten: bool = False,
) -> tuple[Mistake, ...]:
    """Why these rules cannot follow, in French; nothing where they can.

    Args:
        before: all versions so far, oldest first; at least one.
        today: a bonus that has begun by then keeps its terms.
        in_use: purses that cards hold open windows of.
        is_forgotten: it was in force before the centre was restored: only what can never be is refused.
    """
    lasting = (*_programme(before[-1].rules, new), *_purses(before, new))
    if is_forgotten:
        return lasting
    return (
        *_version(before[-1].rules, new),
        *lasting,
        *_gone(before, new, today, in_use),
        *_stays(before[-1].rules, new, today),
        *_campaigns(before, new, today),
    )


def _version(last: RuleSet, new: RuleSet) -> Iterator[Mistake]:
    if new.version <= last.version:
        yield Mistake(
            "version", f"les règles en vigueur ont la version {last.version}. Écrivez version = {last.version + 1}."
        )


def _programme(last: RuleSet, new: RuleSet) -> Iterator[Mistake]:
    if new.programme != last.programme:
        yield Mistake("programme", f"ce centre est celui du programme « {last.programme} ». Un autre a le sien.")
    if new.timezone != last.timezone:
        yield Mistake("timezone", f"les jours de ce programme sont ceux de {last.timezone}, depuis son début.")


# --- purses -----------------------------------------------------------------------------------------------------------


def _purses(before: Sequence[Former], new: RuleSet) -> Iterator[Mistake]:
    """A number stays with its purse, and a purse with its number and the way its money ends."""
    known = [(former.rules.version, purse) for former in before for purse in former.rules.purses]
    for purse in new.purses:
        of_number = [(version, other) for version, other in known if other.number == purse.number]
        of_code = [other for _, other in known if other.code == purse.code]
        says = ""
        if of_number:
            says = _of_known_number(purse, of_number[-1][1], of_number[0][0])
        elif of_code:
            says = (
                f"cette enveloppe a le numéro {of_code[-1].number}, l'argent et les bonus des cartes y sont. "
                f"Écrivez number = {of_code[-1].number}, ou un autre id pour une autre enveloppe."
            )
        if says:
            yield Mistake(f"[[purse]] {purse.code}", says)


def _of_known_number(purse: Purse, known: Purse, since: int) -> str:
    """Why a purse is not the one that has had its number since a version; nothing where it is."""
    if known.code != purse.code:
        return (
            f"le numéro {purse.number} est celui de l'enveloppe « {known.code} » depuis la version {since} ; il ne "
            "sert jamais à une autre. Prenez un numéro qui n'a pas servi."
        )
    if (known.window, known.unspent) != (purse.window, purse.unspent):
        return (
            f'l\'enveloppe n° {purse.number} a window = "{known.window}" et unspent = "{known.unspent}" ; des cartes '
            "peuvent avoir de l'argent versé ainsi, ils ne changent plus. Écrivez une autre enveloppe, avec un autre "
            "id et un numéro qui n'a pas servi, et versez-y ce qui vient ; gardez celle-ci tant que des cartes y ont "
            "de l'argent."
        )
    return ""


def _gone(before: Sequence[Former], new: RuleSet, today: date, in_use: Collection[PurseNumber]) -> Iterator[Mistake]:
    for purse in before[-1].rules.purses:
        if new.purse(purse.number) is not None:
            continue
        if purse.number in in_use:
            yield Mistake(
                f"[[purse]] {purse.code}",
                f"des cartes ont encore de l'argent dans l'enveloppe n° {purse.number}, que plus rien ne paierait. "
                "Gardez-la jusqu'à la fin de ses périodes.",
            )
        shown = max(_shown_into(before, purse.number), default=None)
        if shown is not None and today <= shown + BONUS_COMES:
            yield Mistake(
                f"[[purse]] {purse.code}",
                f"un bonus se verse sur l'enveloppe n° {purse.number}, et des caisses peuvent encore en rapporter. "
                f"Gardez-la jusqu'au {french_day(shown + BONUS_COMES)}.",
            )


def _shown_into(before: Sequence[Former], number: PurseNumber) -> Iterator[date]:
    """The last days on which tills may have shown a bonus into a purse."""
    for former in before:
        purse = former.rules.purse(number)
        for campaign in former.rules.campaigns:
            if purse is not None and campaign.into == purse.code and campaign.first_day <= former.last_day:
                yield min(campaign.last_day, former.last_day)


# --- bonuses ----------------------------------------------------------------------------------------------------------


def _stays(last: RuleSet, new: RuleSet, today: date) -> Iterator[Mistake]:
    """The bonus tills show today goes on until the end of the month."""
    shown, kept = last.campaign_on(today), new.campaign_on(today)
    if shown is not None and (kept is None or kept.code != shown.code):
        end = _next_month(today) - timedelta(days=1)
        yield Mistake(
            f"[[bonus]] {shown.code}",
            f"ce bonus a commencé le {french_day(shown.first_day)} et les caisses le montrent. Gardez-le, sous ce nom, "
            f"au moins jusqu'au {french_day(end)} (to = {end}).",
        )


def _campaigns(before: Sequence[Former], new: RuleSet, today: date) -> Iterator[Mistake]:
    for campaign in new.campaigns:
        begun = _begun(before, campaign.code, today)
        says = ""
        if begun is not None and _terms(begun) != _terms(campaign):
            says = (
                f"ce bonus a commencé le {french_day(begun.first_day)} : les caisses l'ont déjà montré, ses montants "
                f"ne changent plus. Gardez-les{_what_follows(begun, _free(before, today, None), today)}"
            )
        elif begun is None and campaign.first_day <= today:
            free = _free(before, today, campaign)
            says = (
                "ce bonus est nouveau, et ce qui a été payé depuis son premier jour ne l'a pas eu. "
                f"Faites-le commencer le {french_day(free)} au plus tôt (from = {free})."
            )
        else:
            says = next(_clashes(before, campaign, today), "")
        if says:
            yield Mistake(f"[[bonus]] {campaign.code}", says)


def _what_follows(begun: Campaign, free: date, today: date) -> str:
    """How to come to other sums, from the day another bonus may begin on."""
    if begun.last_day < today:
        return f". Donnez au nouveau bonus un autre id ; il commence le {french_day(free)} au plus tôt (from = {free})."
    end = free - timedelta(days=1)
    return (
        f", finissez-le le {french_day(end)} (to = {end}) ou à la fin d'un mois d'après, et donnez au suivant un autre "
        "id : il commence le lendemain."
    )


def _clashes(before: Sequence[Former], campaign: Campaign, today: date) -> Iterator[str]:
    """Why a campaign may not be on in months in which tills may show by an older version; what the last one said may
    stand.
    """
    last = before[-1].rules
    for month in _months(before, today):
        standing = last.campaign_on(month)
        if not campaign.is_on(month) or (standing is not None and not _is_other(standing, campaign)):
            continue
        for former in before:
            other = _shown_by(former, month)
            if other is None or not _is_other(other, campaign):
                continue
            free = _free(before, today, campaign)
            later = f"le {french_day(free)} au plus tôt (from = {free})"
            tills = f"des caisses qui ont encore les règles de la version {former.rules.version}"
            if other.code != campaign.code:
                yield (
                    f"il serait en cours le {french_day(month)}, quand {tills} montrent encore « {other.code} » : le "
                    f"plafond du mois serait pris deux fois. Faites-le commencer {later}."
                )
            else:
                yield (
                    f"ses montants changent, et {tills} le montreraient encore le {french_day(month)} avec ceux "
                    f"d'avant. Gardez-les, ou faites-le commencer {later}."
                )


def _begun(before: Sequence[Former], code: str, today: date) -> Campaign | None:
    """A campaign that has begun, as the newest version that has it says it.

    A version that was replaced before the campaign's first day promised nothing of it.
    """
    for former in reversed(before):
        for campaign in former.rules.campaigns:
            if campaign.code == code:
                return campaign if campaign.first_day <= min(today, former.replaced_on) else None
    return None


def _free(before: Sequence[Former], today: date, campaign: Campaign | None) -> date:
    """The first day this campaign (``None``: one nobody has shown) may begin: no till shows another from there on."""
    free = _next_month(today)
    for month in _months(before, free):
        shown = [other for former in before if (other := _shown_by(former, month)) is not None]
        if any(campaign is None or _is_other(other, campaign) for other in shown):
            free = _next_month(month)
    return free


def _shown_by(former: Former, month: date) -> Campaign | None:
    """The campaign a till may show by this version in a month."""
    return former.rules.campaign_on(month) if month <= former.last_day else None


def _is_other(one: Campaign, campaign: Campaign) -> bool:
    """Whether a card that is shown both in one month could have more than either gives."""
    return (one.code, _terms(one)[1:]) != (campaign.code, _terms(campaign)[1:])


def _terms(campaign: Campaign) -> tuple[object, ...]:
    return (campaign.first_day, campaign.give, campaign.per, campaign.month_cap, campaign.into)


def _months(before: Sequence[Former], first: date) -> Iterator[date]:
    """The first days of the months from that of a day on, as long as tills may pay under a version of before."""
    month, last = month_of(first).first, max(former.last_day for former in before)
    while month <= last:
        yield month
        month = _next_month(month)


def _next_month(day: date) -> date:
    last = month_of(day).last
    assert last is not None
    return last + timedelta(days=1)
