"""Why a till stops: a code to say on the phone, and a sentence that says what to do."""

from __future__ import annotations

from terminal.errors import (
    DiskFull,
    JournalDamaged,
    JournalFault,
    JournalInUse,
    NotEnrolled,
    TerminalFrozen,
    UnsafeSettings,
)
from terminal.text import _


def why_stopped(fault: JournalFault) -> tuple[str, str]:
    """Code and sentence for a fault of the journal."""
    match fault:
        case DiskFull():
            return "J1", _(
                "La mémoire de la caisse est pleine. Rien n'est perdu : libérez de la place, puis redémarrez."
            )
        case JournalDamaged(seqs=seqs) if seqs:
            numbers = ", ".join(str(seq) for seq in seqs[:8])
            return "J2", _("Le journal est abîmé (n° {numbers}). N'effacez rien et appelez.").format(numbers=numbers)
        case JournalDamaged():
            return "J2", _("Le journal est abîmé. N'effacez rien et appelez.")
        case JournalInUse():
            return "J3", _("La caisse est déjà ouverte dans une autre fenêtre. Fermez l'une des deux.")
        case TerminalFrozen():
            return "J6", str(fault)
        case NotEnrolled():
            return "J8", _("Cette caisse n'est pas encore enrôlée : « panier enrol » avec le code du centre.")
        case UnsafeSettings():
            return "J4", _("La mémoire de la caisse n'est pas sûre : elle peut perdre des paiements. Appelez.")
        case _:
            return "J5", _("La mémoire de la caisse ne répond plus. Redémarrez : le dernier paiement sera vérifié.")
