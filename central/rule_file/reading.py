"""From the text of a rule file to a rule set, or to all of its mistakes. The shape is described in
docs/operating/rules.md.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from central.rule_file import meaning
from central.rule_file.draft import Draft, Read
from central.rule_file.mistakes import Lines, Mistake, RuleMistake, meant, not_toml
from central.rule_file.part import REST, Part
from domain.family import DEFAULT_FAMILIES, Family, tree
from domain.identity import LONGEST_FAMILY_CODE, PurseNumber
from domain.money import Cents
from domain.rule_check import mistakes, with_widths
from domain.rule_set import (
    USUAL_WHO_PAYS,
    Allotment,
    Campaign,
    Case,
    Ceilings,
    Condition,
    Example,
    ExampleLine,
    Match,
    MatchOf,
    Payer,
    PriceCeiling,
    Purse,
    PurseCeilings,
    RuleSet,
    Tier,
    Unspent,
    WhoPays,
    Window,
)

UNIT: Final = "EUR-cent"
LIST: Final = "list:"
"""Stands before the name of a signed product list."""
MOST_FILE_B: Final = 1_000_000
_CODE: Final = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
_CONDITION: Final = ("families", "merchants", "labels", "products")
_MOST_DAYS: Final = 366
_MOST_MONTHS: Final = 120
LONGEST_CAMPAIGN: Final = 24
"""Characters of a campaign's code; every payment record carries it."""


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file that holds together: the rules, and what its own words mean in French."""

    rules: RuleSet
    words: Mapping[str, str]


def read_rule_file(path: Path) -> RuleSet:
    """The rule set of a file.

    Raises:
        RuleMistake: with all of its mistakes; nothing is taken by halves.
    """
    return open_rule_file(path).rules


def open_rule_file(path: Path) -> RuleFile:
    """The rules of a file and its words; RuleMistake as ``read_rule_file``."""
    return rule_file_of(text_of(path))


def text_of(path: Path) -> str:
    """The text of a rule file. RuleMistake: it cannot be read, or is no text of a sensible size."""
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise RuleMistake([Mistake("", f"{path.name} ne se lit pas : {_unreadable(fault)}.")]) from None
    if len(content) > MOST_FILE_B:
        raise RuleMistake(
            [Mistake("", f"{path.name} est trop grand pour un fichier de règles (un mégaoctet au plus).")]
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        says = "ce caractère n'est pas en UTF-8. Enregistrez le fichier en UTF-8."
        raise RuleMistake([Mistake(path.name, says, line)]) from None


def _unreadable(fault: OSError) -> str:
    if isinstance(fault, FileNotFoundError):
        return "il n'y a pas de fichier de ce nom"
    if isinstance(fault, IsADirectoryError):
        return "c'est un dossier"
    if isinstance(fault, PermissionError):
        return "vous n'avez pas le droit de le lire"
    return fault.strerror or "le disque ne répond pas"


def rule_file_of(text: str) -> RuleFile:
    """The rules of a TOML text, and its words. RuleMistake."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise RuleMistake([not_toml(str(fault))]) from None
    except RecursionError:
        raise RuleMistake([Mistake("", "des listes dans des listes, bien trop profond.")]) from None
    draft = _draft(raw, Lines(text))
    meaning.check(draft)
    if draft.found:
        raise RuleMistake(draft.found)
    rules = with_widths(_rules_of(draft))
    left = mistakes(rules)
    if left:  # what the reader cannot say in French is refused all the same
        raise RuleMistake(Mistake("", says) for says in left)
    return RuleFile(rules, draft.words)


def _rules_of(draft: Draft) -> RuleSet:
    return RuleSet(
        programme=draft.programme,
        version=draft.version,
        timezone=draft.timezone,
        never=draft.never,
        purses=tuple(read.made for read in draft.purses),
        ceilings=draft.ceilings.made,
        phone=draft.phone,
        families=draft.families,
        campaigns=tuple(read.made for read in draft.campaigns),
        who_pays=draft.who_pays,
        allotments=tuple(read.made for read in draft.allotments),
        examples=tuple(read.made for read in draft.examples),
    )


