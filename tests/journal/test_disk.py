"""The journal on a real disk: settings, locks, full media, killed programs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sync.crypto import private_key_pem
from terminal.errors import JournalDamaged, JournalInUse, UnsafeSettings
from terminal.offline_queue import store
from terminal.offline_queue.medium import Disk, is_without_barriers
from tests.journal import kit
from tests.journal.kit import ANNE

ROOT = Path(__file__).parents[2]


def test_a_journal_on_a_real_disk_is_found_again(tmp_path: Path) -> None:
    journal = kit.made(Disk(tmp_path))
    kit.pay(journal, ANNE, 1_250)
    before = kit.picture(journal)
    journal.close()
    again = kit.opened(Disk(tmp_path))
    assert kit.picture(again) == before
    again.close()


def test_closing_leaves_the_write_ahead_log_in_place(tmp_path: Path) -> None:
    journal = kit.made(Disk(tmp_path))
    kit.note(journal)
    journal.close()
    assert (tmp_path / "journal-000001.db-wal").stat().st_size > 0


@pytest.mark.parametrize("name", ["synchronous", "journal_mode", "locking_mode", "wal_autocheckpoint"])
def test_a_setting_that_did_not_take_effect_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kit.made(Disk(tmp_path)).close()
    others = {"synchronous": "NORMAL", "journal_mode": "DELETE", "locking_mode": "NORMAL", "wal_autocheckpoint": 1000}
    weaker = tuple((item, others[item] if item == name else value, read) for item, value, read in store.PRAGMAS)
    monkeypatch.setattr(store, "PRAGMAS", weaker)
    with pytest.raises(UnsafeSettings, match=name):
        kit.opened(Disk(tmp_path))


def test_a_mount_without_barriers_is_refused() -> None:
    mounts = textwrap.dedent("""\
        22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
        30 22 8:2 / /var/lib/panier rw,noatime - ext4 /dev/sda2 rw,barrier=0
        31 22 8:3 / /srv rw - xfs /dev/sda3 rw,nobarrier
    """)
    assert is_without_barriers(mounts, Path("/var/lib/panier/till"))
    assert is_without_barriers(mounts, Path("/srv"))
    assert not is_without_barriers(mounts, Path("/var/lib/panier-other"))
    assert not is_without_barriers(mounts, Path("/home"))


def test_a_disk_mounted_without_barriers_opens_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kit.made(Disk(tmp_path)).close()
    monkeypatch.setattr("terminal.offline_queue.medium.is_without_barriers", lambda mounts, path: True)
    with pytest.raises(UnsafeSettings, match="barrier=0"):
        kit.opened(Disk(tmp_path))


def test_a_second_program_is_refused_with_a_sentence(tmp_path: Path) -> None:
    journal = kit.made(Disk(tmp_path))
    with pytest.raises(JournalInUse):
        kit.opened(Disk(tmp_path))
    other = run_python(f"""
        from pathlib import Path
        from terminal.errors import JournalInUse
        from terminal.offline_queue.store import Store
        from terminal.offline_queue.medium import Disk
        try:
            Store(Disk(Path({str(tmp_path)!r})), "journal-000001.db").open()
        except JournalInUse as fault:
            print(fault)
        """)
    assert "Un autre programme tient déjà le journal" in other.stdout, other.stderr
    kit.note(journal)
    journal.close()
    kit.opened(Disk(tmp_path)).close()


def test_a_journal_that_has_disappeared_is_not_begun_anew(tmp_path: Path) -> None:
    with pytest.raises(JournalDamaged, match="disparu"):
        kit.opened(Disk(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal-000001.db").write_bytes(os.urandom(8_192))
    with pytest.raises(JournalDamaged):
        kit.opened(Disk(tmp_path))
    (tmp_path / "journal-000001.db").write_bytes(b"")
    with pytest.raises(JournalDamaged):
        kit.opened(Disk(tmp_path))


def test_creating_a_journal_that_exists_leaves_its_records(tmp_path: Path) -> None:
    journal = kit.made(Disk(tmp_path))
    kit.note(journal)
    journal.close()
    again = kit.made(Disk(tmp_path))
    assert again.head().seq == 1
    again.close()


FILL = """
    import os, sys
    from pathlib import Path
    from terminal.errors import DiskFull
    from tests.journal import kit
    from terminal.offline_queue.medium import Disk
    from terminal.offline_queue import journal as module
    place = Path(sys.argv[1])
    module.ROOM_B = int(sys.argv[2])
    journal = kit.made(Disk(place))
    done = 0
    try:
        while done < 5_000:
            kit.pay(journal, kit.ANNE, 1)
            done += 1
    except DiskFull as fault:
        print(fault)
    journal.close()
    again = kit.opened(Disk(place))
    left = again.open_intent_left()
    assert again.head().seq == done, (again.head().seq, done)
    assert int(sys.argv[2]) == 0 or left is None
    again.close()
    print("kept", done, "of", done)
"""


@pytest.mark.parametrize("room_b", [0, 262_144], ids=["full in the middle of a commit", "full before the intent"])
def test_a_full_disk_stops_the_till_and_loses_nothing(tmp_path: Path, room_b: int) -> None:
    mount = f"mount -t tmpfs -o size=2m tmpfs {tmp_path} && exec "
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if subprocess.run([*unshare, "sh", "-c", mount + "true"], capture_output=True).returncode != 0:
        pytest.skip("namespaces or mounts are refused on this machine")
    script = textwrap.dedent(FILL)
    command = [*unshare, "sh", "-c", mount + '"$@"', "sh", sys.executable, "-c", script, str(tmp_path), str(room_b)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, env=environment())
    assert "Le disque est plein" in ended.stdout, ended.stderr
    assert "kept" in ended.stdout, ended.stderr


WRITER = """
    import sys
    from pathlib import Path
    from terminal.offline_queue.medium import Disk
    from sync.crypto import private_key_from_pem
    from tests.journal import kit
    kit.KEY = private_key_from_pem(Path(sys.argv[2]).read_bytes())
    journal = kit.opened(Disk(Path(sys.argv[1])))
    left = journal.open_intent_left()
    if left is not None:
        journal.append(kit.Draft(kit.RecordType.IN_DOUBT, left.body, kit.stamp()), closes_intent=True)
    while True:
        print(kit.pay(journal, kit.ANNE, 1).seq, flush=True)
"""


def test_a_till_killed_at_any_moment_loses_no_record_it_had_shown(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(private_key_pem(kit.KEY))
    kit.made(Disk(tmp_path)).close()
    dice = random.Random(4)
    shown = 0
    for _ in range(4):
        command = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path), str(key)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment()) as writer:
            assert writer.stdout is not None
            for _ in range(dice.randrange(1, 40)):
                shown = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = [int(line) for line in writer.stdout.read().splitlines() if line]
        shown = rest[-1] if rest else shown
        journal = kit.opened(Disk(tmp_path))
        left = journal.open_intent_left()
        assert shown <= journal.head().seq <= shown + 1
        assert left is None or left.seq == journal.head().seq + 1
        journal.close()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env=environment(),
    )
