"""Card after card on the issuing station: blank, torn, laid again, foreign, imitated; nothing stops the batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty

import pytest
from click.testing import CliRunner, Result

from domain.identity import CardId, Uid
from emulator.ntag424.card import VirtualNtag
from emulator.state_file import MemoryStore
from emulator.tear import Disturbance, Phase, tear_on
from panier.commands import issue as command
from sync.issuing import card_code, card_of_code
from sync.ntag_format import NTAG_AID
from terminal.errors import CardGone, NotOurCard
from terminal.events import CardsClash, Inward, ReaderCame, ReaderWent
from terminal.nfc.apdu import Ins
from terminal.nfc.in_process import InProcessReaders
from terminal.nfc.issuing import CardNotBlank, Found, NotAsOrdered, NotGenuine, Originality, Policy
from terminal.nfc.issuing.desk import Issued, NotIssued
from terminal.ports import Clock, Presence
from tests.card.issuing.desk_kit import READER, Bench, Register
from tests.card.issuing.kit import AT, HeldCard, application, blank, issued, order_for


def chip(number: int) -> HeldCard:
    """A blank card of its own serial number."""
    return blank(Uid(bytes.fromhex("0455AA0000") + number.to_bytes(2, "big")))


def test_a_blank_card_a_torn_one_and_a_finished_one_are_told_apart() -> None:
    bench, card = Bench(), chip(1)
    first = bench.serve(card, tear_on(Ins.CREATE_VALUE_FILE, Phase.ANSWER_LOST, nth=3))
    assert isinstance(first, NotIssued) and isinstance(first.fault, CardGone)
    order = bench.register.orders[card_uid(card)]
    assert (first.uid, first.card) == (order.uid, order.card)
    assert bench.serve(card) == Issued(order.card, "panier-demo", AT, Found.BEGUN, False)
    assert bench.serve(card) == Issued(order.card, "panier-demo", AT, Found.ISSUED, False)
    assert bench.serve(chip(2)) == Issued(card_of(bench, 2), "panier-demo", AT, Found.BLANK, False)


def card_uid(card: HeldCard) -> Uid:
    return Uid(bytes.fromhex(card.state["uid"]))


def card_of(bench: Bench, number: int) -> CardId:
    return bench.register.orders[card_uid(chip(number))].card


def foreign_chip() -> HeldCard:
    """Somebody else's card: other keys, nothing listed."""
    return issued(order_for(Uid(bytes.fromhex("0455AA00000009")), masters=0x11))


def test_a_foreign_card_is_refused_unchanged_and_not_taken_into_the_programme() -> None:
    bench, foreign = Bench(), foreign_chip()
    before = foreign.text
    result = bench.serve(foreign)
    assert isinstance(result, NotIssued) and isinstance(result.fault, CardNotBlank)
    assert (result.uid, result.card) == (card_uid(foreign), None)
    assert foreign.text == before
    assert bench.register.orders == {}


def test_an_imitation_is_refused_before_it_is_taken_into_the_programme_or_told() -> None:
    strict, card = Bench(originality=Originality()), chip(1)
    before = card.text
    result = strict.serve(card)
    assert isinstance(result, NotIssued) and isinstance(result.fault, NotGenuine)
    assert (strict.register.orders, card.text) == ({}, before)
    told = Bench(originality=Originality(Policy.WARN)).serve(card)
    assert isinstance(told, Issued) and told.is_origin_unproven


def test_a_card_that_left_before_it_was_served_is_named_by_nothing() -> None:
    bench = Bench()
    result = bench.desk.serve(Presence(READER, 7))
    assert isinstance(result, NotIssued) and isinstance(result.fault, CardGone)
    assert (result.uid, result.card) == (None, None)


# --- the command -----------------------------------------------------------------------------------------------------


@dataclass
class Hand:
    """Lays the next card down as soon as the station listens for one; then events as given, or Ctrl-C."""

    cards: list[tuple[HeldCard, tuple[Disturbance, ...]]]
    others: list[Inward] = field(default_factory=list)
    then_interrupts: bool = False


