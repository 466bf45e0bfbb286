"""A scripted morning at the market: every kind of outcome once, on the real PC/SC stack. It plays; the judge judges.

Runs inside the private namespace (or, where there is none, on in-process readers). The centre is outside, on a UNIX
socket.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from central.office import Office
from demo.cut_line import CutLine
from demo.hands import COMMIT_ANSWER_LOST, COMMIT_TRANSACTION, PULLED_BEFORE_COMMIT, Hand, Mishap
from demo.rules import today
from demo.till_process import Disappointed, Event, TillProcess
from domain.identity import CardId, PurseNumber
from domain.money import Cents
from emulator.card import VirtualCard
from emulator.tear import Phase
from sync.issuing import card_code

UIDS = {
    "amira": "04A1B2C3D40001",
    "bruno": "04A1B2C3D40002",
    "chloe": "04A1B2C3D40003",
    "denis": "04A1B2C3D40004",
    "elise": "04A1B2C3D40005",
    "farid": "04A1B2C3D40006",
}
"""Virtual cards; the names are of the play, the programme knows pseudonyms only."""


@dataclass(slots=True)
class Stage:
    """Where the morning is played.

    Attributes:
        folder: everything it writes.
        socket: of the centre.
        hands: one at each of the two readers.
        till_argv: the command of a till, given its folder and which reader it stands at.
        issue: makes the card file at a path a card of the programme; its pseudonym.
    """

    folder: Path
    socket: Path
    hands: tuple[Hand, Hand]
    till_argv: Callable[[Path, int], list[str]]
    issue: Callable[[Path, int], CardId]
    say: Callable[[str], None]
    cards: dict[str, CardId] = field(default_factory=dict)

    def card(self, name: str) -> Path:
        """The file of a card."""
        return self.folder / "cards" / f"{name}.json"

    def till_folder(self, station: int) -> Path:
        """The folder of a terminal."""
        return self.folder / f"till-{station}"


def panier(*words: str) -> list[str]:
    """The command line of this very program."""
    return [sys.executable, "-m", "panier", *words]


def play(stage: Stage) -> None:
    """The whole morning. Raises Disappointed where a till does not do what it should."""
    office = Office(stage.folder / "centre")
    try:
        _prepare(stage, office)
        first, second = _open_till(stage, 1, 0), _open_till(stage, 2, 1)
        try:
            _sell(stage, first)
            _tear(stage, first)
            first = _power_cut(stage, first)
            _two_stalls_offline(stage, first, second)
            _void_between_stalls(stage, first, second)
            second.stop()
            third = _open_till(stage, 3, 1)
            try:
                _card_brings_entitlement(stage, first, third, office)
            finally:
                third.stop()
        finally:
            first.stop()
            second.stop()
        for station in (1, 2, 3):
            _sync(stage, station)
        _grant_bonus(stage)
    finally:
        office.close()


def played(stage: Stage) -> int:
    """Play; 0 when every till did what it should, else 1 and what it did instead."""
    try:
        play(stage)
    except Disappointed as why:
        stage.say(f"✗ {why}")
        return 1
    return 0


# --- before the market opens -----------------------------------------------------------------------------------------


def _prepare(stage: Stage, office: Office) -> None:
    (stage.folder / "cards").mkdir()
    for name, uid in UIDS.items():
        VirtualCard.blank(bytes.fromhex(uid), stage.card(name))
        stage.cards[name] = stage.issue(stage.card(name), 0)
    stage.say(f"{len(UIDS)} cartes vierges émises")
    _allot(stage, "amira")
    for name, euros in (("bruno", 40), ("chloe", 40), ("denis", 40), ("farid", 40)):
        _grant(office, stage.cards[name], euros * 100)
    office.report_lost(stage.cards["bruno"])
    _spoil_keys(stage.card("chloe"))
    VirtualCard.blank(bytes.fromhex(UIDS["denis"]), stage.folder / "cards" / "clone.json")
    for station, stall in enumerate(("Ferme du Moulin", "Les Jardins de Lectoure", "Fournil de l'Arrats"), start=1):
        code = office.new_code(office.put_merchant(stall, ("referenced", "sustainable"), "vegetables").number)
        _run(
            panier(
                "enrol", "--dir", str(stage.till_folder(station)), "--socket", str(stage.socket), "--no-pin", code.text
            )
        )
    stage.say("trois caisses enrôlées")


def _allot(stage: Stage, name: str) -> None:
    """A household of one adult and one child gets a card and what the rules give it this month."""
    where = ("--dir", str(stage.folder / "centre"))
    _run(panier("central", "household", "add", *where, "--adults", "1", "--children", "1"))
    _run(panier("central", "household", "card", *where, "1", card_code(stage.cards[name])))
    _run(panier("central", "allot", *where, "--month", f"{today():%Y-%m}"))
    stage.say("un foyer d'un adulte et d'un enfant reçoit ce que les règles lui donnent : 60,00 €")


def _grant_bonus(stage: Stage) -> None:
    """What the tills have shown, from what they sent."""
    argv = panier("central", "bonus", "--dir", str(stage.folder / "centre"), "--month", f"{today():%Y-%m}")
    stage.say(f"le centre : « {_run(argv).strip()} »")


def _grant(office: Office, card: CardId, cents: int) -> None:
    first = office.today().replace(day=1)
    after = (first + timedelta(days=32)).replace(day=1)
    office.grant(card, PurseNumber(1), Cents(cents), office.day_start(first), office.day_start(after))


def _spoil_keys(card: Path) -> None:
    """A card of the programme whose keys are not those the programme gave it."""
    state = json.loads(card.read_text())
    for application in state["applications"].values():
        for key in application["keys"]:
            key["key"] = "00" * 16
    card.write_text(json.dumps(state))


def _open_till(stage: Stage, station: int, reader: int) -> TillProcess:
    folder = stage.till_folder(station)
    till = TillProcess(stage.till_argv(folder, reader), folder / "till.log")
    till.expect("ready")
    till.expect_once("reader_is_back")
    stage.hands[reader].stand_at(till)
    return till


# --- scenes ----------------------------------------------------------------------------------------------------------


def _sell(stage: Stage, till: TillProcess) -> None:
    hand = stage.hands[0]
    till.sell(1, ("vegetables", 1250))
    _tap(till, hand, stage.card("amira"), "paid", amount_cents=1250, bonus_cents=625)
    stage.say("12,50 € de légumes : payé, bonus 6,25 €")

    till.sell(2, ("vegetables", 900), ("alcohol", 310))
    _tap(till, hand, stage.card("amira"), "paid", amount_cents=900, rest_cents=310)
    stage.say("légumes et vin : 9,00 € payés, 3,10 € à régler autrement")

    till.sell(3, ("vegetables", 4500))
    hand.lay_down(stage.card("amira"))
    _check(till.expect("split?", "paid", "not_paid"), "split?", by_card_cents=3850, rest_cents=650)
    hand.lift()
    till.ask({"id": 3, "confirm": {}})
    _tap(till, hand, stage.card("amira"), "paid", amount_cents=3850, rest_cents=650)
    stage.say("plus assez sur la carte : rien débité, partage accepté, puis 38,50 € payés")

    for sale, name, what, reason in (
        (4, "bruno", "carte en opposition", "on_hot_list"),
        (5, "chloe", "carte à la mauvaise clé", "not_genuine"),
        (6, "clone", "numéro de carte copié", None),
    ):
        till.sell(sale, ("vegetables", 500))
        event = _tap(till, hand, stage.card(name), "not_paid")
        if reason is not None and event["reason"] != reason:
            raise Disappointed(f"{what} : {event}")
        stage.say(f"{what} : ne paie pas")


def _tear(stage: Stage, till: TillProcess) -> None:
    hand, card = stage.hands[0], stage.card("denis")
    till.sell(10, ("vegetables", 700))
    _tap(till, hand, card, "put_back", mishap=PULLED_BEFORE_COMMIT)
    _tap(till, hand, card, "paid", amount_cents=700)
    stage.say("carte retirée avant la fin : rien débité, reposée, payé une fois")

    till.sell(11, ("vegetables", 800))
    _tap(till, hand, card, "doubt", mishap=COMMIT_ANSWER_LOST)
    _tap(till, hand, card, "paid", amount_cents=800)
    stage.say("réponse perdue après le débit : reposée, reconnu, débité une seule fois")


def _power_cut(stage: Stage, till: TillProcess) -> TillProcess:
    hand, card = stage.hands[0], stage.card("farid")
    till.sell(20, ("vegetables", 600))
    hand.lay_down(card, Mishap(COMMIT_TRANSACTION, Phase.AFTER, kills_pid=till.pid))
    if till.wait() >= 0:
        raise Disappointed("la caisse devait être tuée entre le débit et l'enregistrement")
    hand.lift()
    till = TillProcess(stage.till_argv(stage.till_folder(1), 0), stage.till_folder(1) / "till.log")
    hand.stand_at(till)
    till.expect("last_outcome?")
    till.ask({"id": 21, "confirm": {}})
    till.expect("ready")
    till.expect_once("reader_is_back")
    till.sell(22, ("vegetables", 100))
    hand.lay_down(card)
    _check(till.expect("doubt_solved", "paid", "not_paid"), "doubt_solved", amount_cents=600, outcome="confirmed")
    _check(till.expect("paid", "not_paid"), "paid", amount_cents=100)
    hand.lift()
    stage.say("caisse tuée entre le débit et l'enregistrement : au passage suivant, 6,00 € confirmés d'eux-mêmes")
    return till


def _two_stalls_offline(stage: Stage, first: TillProcess, second: TillProcess) -> None:
    card = stage.card("denis")
    first.sell(30, ("vegetables", 2000))
    _tap(first, stage.hands[0], card, "paid", amount_cents=2000)
    second.sell(30, ("vegetables", 2000))
    stage.hands[1].lay_down(card)
    _check(second.expect("split?", "paid", "not_paid"), "split?", by_card_cents=500)
    stage.hands[1].lift()
    second.ask({"id": 30, "cancel": {}})
    second.expect("cancelled")
    stage.say("deux stands hors ligne : le second refuse ce que le premier a déjà pris")


def _void_between_stalls(stage: Stage, first: TillProcess, second: TillProcess) -> None:
    card = stage.card("farid")
    first.sell(35, ("vegetables", 2000))
    _tap(first, stage.hands[0], card, "paid", amount_cents=2000)
    first.ask({"id": 36, "void": {}})
    _check(first.expect("present_to_void", "nothing_to_void"), "present_to_void", amount_cents=2000)
    _tap(first, stage.hands[0], card, "voided", amount_cents=2000)
    second.sell(35, ("vegetables", 3000))
    _tap(second, stage.hands[1], card, "paid", amount_cents=3000)
    stage.say("20,00 € annulés à un stand : l'autre, hors ligne lui aussi, les compte et encaisse 30,00 €")


def _card_brings_entitlement(stage: Stage, informed: TillProcess, unaware: TillProcess, office: Office) -> None:
    card = stage.card("elise")
    unaware.sell(40, ("vegetables", 300))
    _tap(unaware, stage.hands[1], card, "not_paid", reason="entitlement_missing")
    _grant(office, stage.cards["elise"], 2000)
    _line_breaks(stage, 1)
    _sync(stage, 1)
    informed.sell(40, ("vegetables", 400))
    _tap(informed, stage.hands[0], card, "paid", amount_cents=400)
    unaware.sell(41, ("vegetables", 300))
    _tap(unaware, stage.hands[1], card, "paid", amount_cents=300)
    stage.say("la carte apporte elle-même ses droits à un stand qui n'a pas de réseau")


def _line_breaks(stage: Stage, station: int) -> None:
    """The upload is cut on the way up, then on the way down; the whole is repeated."""
    cut = stage.folder / "cut.sock"
    for up_b, down_b, what in ((6_000, None, "à la moitié de l'envoi"), (None, 40, "avant la réponse")):
        line = CutLine(cut, stage.socket, up_b, down_b)
        line.open()
        argv = panier("sync", "--dir", str(stage.till_folder(station)), "--socket", str(cut))
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        line.close()
        if done.returncode == 0:
            raise Disappointed(f"une télécollecte coupée {what} ne peut pas réussir")
        stage.say(f"télécollecte coupée {what} : « {done.stderr.strip()} »")


# --- tools -----------------------------------------------------------------------------------------------------------


def _tap(
    till: TillProcess, hand: Hand, card: Path, event: str, *, mishap: Mishap | None = None, **expected: object
) -> Event:
    hand.lay_down(card, mishap)
    outcomes = ("paid", "not_paid", "split?", "put_back", "doubt", "already_paid?", "stopped", "reader_away")
    heard = till.expect(*outcomes, "voided", "not_voided")
    hand.lift()
    _check(heard, event, **expected)
    return heard


def _check(heard: Event, event: str, **expected: object) -> None:
    wrong = {name: heard.get(name) for name, value in expected.items() if heard.get(name) != value}
    if heard["event"] != event or wrong:
        raise Disappointed(f"attendu : {event} {expected} ; entendu : {heard}")


def _sync(stage: Stage, station: int) -> None:
    _run(panier("sync", "--dir", str(stage.till_folder(station)), "--socket", str(stage.socket)))


def _run(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise Disappointed(f"« {' '.join(argv[2:5])} » a échoué : {done.stderr.strip()}")
    return done.stdout
