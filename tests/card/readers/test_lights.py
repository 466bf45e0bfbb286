"""What readers' lights and buzzers are told: the bytes, by the bits of their makers' manuals."""

from __future__ import annotations

import pytest

from terminal.nfc.lights import TABLE, Lights, lights_of
from terminal.ports import Signal

MOST_MS = 350


@pytest.mark.parametrize("lights", TABLE, ids=lambda lights: lights.model)
def test_every_signal_has_a_command_with_a_source(lights: Lights) -> None:
    assert set(lights.commands) == set(Signal)
    assert lights.source


@pytest.mark.parametrize("lights", [lights for lights in TABLE if lights.is_pseudo_apdu], ids=lambda item: item.model)
@pytest.mark.parametrize(("signal", "blinks"), [(Signal.PAID, "green"), (Signal.ATTENTION, "red")])
def test_a_bi_colour_light_blinks_once_with_a_sound_and_ends_green(lights: Lights, signal: Signal, blinks: str) -> None:
    command = lights.commands[signal]
    assert command[:3] == bytes.fromhex("FF0040") and command[4] == 4 and len(command) == 9
    state, (on, off, times, buzzer) = command[3], command[5:]
    bits = {
        name: bool(state >> bit & 1)
        for bit, name in enumerate(
            ("red at end", "green at end", "red changes", "green changes", "red first", "green first", "red", "green")
        )
    }
    assert (bits["red at end"], bits["green at end"]) == (False, True)
    assert bits["red changes"] and bits["green changes"]
    assert [colour for colour in ("red", "green") if bits[colour]] == [blinks]
    assert bits[f"{blinks} first"]
    assert (times, buzzer) == (1, 1)
    assert (on + off) * times * 100 <= 200


@pytest.mark.parametrize("lights", [item for item in TABLE if not item.is_pseudo_apdu], ids=lambda item: item.model)
def test_other_readers_beep_short_when_paid_and_longer_for_attention(lights: Lights) -> None:
    short, long = (lights.commands[signal] for signal in (Signal.PAID, Signal.ATTENTION))
    assert short[:5] == long[:5] == bytes.fromhex("E000002801")
    assert 0 < short[5] * 10 < long[5] * 10 <= MOST_MS


@pytest.mark.parametrize(
    ("reader", "model"),
    [
        ("ACS ACR122U PICC Interface 00 00", "ACR122U"),
        ("ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] 00 00", "ACR1252"),
        ("ACS ACR1281U-C1 [ACR1281 Dual Reader PICC] 00 01", "ACR1281U"),
        ("HID Global OMNIKEY 5422 Smartcard Reader 00 00", None),
        ("Virtual PCD 00 00", None),
        ("", None),
    ],
)
def test_only_models_known_by_name_are_told_anything(reader: str, model: str | None) -> None:
    found = lights_of(reader)
    assert (found.model if found else None) == model
