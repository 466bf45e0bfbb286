"""A new version of the rules: taken, or refused with what to do where it would break what was promised."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from central import bonuses
from central.office import Office, make_centre
from central.report import report
from central.rule_file import RuleMistake
from domain.card_log import Debit, LogRecord, LogType
from domain.identity import PurseNumber, SlotFile
from domain.money import ZERO, Cents
from sync.card_format import encode_log_record, encode_reader_id
from sync.crypto import new_private_key
from sync.record import RecordType
from tests.central.kit import RULE_FILE, Held, Stall, WoundClock, enrol, new_card, new_office, new_stall

WHOLE = RULE_FILE.read_text()
TEXT, _, _ = WHOLE.partition("[[example]]")
"""Without the examples, which other rules would contradict."""
MARCH = (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))


@pytest.fixture
def clock() -> WoundClock:
    return WoundClock(datetime(2026, 3, 7, 8, tzinfo=UTC))


@pytest.fixture
def office(tmp_path: Path, clock: WoundClock) -> Iterator[Office]:
    opened = new_office(tmp_path / "centre", clock)
    yield opened
    opened.close()


def changed(folder: Path, *pairs: tuple[str, str], version: int = 2) -> Path:
    """The Gers' rules with other words, under another version."""
    text = TEXT
    for before, after in (("version   = 1", f"version   = {version}"), *pairs):
        assert before in text
        text = text.replace(before, after)
    path = folder / f"rules-{version}.toml"
    path.write_text(text)
    return path


def test_rules_whose_own_examples_do_not_come_out_are_refused_with_both_sums(office: Office, tmp_path: Path) -> None:
    whole = WHOLE.replace("version   = 1", "version   = 2")
    path = tmp_path / "rules.toml"
    path.write_text(whole.replace('"6.25"', '"6.50"'))
    (said,) = refused(office, path)
    assert said == (
        "exemple « 12,50 € de légumes chez un producteur, carte à 40 € » : "
        "il dit : « Alimentation » paie 12,50\u202f€, bonus 6,50\u202f€ ; "
        "ces règles donnent : « Alimentation » paie 12,50\u202f€, bonus 6,25\u202f€. "
        "Corrigez l'exemple, ou les règles."
    )
    path.write_text(WHOLE.replace('"6.25"', '"6.50"'))  # also in a new text of the rules in force
    assert len(refused(office, path)) == 1
    path.write_text(whole)
    assert office.take_rules(path).version == 2


