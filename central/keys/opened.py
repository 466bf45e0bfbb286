"""The keys of a centre as its other modules use them: what is opened signs, what is not says who must open it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from central.keys.faults import KeysClosed
from central.keys.plan import Plan
from central.keys.vaults import MONEY_ROLES, Vault
from domain.identity import CardId, Uid
from sync.crypto import PublicKey
from sync.issuing import diversification_input
from sync.signed_lists import CentreKeys

ENTITLEMENTS = "entitlements"


@dataclass(frozen=True, slots=True)
class CentralKeys:
    """All public keys of a centre, and the vaults that were opened. Nothing here hands a key out.

    Attributes:
        plan: custodians, places, public keys.
        centre_keys: the list of public keys terminals get, signed by the root.
        opened_by: custodians who opened what is open, for the record.
    """

    plan: Plan
    centre_keys: bytes = field(repr=False)
    daily: Vault | None = field(default=None, repr=False)
    money: Vault | None = field(default=None, repr=False)
    opened_by: tuple[str, ...] = ()

    def signer(self, role: str) -> Callable[[bytes], bytes]:
        """Signs with the newest key of that role. KeysClosed when it is not open.

        Entitlements are signed under the daily ceiling alone (central/signing_duty.py).
        """
        if role == ENTITLEMENTS:
            raise ValueError("entitlements are signed by central.signing_duty")
        return self._signer(role)

    def entitlement_signer(self) -> Callable[[bytes], bytes]:
        """For central/signing_duty.py alone, which counts what is signed. KeysClosed."""
        return self._signer(ENTITLEMENTS)

    def _signer(self, role: str) -> Callable[[bytes], bytes]:
        vault, key_id = self._vault(role), self.plan.newest(role).key_id
        return lambda message: vault.sign(role, key_id, message)

    def _vault(self, role: str) -> Vault:
        if role in MONEY_ROLES:
            if self.money is None:
                raise KeysClosed(
                    "Les clés qui créent l'argent sont fermées : il faut les secrets de deux gardiens "
                    f"({', '.join(keeper.name for keeper in self.plan.custodians)})."
                )
            return self.money
        return self._daily()

    def _daily(self) -> Vault:
        if self.daily is None:
            raise KeysClosed(
                "Les clés du centre sont fermées : il faut le secret d'un gardien "
                f"({', '.join(keeper.name for keeper in self.plan.custodians)})."
            )
        return self.daily

    @property
    def is_money_open(self) -> bool:
        """Whether entitlements and certificates can be signed."""
        return self.money is not None

    @property
    def entitlement_key_id(self) -> int:
        """The id new entitlements bear."""
        return self.plan.newest(ENTITLEMENTS).key_id

    @property
    def entitlement_keys(self) -> Mapping[int, PublicKey]:
        """Every entitlement key this centre ever had: a late record may bear the oldest."""
        return self.plan.all_keys(ENTITLEMENTS)

    def public_key(self, role: str) -> PublicKey:
        """The newest public key of a role."""
        return self.plan.key(role)

    def public(self) -> CentreKeys:
        """What terminals are told."""
        return self.plan.centre_keys()

    def card_key(self, number: int, uid: Uid, aid: bytes, programme: str, card: CardId) -> bytes:
        """One key of one card (NXP AN10922). KeysClosed."""
        return self._daily().card_key(number, diversification_input(uid, aid, number, programme, card))

    def close(self) -> None:
        """Let go of the keys."""
        for vault in (self.daily, self.money):
            if vault is not None:
                vault.close()
