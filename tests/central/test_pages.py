"""The page says in French what is missing, from whom, and what a person must look at."""

from __future__ import annotations

import re
from datetime import timedelta

from central import merchants
from central.office import Office
from central.pages import report_page
from central.report import report
from domain.money import Cents
from domain.rule_set import Certificate
from tests.central.kit import DECEMBER, FOOD, MORNING, Held, Stall, WoundClock, new_stall
from tests.central.test_keys_ceiling import put_ceiling


def words(office: Office) -> str:
    """The page without its markup, on one line."""
    page = report_page(report(office), MORNING, "Europe/Paris")
    text = re.sub(r"<[^>]+>", " ", page[page.index("<body") :])
    return re.sub(r"\s+", " ", text.replace("&#39;", "'").replace("\u202f", " "))


def test_what_is_missing_is_named_with_its_sum_and_its_terminal(office: Office, anne: Held, stall: Stall) -> None:
    gone = new_stall(office, "Étal du Pont")
    for amount in (300, 200, 100):
        gone.pay(anne, amount)
    stall.pay(anne, 50)
    stall.send(office)
    page = words(office)
    assert f"{anne.card.hex()} 1 à 3 6,00 € station {gone.station}, n° 3" in page
    assert "manque : n° 1 à 3" in page


def test_voids_attested_sums_false_proofs_and_alarms_are_told(office: Office, anne: Held, stall: Stall) -> None:
    gone = new_stall(office, "Étal du Pont")
    stall.download(office)
    stall.pay(anne, 1_000)
    stall.void(anne, stall.paid[0])
    stall.void(anne, stall.paid[0])
    gone.pay(anne, 20)
    gone.pay(anne, 30)
    stall.pay(anne, 5, logs_read=4)
    stall.pay(anne, 40, TMV=bytes(8))
    stall.send(office)
    page = words(office)
    assert "annulations déduites (10,00 €) ; dont 0,20 € attestés" in page
    assert "attesté : 0,20 € ; annulé : 10,00 €" in page
    assert "Preuves fausses : 0,40 €" in page
    assert page.count("deuxième annulation du même paiement") == 2
    assert "la preuve n'est pas celle de la carte" in page
    assert "Les comptes tombent juste" in page


def test_certificates_that_end_soon_are_told(office: Office, anne: Held, stall: Stall) -> None:
    (entry,) = merchants.entries(office.store)
    last_days = {"organic": 12, "label-rouge": 200}
    with office.store.writing():
        given = [Certificate(label, f"N-{label}", office.today() + timedelta(n)) for label, n in last_days.items()]
        merchants.keep_certificates(office.store, entry.number, given)
    page = words(office)
    assert f"Fiches et certificats qui prennent fin Stand Ce qu'il faut savoir {entry.name} " in page
    assert "certificat N-organic : prend fin dans 12 jours" in page
    assert "N-label-rouge" not in page and "atteint aucune carte" not in page


def test_grants_that_reached_no_card_are_told(office: Office, anne: Held, clock: WoundClock) -> None:
    put_ceiling(office, 0)
    office.grant(anne.card, FOOD, Cents(100), *DECEMBER)
    clock.at = DECEMBER[1]
    assert f"{anne.card.hex()} n° 1 1,00 €" in words(office)