def _draft(raw: Mapping[str, Any], lines: Lines) -> Draft:
    top = Part(raw, "début du fichier", "", 0, lines, [])
    top.only(
        *("programme", "version", "unit", "timezone", "phone", "never", "words", "ceilings"),
        *("purse", "allotment", "bonus", "who_pays", "family", "example"),
    )
    unit = top.text("unit")
    if unit and unit != UNIT:
        top.wrong("unit", f'unit = "{UNIT}" est la seule unité qui existe. Écrivez-la ainsi.')
    families = _families(top)
    return Draft(
        top=top,
        programme=top.text("programme"),
        version=top.whole("version", 0xFFFF),
        timezone=top.text("timezone"),
        phone=top.text("phone", usual="", most=40),
        never=top.words("never"),
        families=families,
        words=_words(top),
        ceilings=_ceilings(top),
        purses=[Read(_purse(part), part) for part in _parts(top, "purse", "enveloppe", "id")],
        campaigns=[Read(_campaign(part), part) for part in _parts(top, "bonus", "bonus", "id")],
        allotments=[Read(_allotment(part), part) for part in _parts(top, "allotment", "dotation", "purse")],
        who_pays=_who_pays(top),
        examples=[Read(_example(part), part) for part in _parts(top, "example", "exemple", "")],
    )


def _parts(top: Part, name: str, called: str, code: str) -> list[Part]:
    """The [[name]] parts of the file, each called by its own code where it has one."""
    value = top.raw.get(name, [])
    if isinstance(value, dict):
        line = top.lines.of(name, 0)
        top.found.append(
            Mistake("", f"[{name}] s'écrit [[{name}]], entre doubles crochets : il peut y en avoir plusieurs.", line)
        )
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        top.wrong(name, f"{name} s'écrit [[{name}]] sur une ligne, puis ses mots dessous.")
        return []
    parts = []
    for count, raw in enumerate(value):
        own = raw.get(code) if code else None
        where = f"{called} « {own} »" if isinstance(own, str) and own else f"{called} n° {count + 1}"
        parts.append(Part(raw, where, name, count, top.lines, top.found))
    return parts


def _single(top: Part, name: str) -> Part | None:
    value = top.raw.get(name)
    if isinstance(value, dict):
        return Part(value, f"[{name}]", name, 0, top.lines, top.found)
    if name in top.raw:
        top.found.append(
            Mistake("", f"{name} s'écrit [{name}] sur une ligne, puis ses mots dessous.", top.lines.of(name, 0))
        )
    return None


# --- words and families ----------------------------------------------------------------------------------------------


def _words(top: Part) -> dict[str, str]:
    """What the file's own words mean."""
    part = _single(top, "words")
    return {} if part is None else {name: part.text(name, most=120) for name in part.raw}


def _families(top: Part) -> Mapping[str, Family]:
    """The usual tree and the families the file adds to it."""
    families = [*DEFAULT_FAMILIES]
    codes = {family.code for family in families}
    for part in _parts(top, "family", "famille", "id"):
        part.only("id", "part_of", "name", "icon")
        code, name = _code(part, "id", LONGEST_FAMILY_CODE), part.text("name")
        parent = part.text("part_of") if "part_of" in part.raw else None
        if code in codes:
            part.wrong("id", f"la famille « {code} » existe déjà. Choisissez un autre id, ou retirez-la.")
        if parent and parent not in codes:
            part.wrong("part_of", f"part_of : la famille « {parent} » n'existe pas plus haut. {meant(parent, codes)}")
        icon = part.text("icon", usual=name[:1].upper() or "?", most=1)
        if part.is_sound:
            families.append(Family(code, parent, name, icon))
            codes.add(code)
    return tree(tuple(families))


def _code(part: Part, name: str, most: int = 64) -> str:
    """A code: small ASCII letters, figures and hyphens."""
    code = part.text(name, most=most)
    if code and not _CODE.fullmatch(code):
        part.wrong(
            name,
            f'{name} = "{code}" : écrivez-le en petites lettres sans accent ni espace, chiffres et traits d\'union.',
        )
    return code


# --- purses ----------------------------------------------------------------------------------------------------------


def _purse(part: Part) -> Purse:
    part.only("number", "id", "name", "funder", "pays", "window", "unspent", "ceiling", "match", "unattended")
    ceilings, price_ceiling = _purse_ceilings(part)
    return Purse(
        number=PurseNumber(part.whole("number", 255)),
        code=_code(part, "id"),
        name=part.text("name"),
        pays=_conditions(part, "pays"),
        funder=part.text("funder", usual=""),
        window=part.choice("window", Window),
        unspent=part.choice("unspent", Unspent),
        ceilings=ceilings,
        price_ceiling=price_ceiling,
        match=_match(part),
        pays_unattended=part.flag("unattended"),
    )


