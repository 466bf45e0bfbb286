"""Every reader of the table has its rule, the rules mean what they say, and a wrong one is seen.

The rules are read by a small reader of their own (udev(7): KEY op "value", GOTO and LABEL) and tried on devices.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from terminal.doctor.models import MODELS, Model, Way, model_of
from terminal.doctor.system import CCID_PLIST, installed_ccid

HARDWARE = Path(__file__).parents[2] / "hardware"
RULES = HARDWARE / "udev-rules" / "93-panier-readers.rules"
BLACKLIST = HARDWARE / "modprobe" / "panier-nfc.conf"
POLKIT = HARDWARE / "polkit" / "50-panier.rules"
LIBCCID_RULES = "92-libccid.rules"

PART = re.compile(r'\s*(?P<key>[A-Z]+)(?:\{(?P<name>[^}]+)\})?\s*(?P<op>==|!=|\+=|-=|:=|=)\s*"(?P<value>[^"]*)"\s*')
MATCHES = {"ACTION", "SUBSYSTEM", "ENV", "ATTR", "TEST"}
ASSIGNS = {"ATTR", "GROUP", "MODE", "GOTO", "LABEL"}

USB_IDS = [(usb_id, model) for model in MODELS for usb_id in model.usb_ids]


@dataclass(frozen=True)
class Part:
    key: str
    name: str
    op: str
    value: str


@dataclass
class Device:
    """What udev knows of a device that was just plugged in, and what the rules made of it."""

    usb_id: str
    action: str = "add"
    kind: str = "usb_device"
    attributes: dict[str, str] = field(default_factory=lambda: {"power/control": "auto"})
    given: dict[str, str] = field(default_factory=dict)

    def value(self, part: Part) -> str:
        vendor, product = self.usb_id.split(":")
        known = {"ACTION": self.action, "SUBSYSTEM": "usb", "ENV": self.kind}
        attributes = {"idVendor": vendor, "idProduct": product, **self.attributes}
        return known[part.key] if part.key in known else attributes.get(part.name, "")


class NoRule(Exception):
    pass


def parts_of(line: str) -> list[Part]:
    parts, at = [], 0
    while at < len(line):
        found = PART.match(line, at)
        if found is None or (found.end() < len(line) and line[found.end()] != ","):
            raise NoRule(line)
        parts.append(Part(found["key"], found["name"] or "", found["op"], found["value"]))
        at = found.end() + 1
    for part in parts:
        if part.key not in (MATCHES if part.op in ("==", "!=") else ASSIGNS):
            raise NoRule(line)
    return parts


def rules_of(text: str) -> list[list[Part]]:
    return [parts_of(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def apply(rules: list[list[Part]], device: Device) -> Device:
    at = 0
    while at < len(rules):
        matches = [part for part in rules[at] if part.op in ("==", "!=")]
        at += 1
        if not all(holds(part, device) for part in matches):
            continue
        for part in rules[at - 1]:
            if part.op != "=" or part.key == "LABEL":
                continue
            if part.key == "GOTO":
                at = next(n for n, rule in enumerate(rules) if Part("LABEL", "", "=", part.value) in rule)
            elif part.key == "ATTR":
                device.attributes[part.name] = part.value
            else:
                device.given[part.key] = part.value
    return device


def holds(part: Part, device: Device) -> bool:
    if part.key == "TEST":
        return (part.value in device.attributes) == (part.op == "==")
    return (device.value(part) == part.value) == (part.op == "==")


def after_the_rules(device: Device) -> Device:
    return apply(rules_of(RULES.read_text()), device)


@pytest.mark.parametrize(("usb_id", "model"), USB_IDS, ids=[usb_id for usb_id, _ in USB_IDS])
def test_a_reader_of_the_table_is_never_suspended(usb_id: str, model: Model) -> None:
    assert after_the_rules(Device(usb_id)).attributes["power/control"] == "on"


@pytest.mark.parametrize(("usb_id", "model"), USB_IDS, ids=[usb_id for usb_id, _ in USB_IDS])
def test_the_till_may_open_just_the_readers_it_drives_itself(usb_id: str, model: Model) -> None:
    given = after_the_rules(Device(usb_id)).given
    assert given == ({"GROUP": "panier", "MODE": "0660"} if model.way is Way.NFCPY else {})


def test_the_rules_touch_nothing_but_the_readers_of_the_table() -> None:
    for device in (
        Device("046d:c31c"),
        Device("072f:223b", action="remove"),
        Device("072f:223b", kind="usb_interface"),
    ):
        after_the_rules(device)
        assert device.attributes == {"power/control": "auto"} and device.given == {}
    named = re.findall(r'idVendor\}=="(\w+)", ATTR\{idProduct\}=="(\w+)"', RULES.read_text())
    assert sorted(f"{vendor}:{product}" for vendor, product in named) == sorted(usb_id for usb_id, _ in USB_IDS)


def test_each_rule_says_its_model() -> None:
    said = ""
    for line in RULES.read_text().splitlines():
        if line.startswith("ATTR"):
            model = model_of(":".join(re.findall(r'=="(\w{4})"', line)))
            assert model is not None and model.name in said
        elif line.startswith("#"):
            said = line


def test_the_rules_come_after_those_that_suspend() -> None:
    assert RULES.name > LIBCCID_RULES


@pytest.mark.parametrize(
    "wrong",
    [
        'ATTR{idVendor}="072f" ATTR{power/control}="on"',
        'ATTR{idVendor}=="072f", ATTR{power/control}==on',
        'ATTR{idVendor=="072f"',
        'GRUOP="panier"',
        'GOTO=="end"',
    ],
)
def test_a_line_that_is_no_rule_is_seen(wrong: str) -> None:
    with pytest.raises(NoRule):
        rules_of(wrong)


def test_udev_itself_finds_no_fault_in_the_rules() -> None:
    udevadm = shutil.which("udevadm")
    if udevadm is None or subprocess.run([udevadm, "verify", "--help"], capture_output=True).returncode != 0:
        pytest.skip("udevadm verify came with systemd 254")
    assert subprocess.run([udevadm, "verify", str(RULES)], capture_output=True).returncode == 0


def test_no_kernel_driver_is_left_that_takes_a_reader_of_the_table() -> None:
    words = [line.split() for line in BLACKLIST.read_text().splitlines() if line and not line.startswith("#")]
    assert {tuple(line) for line in words} == {("blacklist", name) for name in ("nfc", "pn533", "pn533_usb", "port100")}


@pytest.mark.skipif(shutil.which("node") is None, reason="polkit's rules are JavaScript; no node here to run them")
def test_polkit_gives_cards_to_the_service_user_alone_and_nothing_else() -> None:
    asked = [
        ("panier", "org.debian.pcsc-lite.access_pcsc"),
        ("panier", "org.debian.pcsc-lite.access_card"),
        ("panier", "org.freedesktop.systemd1.manage-units"),
        ("mallory", "org.debian.pcsc-lite.access_card"),
    ]
    program = (
        "const rules = []; const polkit = {Result: {YES: 'yes'}, addRule: rule => rules.push(rule)};"
        f"{POLKIT.read_text()};"
        f"const asked = {json.dumps(asked)};"
        "console.log(JSON.stringify(asked.map(([user, id]) => rules[0]({id}, {user}) ?? null)));"
    )
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == ["yes", "yes", None, None], done.stderr


@pytest.mark.skipif(not CCID_PLIST.exists(), reason="libccid is not installed")
def test_the_table_agrees_with_the_installed_libccid() -> None:
    ccid = installed_ccid()
    assert ccid is not None
    version = tuple(int(part) for part in ccid.version.split("."))
    for usb_id, model in USB_IDS:
        since = model.ccid_since
        is_expected = since is not None and tuple(int(part) for part in since.split(".")) <= version
        assert (usb_id in ccid.usb_ids) == is_expected, usb_id


def test_no_usb_number_stands_for_two_models() -> None:
    usb_ids = [usb_id for usb_id, _ in USB_IDS]
    assert len(usb_ids) == len(set(usb_ids)) and all(re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", each) for each in usb_ids)
