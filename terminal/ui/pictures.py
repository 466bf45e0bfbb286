"""Makes the pictures of the documentation: ``python -m terminal.ui.pictures [DIR]`` writes one SVG a screen."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from domain.money import Cents
from domain.reason import Reason
from terminal import events as say
from terminal.ports import Durable, Instant, Presence, WallSource
from terminal.ui.app import TillApp
from terminal.ui.palette import NUIT, SOLEIL
from terminal.ui.sale_view import FamilyTile
from terminal.ui.scripted import DirectLoop, ScriptedTill, Step
from terminal.ui.svg import own_svg

SIZE: Final = (80, 24)
FOLDER: Final = Path(__file__).parents[2] / "docs" / "pictures"
NOW: Final = datetime(2026, 3, 12, 9, 42, tzinfo=UTC)
FAMILIES: Final = (
    FamilyTile("vegetables", "Légumes", "L"),
    FamilyTile("cheese", "Fromages", "F"),
    FamilyTile("alcohol", "Alcool", "W"),
)
ONE_FAMILY: Final = FAMILIES[:1]
PHONE: Final = "05 00 00 00 00"
TAP: Final = Presence("picture", 1)


def status() -> say.Status:
    """A morning without a network, always the same."""
    return say.Status(
        is_online=False,
        last_contact=datetime(2026, 3, 12, 7, 32, tzinfo=UTC),
        lists_signed_at=datetime(2026, 3, 12, 5, 5, tzinfo=UTC),
        lists_days_left=7,
        pending_payments=14,
        pending_amount=Cents(18_740),
        now=Instant(1, 0, NOW, WallSource.NETWORK),
    )


def status_with_old_lists() -> say.Status:
    """The same morning, ten days after the last exchange."""
    ten_days = timedelta(days=10)
    fresh = status()
    assert fresh.last_contact is not None
    return replace(
        fresh,
        last_contact=fresh.last_contact - ten_days,
        lists_signed_at=fresh.lists_signed_at - ten_days,
        lists_days_left=fresh.lists_days_left - ten_days.days,
    )


@dataclass(frozen=True, slots=True)
class Picture:
    """One screen: how it is reached by keys and answers, and how it is drawn."""

    name: str
    keys: str = ""
    steps: tuple[Step, ...] = ()
    tap: bool = False
    theme: str = SOLEIL.name
    families: tuple[FamilyTile, ...] = FAMILIES
    first: tuple[say.Outward, ...] = ()
    status: Callable[[], say.Status] = status


def pictures() -> tuple[Picture, ...]:
    """Every picture of the documentation."""
    asked = say.PresentCard(1, Cents(1_250), Cents(0), ())
    twelve = "1250\n"
    outcomes: dict[str, say.Outward] = {
        "carte-paye": say.Paid(1, Cents(1_250), Cents(0), Durable(1, b"", b"")),
        "carte-paye-reste": say.Paid(1, Cents(1_250), Cents(310), Durable(1, b"", b"")),
        "carte-paie-moins": say.Split(1, Cents(940), Cents(310), Reason.PURSE_EMPTY),
        "carte-a-regler-autrement": say.PaysNothing(1, Cents(1_250), Reason.PURSE_EMPTY),
        "carte-ne-paie-pas-ici": say.NotHere(1, Cents(1_250), Reason.CARD_UNKNOWN),
        "carte-porteur-peut-appeler": say.HolderMayCall(1, Cents(1_250), PHONE, Reason.ON_HOT_LIST),
        "carte-reposez": say.PutBack(1),
        "carte-verification": say.PutSameBack(1, Cents(1_250)),
        "carte-en-verification": say.InVerification(1, Cents(1_250), True),
        "carte-deja-paye": say.AlreadyPaid(1, Cents(1_250), NOW),
        "caisse-arretee": say.Stopped("J2", "Le journal est abîmé (n° 41). N'effacez rien et appelez.", PHONE),
    }
    shown = tuple(
        Picture(name, twelve, (Step(say.Sell, (asked,)), Step(say.CardPresented, (event,))), tap=True)
        for name, event in outcomes.items()
    )
    present = (Step(say.Sell, (asked,)),)
    wine = (Step(say.Sell, (say.PresentCard(1, Cents(1_250), Cents(310), ()),)),)
    paid = shown[0]
    to_void = say.PresentToVoid(1, Cents(1_250), NOW, 41)
    voided = say.Voided(1, Cents(1_250), Durable(1, b"", b""))
    torn = (Step(say.CardPresented, (say.PutSameBack(1, Cents(1_250), is_void=True),)),)
    return (
        Picture("vente-vide", families=ONE_FAMILY),
        Picture("vente-deux-lignes", "850+/2400"),
        Picture("vente-deux-lignes-nuit", "850+/2400", theme=NUIT.name),
        Picture("carte-presentez", twelve, present),
        Picture("carte-presentez-nuit", twelve, present, theme=NUIT.name),
        Picture("carte-presentez-avec-vin", twelve, wine),
        *shown,
        Picture("carte-paye-nuit", twelve, paid.steps, tap=True, theme=NUIT.name),
        Picture("caisse-a-mettre-a-jour", first=(say.UpdateNeeded(Cents(3_000)),), status=status_with_old_lists),
        Picture("menu", "."),
        Picture("annuler", ".2", (Step(say.AskVoid, (to_void,)),)),
        Picture("annule", ".2", (Step(say.AskVoid, (to_void,)), Step(say.CardPresented, (voided,))), tap=True),
        Picture("annulation-verification", ".2", (Step(say.AskVoid, (to_void,)), *torn), tap=True),
    )


async def draw(picture: Picture, size: tuple[int, int] = SIZE) -> str:
    """The SVG of one picture, drawn by the program itself."""
    loop = DirectLoop(ScriptedTill(picture.steps, picture.first))
    app = TillApp(loop, picture.status, picture.families, sound=lambda _sound: None, theme=picture.theme)
    async with app.run_test(size=size) as pilot:
        for key in picture.keys:
            await pilot.press({"\n": "enter", ".": "full_stop", "+": "plus", "/": "slash"}.get(key, key))
        if picture.tap:
            loop.post(say.CardPresented(TAP))
        await pilot.pause()
        return own_svg(app.export_screenshot(simplify=True), *size)


def write(folder: Path, wanted: Iterable[Picture]) -> None:
    """Write the pictures into a folder, as French as the programme's words."""
    os.environ["LANGUAGE"] = "fr"
    folder.mkdir(parents=True, exist_ok=True)
    for picture in wanted:
        (folder / f"{picture.name}.svg").write_text(asyncio.run(draw(picture)), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER, pictures())