def _conditions(part: Part, name: str) -> tuple[Condition, ...]:
    if name not in part.raw:
        part.lacks(name, f'{name} = [{{ families = ["…"], merchants = ["…"] }}]. Ajoutez cette ligne.')
        return ()
    tables = part.tables(name)
    if not tables and part.raw[name] == []:
        part.wrong(name, f"{name} = [] ne vise rien. Donnez au moins une condition.")
    for item in tables:
        item.only(*_CONDITION)
    return tuple(_condition(item) for item in tables)


def _condition(part: Part) -> Condition:
    if not (set(part.raw) | part.misspelt) & {"families", "products", "labels"}:
        part.wrong(
            "families",
            'cette condition viserait tout, même ce qui ne se mange pas. Dites quelles familles : families = ["food"].',
        )
    return Condition(
        families=part.words("families"),
        merchants=part.words("merchants"),
        labels=part.words("labels"),
        products=_list_name(part, "products"),
    )


def _list_name(part: Part, name: str) -> str | None:
    if name not in part.raw:
        return None
    value = part.raw[name]
    if not isinstance(value, str) or not value.startswith(LIST) or value == LIST:
        part.wrong(name, f'{name} nomme une liste signée du catalogue : {name} = "{LIST}milk-2026".')
        return None
    return value.removeprefix(LIST)


def _purse_ceilings(part: Part) -> tuple[PurseCeilings, PriceCeiling | None]:
    inner = part.table("ceiling")
    if inner is None:
        return PurseCeilings(), None
    inner.only("price", "per", "payment", "day")
    ceilings = PurseCeilings(inner.cents_or_none("payment"), inner.cents_or_none("day"))
    if not {"price", "per"} & set(inner.raw):
        return ceilings, None
    return ceilings, PriceCeiling(inner.cents("price"), inner.text("per"))


def _match(part: Part) -> Match | None:
    inner = part.table("match")
    if inner is None:
        return None
    inner.only("share", "of")
    return Match(inner.share("share") or Fraction(0), inner.choice("of", MatchOf, MatchOf.CARD))


# --- bonus, allotments, who pays --------------------------------------------------------------------------------------


def _campaign(part: Part) -> Campaign:
    part.only("id", "from", "to", "for", *_CONDITION, "earned_on", "give", "per", "month_cap", "into")
    if "for" in part.raw and set(part.raw) & set(_CONDITION):
        part.wrong("for", "for = [{ … }] remplace families, merchants, labels et products : gardez l'un ou l'autre.")
    conditions = _conditions(part, "for") if "for" in part.raw else (_condition(part),)
    if "earned_on" not in part.raw:
        part.lacks("earned_on", 'earned_on = ["…"] : les enveloppes dont l\'argent rapporte ce bonus.')
    return Campaign(
        code=_code(part, "id", LONGEST_CAMPAIGN),
        first_day=part.day("from"),
        last_day=part.day("to"),
        conditions=conditions,
        earned_on=part.words("earned_on"),
        give=part.cents("give"),
        per=part.cents("per"),
        month_cap=part.cents("month_cap"),
        into=part.text("into"),
    )


def _ceilings(top: Part) -> Read[Ceilings]:
    part = _single(top, "ceilings")
    if part is None:
        part = Part({}, "[ceilings]", "ceilings", 0, top.lines, top.found)
        if "ceilings" not in top.raw and "ceilings" not in top.misspelt:
            says = "il manque la partie [ceilings] : floor_limit, day_total, confirm, void_allowance et tiers."
            top.found.append(Mistake("", f"{says} Ajoutez-la."))
        zero = Cents(0)
        part.is_sound = False
        return Read(Ceilings(zero, zero, zero, (), zero), part)
    part.only("floor_limit", "day_total", "confirm", "void_allowance", "payment", "tiers")
    return Read(
        Ceilings(
            floor_limit=part.cents("floor_limit"),
            day_total=part.cents("day_total"),
            confirm=part.cents("confirm"),
            tiers=_tiers(part),
            void_allowance=part.cents("void_allowance"),
            payment=part.cents_or_none("payment"),
        ),
        part,
    )


def _tiers(part: Part) -> tuple[Tier, ...]:
    if part.raw.get("tiers", []) == []:
        part.lacks(
            "tiers",
            "tiers = [{ days = 8 }, …] : sans palier, aucune carte ne paierait dès la première heure.",
        )
        return ()
    tables = part.tables("tiers")
    for inner in tables:
        inner.only("days", "day_total")
    return tuple(Tier(inner.whole("days", _MOST_DAYS), inner.cents_or_none("day_total")) for inner in tables)


