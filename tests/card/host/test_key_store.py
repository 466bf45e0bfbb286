"""The key store authenticates and gives nothing away: no call, attribute, text or copy of it holds a key."""

from __future__ import annotations

import copy
import json
import pickle
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.identity import CardId
from sync.issuing import TERMINALS, IssueOrder
from terminal.errors import KeysAsleep, NotOurCard, WrongKey
from terminal.nfc.channel import select_application
from terminal.nfc.key_store import KeyRole, KeyStore
from terminal.nfc.links import Link
from terminal.ports import Deadline

if TYPE_CHECKING:
    from tests.card.host.conftest import Stall


class Untouched:
    """A card nobody may speak to."""

    def transmit(self, apdu: bytes, deadline: Deadline) -> bytes:
        raise AssertionError("the card was asked something")

    def close(self, *, is_clean: bool) -> None: ...


def untouched() -> Link:
    return Link(Untouched(), Deadline(0), lambda _deadline: 1.0)


def selected(stall: Stall) -> Link:
    contact = stall.readers.connect(stall.lay(), stall.clock.deadline(5))
    select_application(contact.link, stall.order.aid)
    return contact.link


def keys_of(order: IssueOrder) -> dict[CardId, bytes]:
    return {order.card: order.keys[TERMINALS]}


def reachable(thing: object, seen: dict[int, object], depth: int = 6) -> Iterator[object]:
    """Everything that attributes and contents of an object lead to; what Python keeps of a function is left out."""
    if depth == 0 or id(thing) in seen:
        return
    seen[id(thing)] = thing
    yield thing
    if isinstance(thing, dict):
        inner: list[object] = [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        inner = [*thing]
    elif isinstance(thing, type | bytes | str | int | float):
        return
    else:
        inner = [getattr(thing, name, None) for name in dir(thing) if not name.startswith("__")]
    for item in inner:
        yield from reachable(item, seen, depth - 1)


def holds(thing: object, key: bytes) -> bool:
    texts = {key.hex(), repr(key)}
    return any(
        (isinstance(item, bytes | bytearray) and key in item) or (isinstance(item, str) and item in texts)
        for item in reachable(thing, {})
    )


class Leaky:
    """What the store must not be."""

    def __init__(self, key: bytes) -> None:
        self._keys = {b"card": key}


def test_the_walk_finds_a_key_where_there_is_one() -> None:
    key = secrets.token_bytes(16)
    assert holds(Leaky(key), key)
    assert holds([{"a": (Leaky(key),)}], key)
    assert not holds(Leaky(bytes(16)), key)


def test_no_attribute_of_the_store_leads_to_a_key_before_or_after_its_use(stall: Stall) -> None:
    store = KeyStore()
    store.take(keys_of(stall.order))
    key = stall.order.keys[TERMINALS]
    assert not holds(store, key)
    channel = store.authenticate(selected(stall), stall.ref)
    assert not holds(store, key)
    assert not holds(channel, key), "a channel has session keys only"


def test_the_store_says_nothing_and_is_not_copied_or_written_down(stall: Stall) -> None:
    store = KeyStore()
    store.take(keys_of(stall.order))
    assert repr(store) == str(store) == f"{store}" == "KeyStore()"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not copied"):
            pickle.dumps(store, protocol)
    for made in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied"):
            made(store)
    with pytest.raises(TypeError):
        json.dumps(store)
    with pytest.raises(TypeError):
        vars(store)


def test_nothing_public_returns_anything_but_a_channel(stall: Stall) -> None:
    public = sorted(name for name in dir(KeyStore) if not name.startswith("_"))
    assert public == ["authenticate", "take"]
    assert KeyStore().take(keys_of(stall.order)) is None  # type: ignore[func-returns-value]


def test_a_store_with_the_key_opens_a_channel_the_card_answers_on(stall: Stall) -> None:
    store = KeyStore()
    store.take(keys_of(stall.order))
    channel = store.authenticate(selected(stall), stall.ref, KeyRole.TERMINALS)
    assert len(channel.send(0x51, answer_b=7)) == 7  # GetCardUID, enciphered under the session


def test_new_keys_take_the_place_of_all_before(stall: Stall) -> None:
    store = KeyStore()
    store.take(keys_of(stall.order))
    store.take({CardId(b"another1"): bytes(16)})
    with pytest.raises(NotOurCard):
        store.authenticate(selected(stall), stall.ref)
    store.take({stall.order.card: bytes(16)})
    with pytest.raises(WrongKey):
        store.authenticate(selected(stall), stall.ref)


def test_a_card_or_role_whose_key_is_not_here_is_not_asked_anything(stall: Stall) -> None:
    store = KeyStore()
    store.take(keys_of(stall.order))
    with pytest.raises(NotOurCard):
        store.authenticate(untouched(), replace(stall.ref, card=CardId(b"elsewher")))
    with pytest.raises(NotOurCard):
        store.authenticate(untouched(), stall.ref, KeyRole.SECOND_GROUP)


def test_a_lease_that_has_run_out_opens_no_card_and_a_sync_wakes_the_store(stall: Stall) -> None:
    over = True
    store = KeyStore(is_asleep=lambda: over)
    store.take(keys_of(stall.order))
    with pytest.raises(KeysAsleep):
        store.authenticate(untouched(), stall.ref)
    over = False
    assert store.authenticate(selected(stall), stall.ref) is not None


def test_faults_of_an_authentication_do_not_name_the_key(stall: Stall) -> None:
    wrong = secrets.token_bytes(16)
    store = KeyStore()
    store.take({stall.order.card: wrong})
    with pytest.raises(WrongKey) as fault:
        store.authenticate(selected(stall), stall.ref)
    assert not holds([str(fault.value), fault.value.args, repr(fault.value)], wrong)
