"""Whether the parts of a rule file can be meant together; each thing that cannot gets a sentence where it stands.

Parts that were read wrongly are left out, so that one slip is not told twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from central.rule_file.draft import Draft, Read
from central.rule_file.mistakes import Mistake, meant
from central.rule_file.part import Part, of_words
from central.rule_file.words import LABELS, MERCHANTS, UNITS, french_day
from domain.basket import MOST_LABELS
from domain.family import is_within
from domain.identity import LONGEST_FAMILY_CODE, MOST_LINES
from domain.money import Cents, in_euros, total
from domain.rule_set import Allotment, Campaign, Ceilings, Condition, Example, MatchOf, Purse, Unspent, Window
from sync.issuing import PROGRAMME_SIZE_B


def check(draft: Draft) -> None:
    """Note every mistake of meaning in the draft's parts."""
    _top(draft)
    _purses(draft)
    _campaigns(draft)
    _ceilings(draft.ceilings.made, draft.ceilings.part)
    _allotments(draft)
    for read in draft.examples:
        _example(read.made, read.part, draft)
    _own_families(draft)
    _unused_words(draft)


def _top(draft: Draft) -> None:
    top = draft.top
    if draft.programme and not (draft.programme.isascii() and len(draft.programme) <= PROGRAMME_SIZE_B):
        top.wrong("programme", f"programme a {PROGRAMME_SIZE_B} lettres au plus, sans accent. Raccourcissez-le.")
    if draft.timezone:
        try:
            ZoneInfo(draft.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            top.wrong("timezone", f"le fuseau « {draft.timezone} » n'existe pas. En France : Europe/Paris.")
    of_words(top, "never", draft.never, draft.families, "la famille")
    if not draft.purses and "purse" not in top.raw:
        top.wrong("purse", "aucune enveloppe, donc rien n'est payé. Ajoutez au moins une partie [[purse]].")


# --- conditions -------------------------------------------------------------------------------------------------------


def _conditions(conditions: Iterable[Condition], name: str | None, part: Part, draft: Draft) -> None:
    """The words of conditions; ``name`` is the word they stand under, ``None`` where they stand in the part itself."""
    for condition in conditions:
        for label in sorted(label for label in condition.labels if len(label) > LONGEST_FAMILY_CODE):
            part.wrong(
                name or "labels", f"le label « {label} » a plus de {LONGEST_FAMILY_CODE} lettres. Raccourcissez-le."
            )
        of_words(part, name or "families", condition.families, draft.families, "la famille")
        _own_words(part, name or "merchants", condition.merchants, MERCHANTS, draft)
        _own_words(part, name or "labels", condition.labels, LABELS, draft)
        for family in sorted(condition.families & set(draft.families)):
            if is_within(family, draft.never, draft.families):
                part.wrong(
                    name or "families",
                    f"la famille « {family} » est dans never : aucune enveloppe ne la paie jamais. "
                    "Retirez-la d'ici, ou de never.",
                )


def _own_words(part: Part, name: str, words: Iterable[str | None], usual: Iterable[str], draft: Draft) -> None:
    """Note every word that is no usual one and that [words] does not explain."""
    known = {*usual, *draft.words}
    for word in sorted({word for word in words if word} - known):
        near = meant(word, known)
        suggestion = f"{near} Sinon, ajoutez" if near.startswith("Vouliez") else "Ajoutez"
        part.wrong(name, f'dans {name}, que veut dire « {word} » ? {suggestion} {word} = "…" dans [words].')


def _covered(conditions: Iterable[Condition], draft: Draft) -> set[str]:
    """Families that any of the conditions may concern, those nobody pays left out."""
    found: set[str] = set()
    for condition in conditions:
        roots = condition.families
        found |= {code for code in draft.families if not roots or is_within(code, roots, draft.families)}
    return {code for code in found if not is_within(code, draft.never, draft.families)}


# --- purses -----------------------------------------------------------------------------------------------------------


def _purses(draft: Draft) -> None:
    for read in draft.purses:
        _purse(read.made, read.part, draft)
    _distinct(
        draft.purses,
        "number",
        lambda purse: int(purse.number),
        "le numéro",
        "un numéro ne sert qu'à une enveloppe, pour toujours",
    )
    _distinct(draft.purses, "id", lambda purse: purse.code, "l'id", "chaque enveloppe a le sien")
    matching = [read for read in _sound(draft.purses) if read.made.match is not None]
    for read in matching[1:]:
        first = matching[0].made.code
        read.part.wrong(
            "match", f"l'enveloppe « {first} » a déjà un match, et il n'y en a qu'un. Retirez l'un des deux."
        )
    for read in matching[:1]:
        _partner(read, draft)


def _sound(reads: Iterable[Read[Purse]]) -> Iterator[Read[Purse]]:
    return (read for read in reads if read.part.is_sound)


def _distinct(reads: list[Read[Purse]], word: str, key: Callable[[Purse], int | str], called: str, why: str) -> None:
    seen: dict[int | str, str] = {}
    for read in reads:
        value = key(read.made)
        if word not in read.part.raw or read.part.raw[word] != value:
            continue
        if value in seen:
            read.part.wrong(
                word, f"{called} {value} est déjà celui de l'enveloppe « {seen[value]} ». Changez-le : {why}."
            )
        seen.setdefault(value, read.made.name)


def _purse(purse: Purse, part: Part, draft: Draft) -> None:
    _conditions(purse.pays, "pays", part, draft)
    if purse.price_ceiling is not None and purse.price_ceiling.per and purse.price_ceiling.per not in UNITS:
        part.wrong(
            "ceiling", f"l'unité « {purse.price_ceiling.per} » n'existe pas. {meant(purse.price_ceiling.per, UNITS)}"
        )
    if not part.is_sound:
        return
    if purse.window is Window.NONE and purse.unspent is Unspent.LAPSE:
        part.wrong(
            "unspent",
            "window = \"none\" n'a pas de fin, donc rien n'y est jamais perdu. "
            'Écrivez unspent = "carry", ou donnez une fin : window = "month" ou "dates".',
        )
    if purse.price_ceiling is not None and purse.price_ceiling.price == 0:
        part.wrong("ceiling", 'un prix plafond de 0,00 € ne paierait rien. Écrivez par exemple price = "1.50".')
    payment, day = purse.ceilings.payment, purse.ceilings.day
    if 0 in (payment, day):
        part.wrong("ceiling", "un plafond de 0,00 € ne paierait rien. Écrivez une somme, ou retirez-le.")
    if payment is not None and day is not None and payment > day:
        says = f"le plafond d'un paiement ({in_euros(payment)}) dépasse celui d'un jour ({in_euros(day)})"
        part.wrong("ceiling", f"{says} : il ne servirait jamais. Baissez-le.")
    if purse.match is not None and not 0 < purse.match.share < 1:
        part.wrong("match", 'share est plus que rien et moins que le tout : "1/3" ajoute 5 € pour 10 €. Corrigez-la.')


def _partner(read: Read[Purse], draft: Draft) -> None:
    """A purse that follows the card's money needs another purse that pays some of the same."""
    purse = read.made
    if purse.match is None or purse.match.of is not MatchOf.CARD or len([*_sound(draft.purses)]) < len(draft.purses):
        return
    others = [other.made for other in draft.purses if other.made.match is None]
    if not any(_covered(other.pays, draft) & _covered(purse.pays, draft) for other in others):
        read.part.wrong(
            "match",
            f"match suit l'argent d'une autre enveloppe, mais aucune autre ne paie ce que « {purse.code} » paie. "
            'Ajoutez une enveloppe qui le paie, ou écrivez of = "price".',
        )


def _own_families(draft: Draft) -> None:
    """A family the file adds is paid by some purse, or named in never."""
    paid = [condition for read in draft.purses for condition in read.made.pays]
    if draft.found:
        return
    covered = _covered(paid, draft)
    for count, item in enumerate(draft.top.raw.get("family", [])):
        code = item["id"]
        if code in covered or is_within(code, draft.never, draft.families):
            continue
        says = "aucune enveloppe ne paie cette famille. Ajoutez-la à pays d'une enveloppe, ou à never."
        draft.found.append(Mistake(f"famille « {code} »", says, draft.top.lines.of("family", count, "id")))


# --- bonus ------------------------------------------------------------------------------------------------------------


def _campaigns(draft: Draft) -> None:
    seen: set[str] = set()
    for read in draft.campaigns:
        campaign, part = read.made, read.part
        if campaign.code in seen:
            part.wrong("id", f"l'id « {campaign.code} » est déjà celui d'un autre bonus. Changez-le.")
        seen |= {campaign.code} - {""}
        _conditions(campaign.conditions, "for" if "for" in part.raw else None, part, draft)
        _campaign_purses(campaign, part, draft)
        if part.is_sound:
            _campaign_months(campaign, part)
            _campaign_sums(campaign, part)
    in_order = sorted((read for read in draft.campaigns if read.part.is_sound), key=lambda read: read.made.first_day)
    for before, after in pairwise(in_order):
        if after.made.first_day <= before.made.last_day:
            after.part.wrong(
                "from",
                f"ce bonus commence le {french_day(after.made.first_day)}, avant la fin de « {before.made.code} » "
                f"(le {french_day(before.made.last_day)}). Un seul bonus à la fois : changez l'une des dates.",
            )


def _campaign_purses(campaign: Campaign, part: Part, draft: Draft) -> None:
    _purses_exist(part, "earned_on", campaign.earned_on, draft)
    if campaign.into:
        _purses_exist(part, "into", [campaign.into], draft)
    earning = [read.made for read in draft.purses if read.made.code in campaign.earned_on]
    purses_are_sound = all(read.part.is_sound for read in draft.purses)
    for purse in earning:
        if purse.match is not None and purses_are_sound:
            part.wrong(
                "earned_on",
                f"l'enveloppe « {purse.code} » a un match : son argent ne rapporte jamais de bonus. Retirez-la d'ici.",
            )
    if not (part.is_sound and purses_are_sound and earning):
        return
    paid = _covered([condition for purse in earning for condition in purse.pays], draft)
    if not paid & _covered(campaign.conditions, draft):
        part.wrong("families", "aucune enveloppe de earned_on ne paie ce que ce bonus vise. Changez l'un ou l'autre.")


def _purses_exist(part: Part, name: str, codes: Iterable[str], draft: Draft) -> None:
    """Note every purse nobody defined; where there is none at all, that has been said."""
    if draft.purses:
        of_words(part, name, codes, draft.purse_codes, "l'enveloppe")


def _campaign_months(campaign: Campaign, part: Part) -> None:
    first, last = campaign.first_day, campaign.last_day
    if last < first:
        part.wrong("to", f"ce bonus finit le {french_day(last)}, avant de commencer. Corrigez from ou to.")
        return
    if first.day != 1:
        part.wrong(
            "from",
            f"un bonus commence le premier d'un mois, pas le {french_day(first)}. "
            f"Écrivez from = {first.replace(day=1)} ou le premier du mois suivant.",
        )
    month_end = (last.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    if last != month_end:
        part.wrong(
            "to", f"un bonus finit le dernier jour d'un mois, pas le {french_day(last)}. Écrivez to = {month_end}."
        )


def _campaign_sums(campaign: Campaign, part: Part) -> None:
    for name, amount in (("give", campaign.give), ("per", campaign.per), ("month_cap", campaign.month_cap)):
        if amount == 0:
            part.wrong(
                name, f"{name} est à 0,00 € : ce bonus ne rendrait rien. Écrivez une somme, ou retirez le bonus."
            )


# --- ceilings and allotments ------------------------------------------------------------------------------------------


def _ceilings(usual: Ceilings, part: Part) -> None:
    if not part.is_sound:
        return
    for name, amount in (
        ("floor_limit", usual.floor_limit),
        ("day_total", usual.day_total),
        ("payment", usual.payment),
    ):
        if amount == 0:
            part.wrong(name, f"{name} est à 0,00 € : aucune carte ne paierait. Écrivez une somme.")
    if usual.floor_limit > usual.day_total:
        part.wrong(
            "floor_limit",
            f"floor_limit ({in_euros(usual.floor_limit)}, chez un commerçant) dépasse day_total "
            f"({in_euros(usual.day_total)}, partout) : il ne servirait jamais. Baissez-le.",
        )
    if usual.payment is not None and usual.payment > usual.floor_limit:
        part.wrong("payment", "payment dépasse floor_limit : il ne servirait jamais. Baissez-le ou retirez-le.")
    for younger, older in pairwise(usual.tiers):
        if older.max_age_days <= younger.max_age_days:
            says = f"après days = {younger.max_age_days} vient days = {older.max_age_days}"
            part.wrong("tiers", f"{says} : les paliers vont du plus récent au plus vieux. Remettez-les dans l'ordre.")
        elif _left(older.day_total, usual) > _left(younger.day_total, usual):
            part.wrong(
                "tiers",
                f"le palier de {older.max_age_days} jours laisse payer plus que celui de {younger.max_age_days} jours. "
                "Des listes plus vieilles ne permettent jamais plus : corrigez day_total.",
            )


def _left(day_total: Cents | None, usual: Ceilings) -> Cents:
    return usual.day_total if day_total is None else day_total


def _allotments(draft: Draft) -> None:
    seen: set[str] = set()
    for read in draft.allotments:
        allotment, part = read.made, read.part
        if allotment.purse:
            _purses_exist(part, "purse", [allotment.purse], draft)
        if allotment.purse in seen:
            part.wrong("purse", f"l'enveloppe « {allotment.purse} » a déjà une dotation. Réunissez-les en une seule.")
        seen |= {allotment.purse} - {""}
        if part.is_sound:
            _allotment(allotment, part)
        _own_words(part, "paid_by", [who for who, _ in allotment.paid_by], (), draft)
        _own_words(part, "only_if", [allotment.only_if], (), draft)


def _allotment(allotment: Allotment, part: Part) -> None:
    sums = (allotment.adult, allotment.child, allotment.household, allotment.next)
    if not any(sums):
        part.wrong("", "cette dotation ne donne rien. Écrivez adult, child, ou household et next.")
    elif allotment.next and not allotment.household:
        part.wrong(
            "next",
            'next est pour chaque personne après la première : il manque household = "…" pour la première. '
            "Ajoutez-le, ou écrivez adult et child.",
        )


# --- examples and words -----------------------------------------------------------------------------------------------


def _example(example: Example, part: Part, draft: Draft) -> None:
    of_words(part, "basket", [line.family for line in example.basket if line.family], draft.families, "la famille")
    _own_words(part, "merchant", example.merchant, MERCHANTS, draft)
    _own_words(part, "certified", example.certified, LABELS, draft)
    _own_words(part, "basket", [label for line in example.basket for label in line.labels], LABELS, draft)
    of_words(part, "basket", {line.unit for line in example.basket if line.unit}, UNITS, "l'unité")
    _purses_exist(part, "card", example.card, draft)
    _purses_exist(part, "paid", example.paid, draft)
    if any(len(line.labels) > MOST_LABELS for line in example.basket):
        part.wrong("basket", f"une ligne a {MOST_LABELS} labels au plus. Retirez-en.")
    if len(example.basket) > MOST_LINES:
        part.wrong("basket", f"un panier a {MOST_LINES} lignes au plus ; celui-ci en a {len(example.basket)}.")
    if not part.is_sound:
        return
    for code, amount in example.paid.items():
        held = example.card.get(code, Cents(0))
        if amount > held:
            part.wrong(
                "paid", f"« {code} » paierait {in_euros(amount)} avec {in_euros(held)} dessus. Corrigez l'exemple."
            )
    price = total(line.amount for line in example.basket)
    if total(example.paid.values()) > price:
        part.wrong("paid", f"la carte paierait plus que le panier ({in_euros(price)}). Corrigez l'exemple.")


def _unused_words(draft: Draft) -> None:
    conditions = [item for read in draft.purses for item in read.made.pays]
    conditions += [item for read in draft.campaigns for item in read.made.conditions]
    used = {word for item in conditions for word in (*item.merchants, *item.labels, item.products)}
    for read in draft.allotments:
        used |= {read.made.only_if, *(who for who, _ in read.made.paid_by)}
    if draft.found and set(draft.words) - used:
        return  # the word may be meant in a place that was read wrongly
    for word in sorted(set(draft.words) - used):
        draft.top.found.append(_unused(word, draft))


def _unused(word: str, draft: Draft) -> Mistake:
    line = draft.top.lines.of("words", 0, word)
    return Mistake(
        "[words]", f"« {word} » ne sert nulle part. Retirez-le, ou corrigez le mot qui devait le nommer.", line
    )
