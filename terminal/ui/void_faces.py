"""The screens of a void: the card that paid is asked for, then « Annulé »."""

from __future__ import annotations

from datetime import datetime, tzinfo

from terminal import events as say
from terminal.text import _
from terminal.ui.face import OUTCOME_LASTS_S, Face, Part, Sum, Tone, Words, back, great, menu_key
from terminal.ui.icons import Icon
from terminal.ui.moments import when
from terminal.ui.sentences import sentence


def void_face(
    event: say.PresentToVoid | say.Voided | say.NothingToVoid | say.NotVoided, now: datetime, zone: tzinfo
) -> Face:
    """The card screen of a word about a void."""
    match event:
        case say.PresentToVoid():
            return _present(event, now, zone)
        case say.Voided(amount=amount):
            parts: tuple[Part, ...] = (great(_("Annulé")), Sum(amount), Words(_("Rendu sur la carte"), is_strong=True))
            # Not the green of PAYÉ: at a glance nobody takes one for the other.
            return Face(
                Tone.CALM, Icon.PAID, parts, (menu_key(),), lasts_s=OUTCOME_LASTS_S, ends_by_digit=True, sound=1
            )
        case say.NothingToVoid():
            parts = (great(_("Rien à annuler")), Words(_("Aucun paiement depuis la dernière fin de marché")))
            return Face(Tone.CALM, Icon.MENU, parts, (back(),), ends_by_digit=True)
        case say.NotVoided(amount=amount, reason=reason):
            parts = (great(_("Pas annulé")), Sum(amount), Words(sentence(reason), is_strong=True))
            return Face(Tone.OTHERWISE, Icon.OTHERWISE, parts, (back(),), ends_by_digit=True, sound=1)


def _present(event: say.PresentToVoid, now: datetime, zone: tzinfo) -> Face:
    paid = Words(_("Payé {when} · présentez la même carte").format(when=when(event.at, now, zone)), is_strong=True)
    note = (Words(_("Ce n'est pas la carte qui a payé"), is_strong=True),) if event.is_other_card else ()
    sound = 2 if event.is_other_card else 0
    return Face(Tone.PARTS, Icon.CARD, (great(_("Annuler ?")), Sum(event.amount), paid, *note), (back(),), sound=sound)