def test_a_centre_does_not_begin_with_examples_that_do_not_come_out(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(WHOLE.replace('"6.25"', '"6.50"'))
    with pytest.raises(RuleMistake, match="ces règles donnent"):
        make_centre(tmp_path / "other", path)
    path.write_text(WHOLE)
    make_centre(tmp_path / "other", path)


def refused(office: Office, path: Path) -> list[str]:
    with pytest.raises(RuleMistake) as wrong:
        office.take_rules(path)
    return [str(mistake) for mistake in wrong.value.mistakes]


OTHER_PURSE = """
[[purse]]
number  = 2
id      = "fresh"
name    = "Frais"
pays    = [{ families = ["fresh-produce"], merchants = ["referenced"] }]
window  = "month"
unspent = "lapse"

[ceilings]"""


GIFT_PURSE = OTHER_PURSE.replace('"fresh"', '"gift"').replace("[ceilings]", "").lstrip()


def bonus(code: str, first: str, last: str, give: str = "5.00") -> str:
    """One more bonus, before the ceilings."""
    own = TEXT[TEXT.index("[[bonus]]") : TEXT.index("[ceilings]")]
    for before, after in (
        ("sustainable-winter", code),
        ("2026-01-01", first),
        ("2026-05-31", last),
        ('give      = "5.00"', f'give      = "{give}"'),
    ):
        own = own.replace(before, after)
    return own + "[ceilings]"


def test_a_new_version_reaches_the_terminals_and_keeps_its_text(office: Office, tmp_path: Path) -> None:
    stall = new_stall(office)
    office.take_rules(changed(tmp_path, ('floor_limit = "80.00"', 'floor_limit = "90.00"')))
    told = stall.download(office).rules
    assert told is not None and (told.version, told.ceilings.floor_limit) == (2, 9_000)
    assert office.rules_as_written().rules.allotments == office.rules_as_written().rules.allotments != ()


def test_a_version_that_does_not_grow_is_refused_and_nothing_changes(office: Office, tmp_path: Path) -> None:
    path = changed(tmp_path, ('floor_limit = "80.00"', 'floor_limit = "90.00"'), version=1)
    assert refused(office, path) == ["version : les règles en vigueur ont la version 1. Écrivez version = 2."]
    assert office.rules.ceilings.floor_limit == 8_000


def test_other_comments_and_examples_of_the_version_in_force_are_taken_and_every_text_is_kept(
    office: Office, tmp_path: Path
) -> None:
    path = tmp_path / "again.toml"
    path.write_text(WHOLE.replace("# jamais réattribué", "# jamais donné").replace("En juin il", "En été il"))
    for _ in range(2):
        assert office.take_rules(path).version == 1
    kept = [row["text"] for row in office.store.all("SELECT text FROM rule_text ORDER BY rowid")]
    assert kept == [WHOLE, path.read_text()]
    assert any(example.says.startswith("En été") for example in office.rules_as_written().rules.examples)


@pytest.mark.parametrize(
    "pair",
    [
        ('adult = "40.00"', 'adult = "400.00"'),
        ('child = "20.00"', 'child = "20.00"\nmonths = 2'),
        ('child = "20.00"', 'child = "20.00"\npaid_by = { food-fund = "rest" }\n[words]\nfood-fund = "le fonds"'),
    ],
)
def test_other_allotments_are_another_version(office: Office, tmp_path: Path, pair: tuple[str, str]) -> None:
    """Terminals are told nothing of them, so that the version's number is all that says which were in force when."""
    assert refused(office, changed(tmp_path, pair, version=1)) == [
        "version : les règles en vigueur ont la version 1. Écrivez version = 2."
    ]
    assert office.rules_as_written().rules.allotments[0].adult == 4_000
    assert office.take_rules(changed(tmp_path, pair)).version == 2
    assert [row["version"] for row in office.store.all("SELECT version FROM rule_text")] == [1, 2]


def test_a_centre_that_lost_the_text_of_its_rules_takes_it_again(office: Office) -> None:
    with office.store.writing():
        office.store.change("DELETE FROM rule_text")
    assert office.take_rules(RULE_FILE).version == 1
    assert office.rules_as_written().rules.allotments[0].adult == 4_000


def test_another_programmes_rules_are_refused(office: Office, tmp_path: Path) -> None:
    (why,) = refused(office, changed(tmp_path, ('programme = "gers"', 'programme = "landes"')))
    assert why == "programme : ce centre est celui du programme « gers ». Un autre a le sien."


def test_days_stay_those_of_the_programmes_time_zone(office: Office, tmp_path: Path) -> None:
    (why,) = refused(office, changed(tmp_path, ("Europe/Paris", "America/Martinique")))
    assert why == "timezone : les jours de ce programme sont ceux de Europe/Paris, depuis son début."


def test_a_purse_number_is_never_another_purses_not_even_years_later(office: Office, tmp_path: Path) -> None:
    office.take_rules(changed(tmp_path, ("[ceilings]", OTHER_PURSE.lstrip())))
    office.take_rules(changed(tmp_path, version=3))
    again = OTHER_PURSE.lstrip().replace('"fresh"', '"bread"')
    (why,) = refused(office, changed(tmp_path, ("[ceilings]", again), version=4))
    assert why.startswith("[[purse]] bread : le numéro 2 est celui de l'enveloppe « fresh » depuis la version 2")


def test_a_purse_that_cards_hold_money_in_stays_in_the_rules(office: Office, tmp_path: Path, clock: WoundClock) -> None:
    office.take_rules(changed(tmp_path, ("[ceilings]", OTHER_PURSE.lstrip())))
    held = new_card(office, 1, granted=0)
    office.grant(held.card, PurseNumber(2), Cents(500), *MARCH)
    (why,) = refused(office, changed(tmp_path, version=3))
    assert why.startswith("[[purse]] fresh : des cartes ont encore de l'argent dans l'enveloppe n° 2")
    clock.at = datetime(2026, 4, 1, 8, tzinfo=UTC)
    assert office.take_rules(changed(tmp_path, version=3)).version == 3


@pytest.mark.parametrize(
    ("before", "after"), [('window  = "month"', 'window  = "dates"'), ('unspent = "lapse"', 'unspent = "carry"')]
)
def test_money_on_a_purse_goes_on_to_end_as_it_was_given(
    office: Office, tmp_path: Path, before: str, after: str
) -> None:
    """Money without end that lapsed from now on would be stranded; dates that became months would be granted twice."""
    office.take_rules(changed(tmp_path, ("[ceilings]", OTHER_PURSE.lstrip())))
    kept = OTHER_PURSE.lstrip().replace(before, after)
    (why,) = refused(office, changed(tmp_path, ("[ceilings]", kept), version=3))
    assert why.startswith('[[purse]] fresh : l\'enveloppe n° 2 a window = "month" et unspent = "lapse"')
    other = kept.replace("number  = 2", "number  = 3").replace('"fresh"', '"fresh-2"')
    both = (OTHER_PURSE + other).replace("[ceilings]", "").lstrip() + "[ceilings]"
    assert office.take_rules(changed(tmp_path, ("[ceilings]", both), version=3)).version == 3


def test_a_purse_keeps_its_number_and_so_the_bonus_due_into_it(office: Office, tmp_path: Path) -> None:
    (why,) = [
        why
        for why in refused(office, changed(tmp_path, ("number  = 1 ", "number  = 7 ")))
        if "cette enveloppe a le numéro 1" in why
    ]
    assert why.startswith("[[purse]] food") and "Écrivez number = 1" in why


def test_a_purse_a_bonus_goes_into_stays_until_late_reports_are_in(
    office: Office, tmp_path: Path, clock: WoundClock
) -> None:
    """No card holds money in it: what the tills have shown is not granted yet."""
    into = ('into      = "food"', 'into      = "gift"')
    clock.at = datetime(2025, 11, 1, 8, tzinfo=UTC)
    office.take_rules(changed(tmp_path, into, ("[[allotment]]", GIFT_PURSE + "[[allotment]]")))
    gone = changed(tmp_path, (TEXT[TEXT.index("[[bonus]]") : TEXT.index("[ceilings]")], ""), version=3)
    clock.at = datetime(2026, 9, 28, 8, tzinfo=UTC)
    (why,) = refused(office, gone)
    assert why.startswith("[[purse]] gift : un bonus se verse sur l'enveloppe n° 2")
    assert why.endswith("Gardez-la jusqu'au 28 septembre 2026.")
    clock.at = datetime(2026, 9, 29, 8, tzinfo=UTC)
    assert office.take_rules(gone).version == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('give      = "5.00"', 'give      = "4.00"'),
        ('per       = "10.00"', 'per       = "11.00"'),
        ('month_cap = "60.00"', 'month_cap = "50.00"'),
        ("from      = 2026-01-01", "from      = 2026-02-01"),
    ],
)
def test_a_bonus_that_has_begun_keeps_its_terms(office: Office, tmp_path: Path, before: str, after: str) -> None:
    (why,) = refused(office, changed(tmp_path, (before, after)))
    assert why.startswith("[[bonus]] sustainable-winter : ce bonus a commencé le 1er janvier 2026")


