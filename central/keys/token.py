"""Keys in a PKCS#11 token (OASIS PKCS #11 v2.40), the only door to python-pkcs11: made inside, used inside, never out.

ECDSA (CKM_ECDSA) over a SHA-256 made here gives r ‖ s; card keys come from CKM_AES_CMAC. One session a token, one
operation at a time. A wrong PIN is tried once in its life: tokens lock themselves after a few.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, TokenFlag
from pkcs11.util.ec import encode_named_curve_parameters

from central.keys.faults import KeysClosed, TokenFault, WrongPin
from central.keys.plan import Place
from central.keys.vaults import content_of_pin
from sync.crypto import PUBLIC_KEY_SIZE_B, PublicKey, public_key, sha256
from sync.errors import Malformed

_SHORTEST_CMAC_INPUT_B: Final = 17
"""AN10922 pads to two blocks; from here on that is what every CMAC does by itself."""
_INSIDE: Final = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}


class TokenVault:
    """An open token. The PIN stays in RAM so that it can be sealed again."""

    def __init__(self, place: Place, pin: str) -> None:
        self._place = place
        self._pin = pin
        self._lock = threading.Lock()
        self._session = _session(place, pin)

    def __repr__(self) -> str:
        return f"TokenVault({self._place.label!r})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("keys are not pickled")

    def sign(self, role: str, key_id: int, message: bytes) -> bytes:
        """As ``Vault``."""
        with self._asked():
            signature: bytes = self._private(role, key_id).sign(sha256(message), mechanism=Mechanism.ECDSA)
        return signature

    def card_key(self, number: int, diversification_input: bytes) -> bytes:
        """As ``Vault``. Malformed: an input of fewer than 16 or more than 31 bytes."""
        message = b"\x01" + diversification_input
        if not _SHORTEST_CMAC_INPUT_B <= len(message) <= 32:
            raise Malformed("a diversification input for a token has 16 to 31 bytes")
        with self._asked():
            master = self._inside(ObjectClass.SECRET_KEY, _master_label(number))
            key: bytes = master.sign(message, mechanism=Mechanism.AES_CMAC)
        return key

    def make_signing_key(self, role: str, key_id: int) -> PublicKey:
        """As ``Vault``; what an interrupted attempt left under this name is destroyed first."""
        self.forget(role, key_id)
        label = _label(role, key_id)
        with self._asked():
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            domain = self._session.create_domain_parameters(KeyType.EC, curve, local=True)
            public, _ = domain.generate_keypair(
                store=True,
                label=label,
                id=label.encode(),
                capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
                private_template=_INSIDE,
            )
            point = public[Attribute.EC_POINT][-PUBLIC_KEY_SIZE_B:]  # DER octet string, or bare in some tokens
            self._inside(ObjectClass.PRIVATE_KEY, label)
        return public_key(point)

    def make_master(self, number: int) -> None:
        """As ``Vault``. TokenFault when one is there already: cards may live by it."""
        label = _master_label(number)
        with self._asked():
            if self._found(ObjectClass.SECRET_KEY, label):
                raise TokenFault(f"Le jeton « {self._place.label} » a déjà une clé « {label} » : prenez-en un vide.")
            self._session.generate_key(
                KeyType.AES,
                128,
                store=True,
                label=label,
                id=label.encode(),
                capabilities=MechanismFlag.SIGN,
                template=_INSIDE,
            )
            self._inside(ObjectClass.SECRET_KEY, label).sign(bytes(32), mechanism=Mechanism.AES_CMAC)

    def forget(self, role: str, key_id: int) -> None:
        """As ``Vault``."""
        with self._asked():
            for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
                for key in self._found(kind, _label(role, key_id)):
                    key.destroy()

    def change_pin(self, pin: str) -> None:
        """As ``Vault``: the PIN that was is worth nothing any more."""
        with self._asked():
            self._session.set_pin(self._pin, pin)
        self._pin = pin

    def content(self) -> bytes:
        """As ``Vault``: the PIN."""
        return content_of_pin(self._pin)

    def close(self) -> None:
        """Log out."""
        with self._lock:
            self._session.close()

    def _private(self, role: str, key_id: int) -> Any:
        return self._inside(ObjectClass.PRIVATE_KEY, _label(role, key_id))

    def _found(self, kind: ObjectClass, label: str) -> list[Any]:
        return list(self._session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label}))

    def _inside(self, kind: ObjectClass, label: str) -> Any:
        """The one key of that label; refused unless the token itself says that it never leaves."""
        found = self._found(kind, label)
        if len(found) != 1:
            raise KeysClosed(f"Le jeton « {self._place.label} » n'a pas une seule clé « {label} ».")
        if found[0][Attribute.EXTRACTABLE] or not found[0][Attribute.SENSITIVE]:
            raise TokenFault(f"La clé « {label} » peut sortir du jeton : elle n'est pas utilisée.")
        return found[0]

    @contextmanager
    def _asked(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except pkcs11.MechanismInvalid:
                raise TokenFault(f"Le jeton « {self._place.label} » ne sait pas faire ce calcul.") from None
            except pkcs11.PKCS11Error as fault:
                sentence = f"Le jeton « {self._place.label} » ne répond pas comme il faut ({type(fault).__name__})."
                raise TokenFault(sentence) from None


def _session(place: Place, pin: str) -> Any:
    token = _token(place)
    if token.flags & TokenFlag.USER_PIN_LOCKED:
        raise TokenFault(f"Le jeton « {place.label} » est verrouillé : son responsable (code SO) doit le rouvrir.")
    if token.flags & TokenFlag.USER_PIN_FINAL_TRY:
        raise TokenFault(f"Le jeton « {place.label} » n'a plus qu'un essai de code PIN : il n'est pas tenté ici.")
    try:
        return token.open(rw=True, user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:
        return token.open(rw=True)  # this program has it open already; a login is the whole program's
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        raise WrongPin(
            f"Le jeton « {place.label} » refuse le code PIN. Il ne sera pas essayé une deuxième fois : "
            "donnez le bon avec « panier central keys pin »."
        ) from None
    except pkcs11.PKCS11Error as fault:
        raise TokenFault(f"Le jeton « {place.label} » ne s'ouvre pas ({type(fault).__name__}).") from None


def _token(place: Place) -> Any:
    if not Path(place.module).is_file():
        raise TokenFault(f"Il n'y a pas de module PKCS#11 en {place.module}.")
    try:
        return pkcs11.lib(place.module).get_token(token_label=place.label)
    except (pkcs11.NoSuchToken, pkcs11.MultipleTokensReturned):
        raise TokenFault(f"Il n'y a pas un seul jeton « {place.label} » : branchez-le, puis recommencez.") from None
    except (pkcs11.PKCS11Error, RuntimeError) as fault:
        raise TokenFault(f"Le module {place.module} ne répond pas ({type(fault).__name__}).") from None


def _label(role: str, key_id: int) -> str:
    return f"panier-{role}-{key_id}"


def _master_label(number: int) -> str:
    return f"panier-master-{number:02X}"