class ScriptedQueue:
    """The station's inbox, filled by the hand whenever it is empty."""

    def __init__(self, bench: Bench, hand: Hand) -> None:
        self._bench, self._hand = bench, hand
        self._came = [ReaderCame(READER)]

    def put(self, event: Inward) -> None:
        raise AssertionError("the bench has a queue of its own")

    def get(self, timeout: float | None = None) -> Inward:
        if self._came:
            return self._came.pop()
        if self._hand.others:
            return self._hand.others.pop(0)
        if self._hand.cards:
            return self._bench.lay(*self._hand.cards.pop(0))
        if self._hand.then_interrupts:
            raise KeyboardInterrupt
        raise Empty


@pytest.fixture
def station(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """``panier issue`` over an in-process reader and a centre in a folder."""
    bench = Bench()

    class Centre(Register):
        def __init__(self, *opened: object) -> None:
            super().__init__(bench.register.orders)

        def close(self) -> None:
            pass

    def readers(clock: Clock, post: object, reader: str | None) -> InProcessReaders:
        return bench.readers

    def run(hand: Hand, *options: str) -> Result:
        class Inbox:
            def __class_getitem__(cls, item: object) -> Callable[[], ScriptedQueue]:
                return lambda: ScriptedQueue(bench, hand)

        monkeypatch.setattr(command, "SimpleQueue", Inbox)
        arguments = ["--centre", str(tmp_path), "--originality", "off", *options]
        return CliRunner().invoke(command.issue, arguments, catch_exceptions=True)

    monkeypatch.setattr(command, "open_office", Centre)
    monkeypatch.setattr(command, "open_readers", readers)
    yield run
    bench.readers.close()


def labels(tmp_path: Path) -> list[list[str]]:
    return [line.split("\t") for line in (tmp_path / "labels.tsv").read_text().splitlines()]


Station = Callable[..., Result]


def test_one_card_gives_one_label_line_on_the_screen_and_in_the_file(station: Station, tmp_path: Path) -> None:
    card = chip(1)
    done = station(Hand([(card, ())]))
    assert done.exit_code == 0, done.output
    [[code, date, programme, number]] = labels(tmp_path)
    assert done.stdout == "\t".join((code, date, programme, number)) + "\n"
    assert (date, programme) == ("2026-05-02", "panier-demo")
    assert card_of_code(code).hex() == number
    assert f"Carte {code} : émise et vérifiée." in done.stderr
    assert application(card.state)["files"]["0F"]["tmc"] == 0


def test_a_batch_goes_on_through_tears_foreign_cards_and_cards_laid_again(station: Station, tmp_path: Path) -> None:
    first, second = chip(1), chip(2)
    torn = (tear_on(Ins.COMMIT_TRANSACTION, Phase.ANSWER_LOST),)
    hand = Hand(
        [(first, torn), (foreign_chip(), ()), (first, ()), (first, ()), (second, ())],
        [CardsClash(READER), ReaderWent(READER)],
    )
    done = station(hand, "--batch", "2")
    assert done.exit_code == 0, done.output
    codes = [row[0] for row in labels(tmp_path)]
    assert len(codes) == len(set(codes)) == 2
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [codes[0], codes[0], codes[1]]
    expected = [
        "Plusieurs cartes sur le lecteur",
        "Lecteur débranché",
        f"Carte {codes[0]} : retirée trop tôt.",
        "Puce 0455AA00000009 : ni vierge, ni de ce programme",
        f"Carte {codes[0]} : émission reprise",
        f"Carte {codes[0]} : déjà émise",
        f"Carte {codes[1]} : émise et vérifiée",
        "Cartes émises : 2 (dont 1 reprises). Déjà émises : 1. Sans suite : 2.",
    ]
    places = [done.stderr.find(words) for words in expected]
    assert -1 not in places and places == sorted(places)


def test_ctrl_c_ends_a_batch_without_number_with_the_count(station: Station, tmp_path: Path) -> None:
    done = station(Hand([(chip(1), ()), (chip(2), ())], then_interrupts=True), "--batch", "0")
    assert done.exit_code == 0, done.output
    assert "Cartes émises : 2 (dont 0 reprises). Déjà émises : 0. Sans suite : 0." in done.stderr
    assert len(labels(tmp_path)) == 2


def test_a_card_whose_label_was_lost_gets_it_when_it_is_laid_again(station: Station, tmp_path: Path) -> None:
    card = chip(1)
    station(Hand([(card, ())]))
    lost = (tmp_path / "labels.tsv").read_text()
    (tmp_path / "labels.tsv").unlink()
    again = station(Hand([(card, ())]))
    assert (again.exit_code, again.stdout) == (0, lost)
    assert (tmp_path / "labels.tsv").read_text() == lost
    assert "déjà émise" in again.stderr


def test_json_gives_one_object_a_card(station: Station, tmp_path: Path) -> None:
    done = station(Hand([(chip(1), ()), (chip(2), ())]), "--batch", "2", "--json")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [item["found"] for item in objects] == ["blank", "blank"]
    assert [[item[name] for name in ("code", "date", "programme", "card")] for item in objects] == labels(tmp_path)


def test_without_batch_a_card_that_is_not_finished_ends_with_its_sentence_and_status_1(station: Station) -> None:
    done = station(Hand([(chip(1), (tear_on(Ins.CREATE_APPLICATION, Phase.BEFORE),))]))
    assert done.exit_code == 1
    assert "retirée trop tôt. Reposez-la : l'émission reprendra où elle s'est arrêtée." in done.output


def test_no_card_and_no_reader_are_told_apart(station: Station) -> None:
    done = station(Hand([]))
    assert str(done.exception) == "Aucune carte sur le lecteur : posez une carte vierge et recommencez."


def test_labels_that_cannot_be_written_are_said_before_a_card_is_touched(station: Station, tmp_path: Path) -> None:
    card = chip(1)
    before = card.text
    done = station(Hand([(card, ())]), "--labels", str(tmp_path / "nowhere" / "labels.tsv"))
    assert done.exit_code == 1 and "fichier d'étiquettes inutilisable" in done.output
    assert card.text == before


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (CardGone("x"), "Reposez-la"),
        (NotGenuine("x"), "mettez-la à part"),
        (CardNotBlank("x"), "Rien n'a été changé"),
        (NotOurCard("x"), "4 ko"),
        (NotAsOrdered("file 01 is not as ordered"), "à formater ou à jeter (pour le technicien : file 01"),
    ],
)
def test_each_fault_says_what_to_do_and_names_the_card(fault: Exception, words: str) -> None:
    order = order_for()
    said = command.sentence(NotIssued(fault, order.uid, order.card))  # type: ignore[arg-type]
    assert said.startswith(f"Carte {card_code(order.card)} : ") and words in said
    assert command.sentence(NotIssued(fault, order.uid, None)).startswith("Puce 04A1B2C3D4E5F6 : ")  # type: ignore[arg-type]
    assert command.sentence(NotIssued(fault, None, None)).startswith("Carte : ")  # type: ignore[arg-type]


def test_a_tag_is_issued_too_and_recognised_when_it_comes_back() -> None:
    bench, uid, memory = Bench(), Uid(bytes.fromhex("0455AA00000099")), MemoryStore()
    VirtualNtag.blank(uid, memory)
    first = bench.serve(memory)
    assert isinstance(first, Issued)
    assert (first.found, first.is_origin_unproven) == (Found.BLANK, True)
    assert bench.register.orders[uid].aid == NTAG_AID
    again = bench.serve(memory)
    assert isinstance(again, Issued)
    assert (again.card, again.found) == (first.card, Found.ISSUED)
    elsewhere = Bench().serve(memory)
    assert isinstance(elsewhere, NotIssued)
    assert isinstance(elsewhere.fault, CardNotBlank)