def test_a_bonus_that_has_begun_may_end_sooner_or_later(office: Office, tmp_path: Path) -> None:
    assert office.take_rules(changed(tmp_path, ("2026-05-31", "2026-06-30"), version=2)).version == 2
    assert office.take_rules(changed(tmp_path, ("2026-05-31", "2026-03-31"), version=3)).version == 3


def test_the_refusal_of_other_sums_says_how_to_come_to_them(office: Office, tmp_path: Path) -> None:
    """What it says, done to the letter, is taken."""
    (why,) = refused(office, changed(tmp_path, ('give      = "5.00"', 'give      = "4.00"')))
    assert why.endswith(
        "Gardez-les, finissez-le le 30 avril 2026 (to = 2026-04-30) ou à la fin d'un mois d'après, et donnez au "
        "suivant un autre id : il commence le lendemain."
    )
    spring = bonus("spring", "2026-05-01", "2026-06-30", give="4.00")
    assert office.take_rules(changed(tmp_path, ("2026-05-31", "2026-04-30"), ("[ceilings]", spring))).version == 2


@pytest.mark.parametrize("change", ["renamed", "dropped", "over by the month before", "put off to a later month"])
def test_a_bonus_that_has_begun_goes_on_to_the_end_of_the_month(office: Office, tmp_path: Path, change: str) -> None:
    """Tills with this version and tills with the next would both show it, each up to the month's cap."""
    path = {
        "renamed": lambda: changed(tmp_path, ("sustainable-winter", "sustainable-w2")),
        "dropped": lambda: changed(tmp_path, (TEXT[TEXT.index("[[bonus]]") : TEXT.index("[ceilings]")], "")),
        "over by the month before": lambda: changed(tmp_path, ("2026-05-31", "2026-02-28")),
        "put off to a later month": lambda: changed(tmp_path, ("from      = 2026-01-01", "from      = 2026-05-01")),
    }[change]()
    why = refused(office, path)[0]
    assert why.startswith("[[bonus]] sustainable-winter : ce bonus a commencé le 1er janvier 2026 et les caisses")
    assert why.endswith("Gardez-le, sous ce nom, au moins jusqu'au 31 mars 2026 (to = 2026-03-31).")