def _allotment(part: Part) -> Allotment:
    part.only("purse", "adult", "child", "household", "next", "months", "only_if", "paid_by")
    return Allotment(
        purse=part.text("purse"),
        adult=part.cents_or_none("adult") or Cents(0),
        child=part.cents_or_none("child") or Cents(0),
        household=part.cents_or_none("household") or Cents(0),
        next=part.cents_or_none("next") or Cents(0),
        months=part.whole("months", _MOST_MONTHS) if "months" in part.raw else None,
        only_if=part.text("only_if") if "only_if" in part.raw else None,
        paid_by=_paid_by(part),
    )


def _paid_by(part: Part) -> tuple[tuple[str, Fraction], ...]:
    """Who bears which share, in the order written; what is left goes to the one that says "rest"."""
    inner = part.table("paid_by")
    if inner is None:
        return ()
    shares = {who: inner.share(who, says_rest=True) for who in inner.raw}
    rest = [who for who, share in shares.items() if share is None]
    given = sum((share for share in shares.values() if share is not None), Fraction(0))
    if not inner.is_sound:
        return ()
    if len(rest) > 1:
        inner.wrong(rest[1], f'deux fois "{REST}" ({" et ".join(rest)}) : un seul financeur prend le reste.')
    elif rest and given >= 1:
        inner.wrong(rest[0], f'il ne reste rien pour "{REST}" : les autres parts font déjà le tout. Corrigez-les.')
    elif not rest and given != 1:
        inner.wrong("", f'les parts ne font pas le tout. Corrigez-les, ou écrivez "{REST}" pour l\'un des financeurs.')
    return tuple((who, 1 - given if share is None else share) for who, share in shares.items())


def _who_pays(top: Part) -> tuple[WhoPays, ...]:
    """The usual table with the rows the file has instead."""
    rows = {row.case: row for row in USUAL_WHO_PAYS}
    seen: set[Case] = set()
    for part in _parts(top, "who_pays", "qui paie", "case"):
        part.only("case", "payer", "up_to", "by_a_person")
        case = part.choice("case", Case)
        if part.is_sound and case in seen:
            part.wrong("case", f"le cas « {case.value} » est écrit deux fois. Gardez-en un.")
        seen.add(case)
        rows[case] = WhoPays(case, part.choice("payer", Payer), part.cents_or_none("up_to"), part.flag("by_a_person"))
    return tuple(rows[case] for case in Case)


# --- examples ---------------------------------------------------------------------------------------------------------

MONTH_BASE: Final = "month_base"
_UNUSED_DAY: Final = date(2000, 1, 1)


def _example(part: Part) -> Example:
    part.only("says", "basket", "merchant", "card", "paid", "bonus", "day", "certified")
    if part.raw.get("basket", []) == []:
        part.lacks("basket", 'basket = [{ family = "…", amount = "…" }] : ce qui est acheté.')
    card, paid = _sums(part, "card"), _sums(part, "paid")
    return Example(
        says=part.text("says", most=200),
        basket=tuple(_example_line(item) for item in part.tables("basket")),
        merchant=part.words("merchant"),
        card={code: amount for code, amount in card.items() if code != MONTH_BASE},
        paid=paid,
        bonus=part.cents_or_none("bonus") or Cents(0),
        month_base=card.get(MONTH_BASE, Cents(0)),
        day=part.day("day", _UNUSED_DAY) if "day" in part.raw else None,
        certified=part.words("certified"),
    )


def _sums(part: Part, name: str) -> dict[str, Cents]:
    if name not in part.raw:
        part.lacks(name, f'{name} = {{ … = "40.00" }} (par enveloppe ; {{ }} pour rien). Ajoutez cette ligne.')
        return {}
    inner = part.table(name)
    if inner is None:
        return {}
    return {code: inner.cents(code) for code in inner.raw}


def _example_line(part: Part) -> ExampleLine:
    part.only("family", "amount", "labels", "quantity", "products")
    quantity, unit = part.quantity("quantity")
    return ExampleLine(
        family=part.text("family"),
        amount=part.cents("amount"),
        labels=tuple(sorted(part.words("labels"))),
        quantity=quantity,
        unit=unit,
        lists=_lists(part),
    )


def _lists(part: Part) -> frozenset[str] | None:
    """The product lists a line's product stands in; ``None`` for a product nobody knows."""
    name = _list_name(part, "products")
    return None if name is None else frozenset({name})
