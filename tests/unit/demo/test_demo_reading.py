"""What the demo reads out of other programs' lines."""

from __future__ import annotations

from demo.journal import Told
from demo.playbook import Run
from demo.story import restored_txids

PLAYBOOK = """\

PLAY [NATS servers] ************************************************************

TASK [litefleet.backup.nats_server : Install | Binary] *************************
changed: [nats1]

PLAY [Agents] ******************************************************************

TASK [litefleet.backup.litefleet_agent : Run the agent] ************************
[ERROR]: Task failed: Module failed: litefleet.service is failed
fatal: [app1]: FAILED! =>

PLAY RECAP *********************************************************************
app1                       : ok=1    changed=2    unreachable=0    failed=1    skipped=0    rescued=0    ignored=0
nats1                      : ok=27   changed=11   unreachable=0    failed=0    skipped=1    rescued=0    ignored=0
"""


def test_a_playbooks_output_tells_plays_tasks_errors_and_changes() -> None:
    run, seen = Run(), []
    for line in PLAYBOOK.splitlines():
        if ended := run.read(line):
            seen.append(f"end of {ended}")
        elif line.startswith("TASK"):
            seen.append(f"{run.play}: {run.task}")
    assert seen == [
        "NATS servers: nats_server : Install | Binary",
        "end of NATS servers",
        "Agents: litefleet_agent : Run the agent",
        "end of Agents",
    ]
    assert run.errors == ["[ERROR]: Task failed: Module failed: litefleet.service is failed"]
    assert run.changed == 13
    assert run.recap["app1"]["failed"] == 1


def test_journals_tell_the_newest_acknowledged_txid_and_the_last_committed_entry() -> None:
    told = Told()
    for line in (
        "INFO Replicating 2 databases",
        "DEBUG /var/lib/app/a.db: acknowledged level=0 txid=00000000000000ff pages=2 bytes=7 seconds=0.010",
        "DEBUG /var/lib/app/a.db: acknowledged level=9 txid=00000000000000fe pages=2 bytes=7 seconds=0.010",
        "DEBUG /var/lib/app/b.db: acknowledged level=0 txid=0000000000000001 pages=2 bytes=7 seconds=0.010",
        f"committed id=41 digest={'a' * 64}",
        f"committed id=42 digest={'b' * 64}",
        "committed id=43 digest=",  # cut off
    ):
        told.read(line)
    assert told.acknowledged == {"/var/lib/app/a.db": 0xFF, "/var/lib/app/b.db": 1}
    assert (told.committed, told.digests[42]) == (42, "b" * 64)


def test_only_databases_that_were_restored_have_a_restored_txid() -> None:
    lines = [
        "ok: [app1] => ",
        "    msg: |-",
        "        host  database                 result                 txid              time                      b",
        "        app1  /var/lib/app/ledger.db   restored               00000000000004b6  2026-11-23T19:17:00.000Z  7",
        "        app1  /var/lib/app/other.db    left alone, it exists  -                 -                         -",
    ]
    assert restored_txids(lines) == {"/var/lib/app/ledger.db": 0x4B6}