def test_a_bonus_that_is_over_may_leave_the_rules(office: Office, tmp_path: Path, clock: WoundClock) -> None:
    clock.at = datetime(2026, 6, 1, 8, tzinfo=UTC)
    gone = (TEXT[TEXT.index("[[bonus]]") : TEXT.index("[ceilings]")], "")
    assert office.take_rules(changed(tmp_path, gone)).campaigns == ()


def test_a_bonus_begins_in_a_month_to_come(office: Office, tmp_path: Path, clock: WoundClock) -> None:
    clock.at = datetime(2026, 6, 15, 8, tzinfo=UTC)
    late = changed(tmp_path, ("[ceilings]", bonus("summer", "2026-06-01", "2026-08-31")))
    (why,) = refused(office, late)
    assert why.startswith("[[bonus]] summer : ce bonus est nouveau") and "(from = 2026-07-01)" in why
    in_time = changed(tmp_path, ("[ceilings]", bonus("summer", "2026-07-01", "2026-08-31")))
    assert office.take_rules(in_time).version == 2


def test_no_month_has_two_bonuses_as_long_as_tills_may_show_the_older_one(
    office: Office, tmp_path: Path, clock: WoundClock
) -> None:
    """Lists of 31 days still pay: a till that last heard of the centre on 30 March has the winter's bonus on 1 May."""
    clock.at = datetime(2026, 3, 30, 8, tzinfo=UTC)
    ends = ("2026-05-31", "2026-03-31")
    (why,) = refused(office, changed(tmp_path, ends, ("[ceilings]", bonus("spring", "2026-04-01", "2026-06-30"))))
    assert why.startswith("[[bonus]] spring : il serait en cours le 1er avril 2026, quand des caisses qui ont encore")
    assert "de la version 1 montrent encore « sustainable-winter »" in why
    assert "le 1er juin 2026 au plus tôt (from = 2026-06-01)" in why
    clock.at = datetime(2026, 3, 29, 8, tzinfo=UTC)
    spring = ("[ceilings]", bonus("spring", "2026-05-01", "2026-06-30"))
    assert office.take_rules(changed(tmp_path, ends, spring)).version == 2
    again = changed(tmp_path, ends, spring, ('floor_limit = "80.00"', 'floor_limit = "90.00"'), version=3)
    clock.at = datetime(2026, 5, 3, 8, tzinfo=UTC)
    assert office.take_rules(again).version == 3


