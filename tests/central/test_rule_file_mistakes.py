"""Each mistake in a rule file gets a French sentence that says where it stands and what to do about it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.rule_file import RuleMistake, open_rule_file
from central.rule_file.examples import run_examples
from central.rule_file.reading import rule_file_of
from central.rule_file.sentences import sections

GOOD = """\
programme = "essai"
version   = 1
unit      = "EUR-cent"
timezone  = "Europe/Paris"
phone     = "05 62 00 00 00"
never     = ["alcohol", "pet"]

[words]
mutual = "la mutuelle"
city   = "la ville"
paid   = "la cotisation est payée"

[[family]]
id      = "seeds"
part_of = "food"
name    = "Semences"

[[purse]]
number  = 1
id      = "food"
name    = "Alimentation"
pays    = [{ families = ["food"], merchants = ["referenced"] }]
window  = "month"
unspent = "lapse"
ceiling = { payment = "30.00", day = "50.00" }

[[purse]]
number  = 2
id      = "plus"
name    = "Coup de pouce"
pays    = [
  { families = ["vegetables"], merchants = ["sustainable"] },
  { families = ["hygiene"], products = "list:milk-2026", labels = ["organic"] },
]
window  = "month"
unspent = "lapse"
match   = { share = "1/3", of = "card" }

[[bonus]]
id        = "winter"
from      = 2026-01-01
to        = 2026-03-31
families  = ["fresh-produce"]
earned_on = ["food"]
give      = "5.00"
per       = "10.00"
month_cap = "60.00"
into      = "food"

[[bonus]]
id        = "summer"
from      = 2026-07-01
to        = 2026-08-31
families  = ["fresh-produce"]
earned_on = ["food"]
give      = "1.00"
per       = "10.00"
month_cap = "20.00"
into      = "food"

[[allotment]]
purse     = "food"
household = "50.00"
next      = "25.00"
only_if   = "paid"
paid_by   = { mutual = "rest", city = "60 %" }

[[who_pays]]
case  = "torn-without-proof"
payer = "programme"
up_to = "20.00"

[ceilings]
floor_limit = "80.00"
day_total   = "120.00"
confirm     = "50.00"
void_allowance = "20.00"
tiers = [{ days = 8 }, { days = 31, day_total = "30.00" }]

[[example]]
says     = "Du pain"
basket   = [{ family = "bread", amount = "3.00" }]
merchant = ["referenced"]
card     = { food = "40.00" }
paid     = { food = "3.00" }
"""

MISTAKES = {
    item["name"]: (item["written"], item["wrong"], item["says"])
    for item in tomllib.loads(Path(__file__).with_name("rule_file_mistakes.toml").read_text(encoding="utf-8"))[
        "mistake"
    ]
}


def told(text: str) -> list[str]:
    """What the reader says of a text."""
    with pytest.raises(RuleMistake) as wrong:
        rule_file_of(text)
    return [str(mistake) for mistake in wrong.value.mistakes]


def test_the_file_the_mistakes_are_planted_in_is_right() -> None:
    file = rule_file_of(GOOD)
    assert [run.is_as_said for run in run_examples(file.rules)] == [True]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_once_where_it_stands(name: str) -> None:
    written, wrong, says = MISTAKES[name]
    assert written in GOOD
    assert told(GOOD.replace(written, wrong, 1)) == [says]


def test_all_mistakes_of_a_file_are_told_at_once_from_top_to_bottom() -> None:
    text = GOOD
    for written, wrong in (
        ("version   = 1", "version = 0"),
        ('give      = "5.00"', "give = 5.0"),
        ("to        = 2026-03-31", "to = 2026-03-15"),
        ("number  = 2", "number = 1"),
        ('only_if   = "paid"', 'only_if = "never-heard-of"'),
        ('floor_limit = "80.00"', 'floor_limit = "800.00"'),
    ):
        assert written in text
        text = text.replace(written, wrong, 1)
    lines = [int(says.split()[1].strip(",")) for says in told(text)]
    assert lines == [2, 28, 45, 65, 74]  # the end of the bonus waits until its sum can be read


def test_the_same_slip_in_two_conditions_of_a_purse_is_told_once() -> None:
    text = GOOD.replace('families = ["hygiene"]', 'families = ["vegetable"]').replace('["vegetables"]', '["vegetable"]')
    assert told(text) == [
        "ligne 31, enveloppe « plus » : dans pays, la famille « vegetable » n'existe pas. Vouliez-vous « vegetables » ?"
    ]


def test_a_file_without_a_purse_is_told_that_and_nothing_that_follows_from_it() -> None:
    text = GOOD[: GOOD.index("[[purse]]")] + GOOD[GOOD.index("[[bonus]]") :]
    says = "début du fichier : aucune enveloppe, donc rien n'est payé. Ajoutez au moins une partie [[purse]]."
    assert told(text) == [says]


def test_a_file_that_cannot_be_read_at_all_is_told_too(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes('programme = "essai"\nname = "légumes"\n'.encode("latin-1"))
    with pytest.raises(RuleMistake, match=r"ligne 2, latin\.toml : ce caractère n'est pas en UTF-8"):
        open_rule_file(latin)
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * 1_000_001)
    with pytest.raises(RuleMistake, match="trop grand"):
        open_rule_file(huge)
    with pytest.raises(RuleMistake, match="ne se lit pas"):
        open_rule_file(tmp_path)
    deep = tmp_path / "deep.toml"
    deep.write_text("a = " + "[" * 100_000)
    with pytest.raises(RuleMistake):
        open_rule_file(deep)


def test_a_programme_made_of_nothing_is_told_what_it_needs() -> None:
    says = told("")
    for word in ("programme", "version", "unit", "timezone", "[ceilings]", "enveloppe"):
        assert any(word in sentence for sentence in says), word


SCRAPS = [
    *("", "1", "0", "-1", "1.5", "true", "nan", '""', '"5.00"', '"food"', '"rest"', "[]", "{}", "[[]]", "[{}]", "[1]"),
    *("2026-01-01", "2026-01-01T00:00:00Z", "12:00:00", '["food"]', '[{ families = ["food"] }]', '"list:x"', '"1/0"'),
    *('"0 %"', "{ food = 1 }", '{ a = { b = "rest" } }', '"\\u0000"', '"9999999 kg"', "9999-12-31", "0001-01-01"),
]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_stands_behind_a_word_the_file_is_right_or_told_in_sentences(data: st.DataObject) -> None:
    rows = GOOD.splitlines()
    for place in data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=3)):
        word, sign, _ = rows[place].partition("=")
        scraps = st.sampled_from(
            [f"{word}= {scrap}" for scrap in SCRAPS] if sign else ["", "[words]", "[[purse]]", "x"]
        )
        rows[place] = data.draw(scraps)
    try:
        file, mistakes = rule_file_of("\n".join(rows)), None
    except RuleMistake as wrong:
        file, mistakes = None, wrong.mistakes
    if file is None:
        assert mistakes
        assert all(mistake.says.endswith((".", "?")) for mistake in mistakes)
    else:
        assert sections(file)
        assert len(run_examples(file.rules)) == len(file.rules.examples)
