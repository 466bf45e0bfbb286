"""What each word of the till looks like: its tone, its icon, its words, its keys. Pure; the widgets only draw it."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Final

from domain.money import ZERO, Cents, in_euros
from domain.reason import Reason
from sync.record import Outcome, RecordType
from terminal import events as say
from terminal.text import _
from terminal.ui.face import OUTCOME_LASTS_S, Face, Key, Part, Sum, Tone, Words, back, great, menu_key
from terminal.ui.icons import Icon
from terminal.ui.moments import day, hour, last_day, when
from terminal.ui.plain import plain
from terminal.ui.sentences import sentence
from terminal.ui.void_faces import void_face

MOST_SENTENCE_CHARS: Final = 200
BALANCE_LASTS_S: Final = 5.0


def face(event: say.Outward, now: datetime, zone: tzinfo) -> Face | None:
    """The card screen of an event, or ``None`` for those that are notes or bring the sale screen back."""
    match event:
        case say.ConfirmAmount():
            return _confirm(event)
        case say.PresentCard():
            return _present(event)
        case say.Paid():
            return _paid(event)
        case say.Split():
            return _split(event)
        case say.PaysNothing():
            return _pays_nothing(event)
        case say.NotHere():
            return _not_here(event)
        case say.HolderMayCall():
            return _holder_may_call(event)
        case say.PutBack() | say.PutSameBack() | say.InVerification():
            return _interrupted(event)
        case say.AlreadyPaid():
            return _already_paid(event, zone)
        case say.OneCardOnly():
            return Face(Tone.AGAIN, Icon.TWO_CARDS, (great(_("Une seule carte à la fois")),), (back(),), sound=2)
        case say.Balance():
            return _balance(event, zone)
        case say.PresentToVoid() | say.Voided() | say.NothingToVoid() | say.NotVoided():
            return void_face(event, now, zone)
        case say.UpdateNeeded():
            return _update_needed(event)
        case say.ReaderAway():
            return _reader_away(event)
        case say.Stopped():
            return _stopped(event)
        case say.LastOutcome():
            return _last_outcome(event, now, zone)
        case say.Ready() | say.DoubtSolved() | say.ReaderIsBack():
            return None


def keep_lying() -> Face:
    """While a card is being read for longer than 0.3 s."""
    return Face(Tone.CALM, Icon.CARD, (great(_("Gardez la carte posée…")),))


def awaiting_balance() -> Face:
    """The holder asked what is available; no card lies there yet."""
    parts = (great(_("Présentez la carte")), Words(_("Solde : rien ne sera débité")))
    return Face(Tone.CALM, Icon.CARD, parts, (back(),))


def accepted_split(split: say.Split) -> Face:
    """The holder agreed and the card has been lifted: the same card pays its part."""
    parts = (
        Sum(split.by_card),
        great(_("Présentez la même carte")),
        Words(_("À régler autrement {amount}").format(amount=in_euros(split.rest)), is_strong=True),
    )
    return Face(Tone.CALM, Icon.CARD, parts, (back(),))


def menu(*, has_balance: bool) -> Face:
    """What ``.`` opens on the sale screen; only what is built is shown."""
    entries = ((Key("1", _("Solde")), Key("2", _("Annuler le dernier"))) if has_balance else ()) + (
        Key("8", _("Soleil / Nuit")),
        Key("9", _("Diagnostic")),
    )
    words = tuple(Words(f"{entry.key}   {entry.does}", is_strong=True) for entry in entries)
    return Face(Tone.CALM, Icon.MENU, (great(_("Menu")), *words), (*entries, back()))


def diagnostic(lines: tuple[str, ...]) -> Face:
    """One page of plain sentences."""
    words = tuple(Words(line) for line in lines)
    return Face(Tone.CALM, Icon.MENU, (Words(_("Diagnostic"), is_strong=True), *words), (back(),))


def solved_note(event: say.DoubtSolved, zone: tzinfo) -> str:
    """« Paiement du 7 mars, 12,40 € : confirmé »."""
    if event.is_void:
        return _voided_note(event, zone)
    outcome = _("confirmé") if event.outcome is Outcome.CONFIRMED else _("non débité")
    return _("Paiement du {day}, {amount} : {outcome}").format(
        day=day(event.at, zone), amount=in_euros(event.amount), outcome=outcome
    )


def _voided_note(event: say.DoubtSolved, zone: tzinfo) -> str:
    outcome = _("faite") if event.outcome is Outcome.CONFIRMED else _("non faite, le paiement tient")
    return _("Annulation du {day}, {amount} : {outcome}").format(
        day=day(event.at, zone), amount=in_euros(event.amount), outcome=outcome
    )


def update_note(event: say.UpdateNeeded) -> str:
    """The band that stays while the lists are too old."""
    return " · ".join((_("Caisse à mettre à jour : . puis 9"), _still_possible(event)))


def reader_note(event: say.ReaderAway) -> str:
    """The band on the sale screen while no reader can be used."""
    return _("Lecteur bloqué : débranchez-le et rebranchez-le") if event.is_stuck else _("Lecteur débranché")


def _why() -> Key:
    return Key(".", _("détail"))


def _cause(reason: Reason | None) -> str:
    return sentence(reason) if reason is not None else ""


def _keys(*keys: Key, cause: str = "") -> tuple[Key, ...]:
    return (*keys, _why()) if cause else keys


def _otherwise(rest: Cents) -> Words:
    return Words(_("+ {amount} à régler autrement").format(amount=in_euros(rest)), is_strong=True)


def _confirm(event: say.ConfirmAmount) -> Face:
    keys = (Key("enter", _("confirmer"), is_first=True), back())
    return Face(Tone.PARTS, Icon.ASK, (Sum(event.amount), Words(_("Confirmez le montant"), is_strong=True)), keys)


def _present(event: say.PresentCard) -> Face:
    cause = _line_causes(event)
    parts: list[Part] = [Sum(event.asked), great(_("Présentez la carte"))]
    if event.rest > ZERO:
        parts.insert(0, Words(_("Carte"), is_strong=True))
        parts.append(Words(_("À régler autrement {amount}").format(amount=in_euros(event.rest)), is_strong=True))
    return Face(Tone.CALM, Icon.CARD, tuple(parts), _keys(back(), cause=cause), cause)


def _line_causes(event: say.PresentCard) -> str:
    reasons = dict.fromkeys(line.reason for line in event.lines if line.reason is not None)
    return " ".join(sentence(reason) for reason in reasons)


def _paid(event: say.Paid) -> Face:
    parts: list[Part] = [great(_("Payé")), Sum(event.amount)]
    if event.rest > ZERO:
        parts.append(_otherwise(event.rest))
    if event.is_bonus_unknown:
        parts.append(Words(_("Bonus à confirmer")))
    elif event.bonus:
        parts.append(Words(_("Bonus {amount}").format(amount=in_euros(event.bonus)), is_strong=True))
    return Face(Tone.PAID, Icon.PAID, tuple(parts), (menu_key(),), lasts_s=OUTCOME_LASTS_S, ends_by_digit=True, sound=1)


def _split(event: say.Split) -> Face:
    cause = _cause(event.reason)
    parts = (
        Words(_("Carte"), is_strong=True),
        Sum(event.by_card),
        Words(_("À régler autrement"), is_strong=True),
        Sum(event.rest),
    )
    keys = _keys(Key("enter", _("d'accord"), is_first=True), back(), cause=cause)
    return Face(Tone.PARTS, Icon.PARTS, parts, keys, cause, sound=1)


def _pays_nothing(event: say.PaysNothing) -> Face:
    cause = _cause(event.reason)
    parts = (great(_("À régler autrement")), Sum(event.rest))
    return Face(
        Tone.OTHERWISE,
        Icon.OTHERWISE,
        parts,
        _keys(back(), cause=cause),
        cause,
        lasts_s=OUTCOME_LASTS_S,
        ends_by_digit=True,
        sound=1,
    )


def _not_here(event: say.NotHere) -> Face:
    cause = _cause(event.reason)
    parts: list[Part] = [Words(_("Cette carte ne paie pas ici"), is_strong=True)]
    if event.rest > ZERO:
        parts += [great(_("À régler autrement")), Sum(event.rest)]
    keys = _keys(back(), cause=cause)
    return Face(Tone.OTHERWISE, Icon.OTHERWISE, tuple(parts), keys, cause, ends_by_digit=True, sound=1)


def _holder_may_call(event: say.HolderMayCall) -> Face:
    cause = _cause(event.reason)
    phone = plain(event.phone, 24)
    call = _("Le porteur peut appeler le {phone}").format(phone=phone) if phone else _("Le porteur peut appeler")
    parts = (great(_("À régler autrement")), Sum(event.rest), Words(call, is_strong=True))
    keys = _keys(back(), cause=cause)
    return Face(Tone.OTHERWISE, Icon.OTHERWISE, parts, keys, cause, ends_by_digit=True, sound=1)


def _interrupted(event: say.PutBack | say.PutSameBack | say.InVerification) -> Face:
    match event:
        case say.PutBack():
            parts = (great(_("Reposez la carte")), Words(_("Rien n'a été débité"), is_strong=True))
            return Face(Tone.AGAIN, Icon.AGAIN, parts, (back(),), sound=2)
        case say.PutSameBack():
            return _put_sameback(event)
        case say.InVerification():
            return _in_verification(event)


def _put_sameback(event: say.PutSameBack) -> Face:
    """Money may have moved: it has the colour and the shape of a payment in verification."""
    note = _("Vérification du paiement · ne faites pas payer deux fois")
    if event.is_void:
        note = _("Vérification de l'annulation · ne rendez rien en espèces")
    parts = (great(_("Reposez la même carte")), Sum(event.amount), Words(note, is_strong=True))
    return Face(Tone.VERIFY, Icon.VERIFY, parts, (back(_("client parti")),), sound=2)


def _in_verification(event: say.InVerification) -> Face:
    if event.is_void:
        return _void_in_verification(event)
    if event.is_guaranteed:
        promise = _("Ne faites pas payer deux fois. Ce paiement vous est garanti.")
    else:
        promise = _("Ne faites pas payer deux fois. Ce paiement sera confirmé au prochain passage de la carte.")
    parts = (great(_("Paiement en vérification")), Sum(event.amount), Words(promise, is_strong=True))
    seen = Key("enter", _("vu, client suivant"), is_first=True)
    return Face(Tone.VERIFY, Icon.VERIFY, parts, (seen,), sound=1)


def _void_in_verification(event: say.InVerification) -> Face:
    promise = _("Ne rendez rien en espèces. Le prochain passage de la carte dira si elle est faite.")
    parts = (great(_("Annulation en vérification")), Sum(event.amount), Words(promise, is_strong=True))
    seen = Key("enter", _("vu, client suivant"), is_first=True)
    return Face(Tone.VERIFY, Icon.VERIFY, parts, (seen,), sound=1)


def _already_paid(event: say.AlreadyPaid, zone: tzinfo) -> Face:
    at = _("à {hour}").format(hour=hour(event.at, zone))
    parts = (great(_("Déjà payé")), Sum(event.amount), Words(at, is_strong=True))
    again = _("payer encore {amount}").format(amount=in_euros(event.amount))
    keys = (Key("-", _("non, c'est payé"), is_first=True), Key("enter", again))
    return Face(Tone.PARTS, Icon.ASK, parts, keys, sound=1)


def _balance(event: say.Balance, zone: tzinfo) -> Face:
    parts: list[Part] = [Words(_("Disponible"), is_strong=True), Sum(event.available)]
    if event.until is not None:
        parts.append(Words(_("jusqu'au {day}").format(day=last_day(event.until, zone)), is_strong=True))
    return Face(Tone.CALM, Icon.CARD, tuple(parts), (back(),), lasts_s=BALANCE_LASTS_S, ends_by_digit=True)


def _still_possible(event: say.UpdateNeeded) -> str:
    if event.left is None:
        return _("Solde seulement")
    return _("Encore {amount} par carte et par jour").format(amount=in_euros(event.left))


def _update_needed(event: say.UpdateNeeded) -> Face:
    words = " · ".join((_still_possible(event), _("Menu . puis 9")))
    parts = (great(_("Caisse à mettre à jour")), Words(words, is_strong=True))
    go_on = Key("enter", _("continuer") if event.left is None else _("vendre"), is_first=True)
    return Face(Tone.AGAIN, Icon.UPDATE, parts, (go_on, menu_key()), ends_by_digit=True)


def _reader_away(event: say.ReaderAway) -> Face:
    if event.is_stuck:
        parts = (great(_("Lecteur bloqué")), Words(_("Débranchez-le et rebranchez-le."), is_strong=True))
    else:
        parts = (great(_("Lecteur débranché")), Words(_("Rebranchez-le : la vente continue."), is_strong=True))
    return Face(Tone.STOP, Icon.STOP, parts, (back(),))


def _stopped(event: say.Stopped) -> Face:
    # The sentence comes from the core, which already speaks the user's language.
    call = " · ".join(part for part in (_("Code {code}").format(code=plain(event.code)), _phone(event.phone)) if part)
    parts = (
        great(_("Caisse arrêtée")),
        Words(_("Paiement par carte impossible"), is_strong=True),
        Words(plain(event.sentence, MOST_SENTENCE_CHARS)),
        Words(call, is_strong=True),
    )
    return Face(Tone.STOP, Icon.STOP, parts, (menu_key(),))


def _phone(phone: str) -> str:
    safe = plain(phone, 24)
    return _("Appelez le {phone}").format(phone=safe) if safe else ""


def _last_outcome(event: say.LastOutcome, now: datetime, zone: tzinfo) -> Face:
    at = _("Dernier paiement, {when}").format(when=when(event.at, now, zone))
    seen = (Key("enter", _("vu"), is_first=True),)
    if event.is_void:
        return _last_void(event, now, zone, seen)
    if event.type is RecordType.PAYMENT:
        return Face(Tone.PAID, Icon.PAID, (great(_("Payé")), Sum(event.amount), Words(at, is_strong=True)), seen)
    if event.type is RecordType.IN_DOUBT:
        verdict, note = _("Paiement en vérification"), _("Ne faites pas payer deux fois.")
        parts = (Words(verdict, is_strong=True), Sum(event.amount), Words(at), Words(note, is_strong=True))
        return Face(Tone.VERIFY, Icon.VERIFY, parts, seen)
    return Face(Tone.CALM, Icon.VERIFY, (Words(at, is_strong=True), Sum(event.amount)), seen)


def _last_void(event: say.LastOutcome, now: datetime, zone: tzinfo, seen: tuple[Key, ...]) -> Face:
    at = _("Dernière annulation, {when}").format(when=when(event.at, now, zone))
    if event.type is RecordType.VOID:
        return Face(Tone.CALM, Icon.PAID, (great(_("Annulé")), Sum(event.amount), Words(at, is_strong=True)), seen)
    if event.type is RecordType.IN_DOUBT:
        verdict, note = _("Annulation en vérification"), _("Ne rendez rien en espèces.")
        parts = (Words(verdict, is_strong=True), Sum(event.amount), Words(at), Words(note, is_strong=True))
        return Face(Tone.VERIFY, Icon.VERIFY, parts, seen)
    return Face(Tone.CALM, Icon.VERIFY, (Words(at, is_strong=True), Sum(event.amount)), seen)