def test_a_bonus_to_come_may_still_change_while_no_till_can_show_the_older_sums(
    office: Office, tmp_path: Path, clock: WoundClock
) -> None:
    four = ('give      = "5.00"', 'give      = "4.00"')
    clock.at = datetime(2025, 11, 30, 8, tzinfo=UTC)
    (why,) = refused(office, changed(tmp_path, four))
    assert why.startswith("[[bonus]] sustainable-winter : ses montants changent, et des caisses qui ont encore les")
    assert "le 1er février 2026 au plus tôt (from = 2026-02-01)" in why
    later = changed(tmp_path, four, ("from      = 2026-01-01", "from      = 2026-02-01"))
    assert office.take_rules(later).version == 2


def test_a_bonus_changed_before_it_began_is_held_against_what_it_began_as(
    office: Office, tmp_path: Path, clock: WoundClock
) -> None:
    four, other = ('give      = "5.00"', 'give      = "4.00"'), ('floor_limit = "80.00"', 'floor_limit = "90.00"')
    clock.at = datetime(2025, 11, 29, 8, tzinfo=UTC)
    office.take_rules(changed(tmp_path, four))
    clock.at = datetime(2026, 1, 5, 8, tzinfo=UTC)
    (why,) = refused(office, changed(tmp_path, other, version=3))
    assert "ses montants ne changent plus" in why
    assert office.take_rules(changed(tmp_path, four, other, version=3)).version == 3


def test_a_bonus_that_was_given_up_before_it_began_does_not_begin_late(
    office: Office, tmp_path: Path, clock: WoundClock
) -> None:
    clock.at = datetime(2025, 11, 29, 8, tzinfo=UTC)
    office.take_rules(changed(tmp_path, (TEXT[TEXT.index("[[bonus]]") : TEXT.index("[ceilings]")], "")))
    clock.at = datetime(2026, 1, 5, 8, tzinfo=UTC)
    (why,) = refused(office, changed(tmp_path, version=3))
    assert "(from = 2026-02-01)" in why
    later = changed(tmp_path, ("from      = 2026-01-01", "from      = 2026-02-01"), version=3)
    assert office.take_rules(later).version == 3


def test_all_that_is_wrong_is_told_at_once(office: Office, tmp_path: Path) -> None:
    path = changed(tmp_path, ('id      = "food"', 'id      = "eat"'), ('"food"]       #', '"eat"]       #'))
    path.write_text(
        path.read_text()
        .replace('into      = "food"', 'into      = "eat"')
        .replace('purse = "food"', 'purse = "eat"')
        .replace('{ food = "', '{ eat = "')
        .replace('give      = "5.00"', 'give      = "4.00"')
        .replace('bonus    = "6.25"', 'bonus    = "5.00"')
    )
    purse, bonus = refused(office, path)
    assert purse.startswith("[[purse]] eat : le numéro 1 est celui de l'enveloppe « food »")
    assert bonus.startswith("[[bonus]] sustainable-winter : ce bonus a commencé")


# --- a restored centre ------------------------------------------------------------------------------------------------


