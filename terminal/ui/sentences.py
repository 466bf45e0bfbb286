"""A sentence for every reason: what happened and what the cashier can do. Shown on demand only (key ``.``)."""

from __future__ import annotations

from domain.reason import Reason
from terminal.text import _


def sentence(reason: Reason) -> str:
    """The sentence for a reason, in the user's language.

    Raises:
        KeyError: never for a reason of the closed list (a test holds that).
    """
    return {**_about_a_line(), **_about_the_card(), **_about_the_till()}[reason]


def _about_a_line() -> dict[Reason, str]:
    return {
        Reason.NEVER_FAMILY: _("Cette famille n'est payée par aucune enveloppe : encaissez-la autrement."),
        Reason.NOT_IN_THE_LIST: _("Cette ligne n'est pas dans la liste de l'enveloppe : encaissez-la autrement."),
        Reason.MERCHANT_NOT_IN_THIS_PURSE: _(
            "Cette enveloppe ne se dépense pas à ce stand : encaissez autrement, ou appelez le programme."
        ),
        Reason.PRODUCT_NOT_KNOWN: _(
            "Ce produit n'est pas dans le catalogue : scannez son code-barres, ou encaissez autrement."
        ),
        Reason.LABEL_NOT_CERTIFIED: _(
            "Le label de cette ligne n'a pas de certificat en cours : encaissez autrement, et appelez le programme."
        ),
        Reason.PRICE_ABOVE_CEILING: _(
            "Le prix dépasse le plafond de l'enveloppe, ou la quantité manque : tapez-la, ou encaissez la différence."
        ),
        Reason.PURSE_EMPTY: _("Il ne reste pas assez dans l'enveloppe : encaissez le reste autrement."),
        Reason.PURSE_NOT_OPEN_YET: _("L'enveloppe n'est pas encore ouverte : encaissez autrement."),
        Reason.PURSE_LAPSED: _("L'enveloppe est terminée : encaissez autrement."),
        Reason.PURSE_CEILING_OF_A_PAYMENT: _(
            "L'enveloppe a payé tout ce qu'elle peut en une fois : encaissez le reste autrement."
        ),
        Reason.PURSE_CEILING_OF_A_DAY: _(
            "L'enveloppe a payé tout ce qu'elle peut aujourd'hui : encaissez le reste autrement."
        ),
        Reason.NO_CARD_MONEY_TO_MATCH: _(
            "L'enveloppe complète l'argent de la carte, qui ne suffit plus : encaissez le reste autrement."
        ),
        Reason.NEGATIVE_OR_ZERO_AMOUNT: _("Une ligne sans montant ne se paie pas par carte : corrigez-la."),
        Reason.UNATTENDED_SALE: _(
            "Cette enveloppe ne paie pas sans vendeur : passez par une caisse tenue par quelqu'un."
        ),
        Reason.FAMILY_NOT_KNOWN: _("Cette famille n'existe pas dans les règles : choisissez-en une autre avec /."),
    }


def _about_the_card() -> dict[Reason, str]:
    return {
        Reason.CARD_UNKNOWN: _("Cette caisse ne connaît pas cette carte : mettez la caisse à jour, puis réessayez."),
        Reason.NOT_GENUINE: _("La carte ne répond pas comme une carte du programme : encaissez autrement."),
        Reason.ON_HOT_LIST: _("La carte ne peut plus payer : le porteur peut appeler le programme."),
        Reason.CARD_EXPIRED: _("La carte ne peut plus payer : le porteur peut appeler le programme."),
        Reason.OTHER_PROGRAMME: _("C'est une carte d'un autre programme : encaissez autrement."),
        Reason.KEY_NOT_ON_THIS_TERMINAL: _(
            "Cette caisse ne peut pas encore lire cette carte : mettez la caisse à jour, puis réessayez."
        ),
        Reason.ENTITLEMENT_MISSING: _("La carte n'a pas encore ses droits : mettez la caisse à jour, puis réessayez."),
        Reason.ENTITLEMENT_EXPIRED: _("Les droits de la carte sont anciens : mettez la caisse à jour, puis réessayez."),
        Reason.ENTITLEMENT_UNREADABLE: _("Les droits de la carte sont illisibles : mettez la caisse à jour."),
        Reason.ENTITLEMENT_VERSION_UNKNOWN: _("Cette caisse est trop ancienne pour cette carte : mettez-la à jour."),
        Reason.PAYMENT_IN_DOUBT: _("Un paiement de cette carte est en vérification : encaissez autrement."),
        Reason.MORE_THAN_ONE_CARD: _("Plusieurs cartes sont posées : n'en laissez qu'une."),
        Reason.TRAINING_CARD: _("C'est une carte d'entraînement : elle ne paie qu'en mode école."),
        Reason.CARD_FILE_EXHAUSTED: _("La carte est à remplacer : le porteur peut appeler le programme."),
    }


def _about_the_till() -> dict[Reason, str]:
    return {
        Reason.NOTHING_TO_PAY: _("Rien dans ce panier ne se paie par carte : encaissez autrement."),
        Reason.PAYMENT_CEILING: _("Une carte ne paie pas plus en une fois : encaissez le reste autrement."),
        Reason.FLOOR_LIMIT: _("Le plafond du jour à ce stand est atteint : encaissez le reste autrement."),
        Reason.DAY_TOTAL: _("Le plafond du jour de la carte est atteint : encaissez le reste autrement."),
        Reason.LISTS_TOO_OLD: _("Les listes de la caisse sont anciennes : mettez-la à jour (menu . puis 9)."),
        Reason.TERMINAL_LIMIT: _("La caisse doit d'abord envoyer ses paiements : connectez-la (menu . puis 9)."),
        Reason.CLOCK_NOT_TRUSTED: _("L'heure de la caisse n'est pas sûre : connectez-la (menu . puis 9)."),
        Reason.JOURNAL_NOT_WRITABLE: _("La caisse ne peut plus rien noter : appelez l'assistance."),
    }