@dataclass
class Forgetful:
    """A centre of which there is a backup, and a stall whose till shows a bonus the backup knows nothing of."""

    folder: Path
    clock: WoundClock
    office: Office = field(init=False)
    stall: Stall = field(init=False)
    held: Held = field(init=False)

    def __post_init__(self) -> None:
        make_centre(self.folder / "centre", RULE_FILE, self.clock())
        self.office = Office(self.folder / "centre", self.clock)
        self.held = new_card(self.office, 1, granted=12_000, window=MARCH)
        farm = self.office.put_merchant("Ferme", ["referenced", "sustainable"], "vegetables")
        self.stall = enrol(self.office, farm.number, new_private_key())
        self.stall.at = self.clock.at
        self.office.store.all("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(self.office.directory, self.folder / "backup")

    def restore(self) -> None:
        self.office.close()
        shutil.rmtree(self.office.directory)
        shutil.copytree(self.folder / "backup", self.office.directory)
        self.office = Office(self.office.directory, self.clock)
        self.office.raise_epoch()

    def pay(self, cents: int, rules: int) -> None:
        """A payment of the stall under a version of the rules."""
        stall, held, seq = self.stall, self.held, self.stall.next_seq
        word, parts = stall.word_for(held), (Debit(SlotFile(1), Cents(cents)),)
        number = 0 if word is None else word.entitlement.seq & 0xFFFF
        record = LogRecord(
            LogType.PAYMENT, stall.station, seq, held.chip.tmc + 1, self.clock.at, rules, number, parts, ZERO, ZERO
        )
        own, mark = encode_log_record(record), 0 if word is None else word.entitlement.mark
        newer = word.padded if word is not None and word is not held.word else None
        reader = encode_reader_id(stall.station, seq)
        held.chip, payment = held.chip.pay({1: cents}, reader, own, None, newer, mark=mark)
        held.word = word
        shares = {"SHARES": [[0, 1, cents]], "BONUS": [cents, 0, cents // 2, None]}
        body = stall.payment_body(held, payment, **shares, CAMPAIGN="sustainable-winter", SLIPS_COUNTED=[])
        stall.write(RecordType.PAYMENT, body, rules_version=rules)

    @property
    def due(self) -> int:
        return int(bonuses.due(self.office.store, self.office.keys))


@pytest.fixture
def forgetful(tmp_path: Path, clock: WoundClock) -> Iterator[Forgetful]:
    made = Forgetful(tmp_path, clock)
    yield made
    made.office.close()


def test_what_was_paid_under_rules_a_restored_centre_forgot_earns_once_they_are_given_again(
    forgetful: Forgetful, tmp_path: Path
) -> None:
    second = changed(tmp_path, ('floor_limit = "80.00"', 'floor_limit = "90.00"'))
    forgetful.office.take_rules(second)
    forgetful.pay(2_000, rules=2)
    forgetful.restore()
    forgetful.stall.send(forgetful.office)
    assert forgetful.due == 0
    assert [notice.why for notice in report(forgetful.office).decided_otherwise] == [
        "règles n° 2 inconnues ici, pas redécidé"
    ]
    forgetful.office.take_rules(second)
    assert forgetful.due == 1_000
    assert not [notice for notice in report(forgetful.office).decided_otherwise if "inconnues" in notice.why]


def test_rules_that_were_in_force_before_the_centre_was_restored_are_taken_whatever_the_day(
    forgetful: Forgetful, tmp_path: Path, clock: WoundClock
) -> None:
    """Today they would come too late: their bonus has begun, and in the month of the one that was."""
    spring = ("[ceilings]", bonus("spring", "2026-05-01", "2026-06-30"))
    second = changed(tmp_path, ("2026-05-31", "2026-04-30"), spring)
    forgetful.office.take_rules(second)
    clock.at = forgetful.stall.at = datetime(2026, 5, 10, 8, tzinfo=UTC)
    forgetful.restore()
    assert len(refused(forgetful.office, second)) == 2, "no till has named them yet"
    forgetful.pay(2_000, rules=2)
    forgetful.stall.send(forgetful.office)
    assert forgetful.office.take_rules(second).version == 2


def test_a_till_that_names_rules_to_come_does_not_have_them_taken(forgetful: Forgetful, tmp_path: Path) -> None:
    forgetful.pay(2_000, rules=2)
    forgetful.stall.send(forgetful.office)
    assert refused(forgetful.office, changed(tmp_path, ('give      = "5.00"', 'give      = "4.00"')))
