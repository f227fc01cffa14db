"""The test hosts do what real machines do: boot, keep and lose data, hang, vanish, and leave nothing behind."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testhosts import Fleet, Host, HostsError, Unprepared

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
BANNER = "import socket, sys; s = socket.create_connection((sys.argv[1], 22), 1); s.settimeout(1); print(s.recv(3))"


def answers(seen_from: Host, address: str) -> bool:
    """Whether sshd at the address greets a connection from the host within a second."""
    return seen_from.run(["python3", "-c", BANNER, address], check=False).stdout == "b'SSH'\n"


def cli(fleet: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, as typed."""
    command = [sys.executable, "-m", "testhosts", "--fleet", fleet, *words]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=100)


def traces(fleet: str) -> list[str]:
    """Everything on this machine that still belongs to a fleet."""
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"/{fleet}/" in line]
    found += [str(path) for path in Path("/run/netns").glob(f"lf.{fleet}*")]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/litefleet*{fleet}.*")]
    found += [str(path) for path in Path("/run/systemd/nspawn").glob(f"**/{fleet}.*")]
    for parent in ("/run/litefleet-hosts", "/var/lib/litefleet-hosts"):
        found += [str(path) for path in Path(parent).glob(fleet)]
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        found += [text for text in [backing.read_text()] if f"/{fleet}/" in text]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        found += [f"{process}: {words}" for word in words if word.startswith(f"--machine={fleet}.")]
        found += [f"{process}: {words}" for word in words if word == f"--net=/run/netns/lf.{fleet}"]
    return found


def test_hosts_boot_to_running_and_show_in_the_list(fleet: Fleet) -> None:
    assert fleet.host("one").run(["systemctl", "is-system-running"]).stdout == "running\n"
    listed = json.loads(cli(fleet.name, "list", "--json").stdout)
    assert [(row["host"], row["state"], row["link"]) for row in listed] == [
        ("one", "running", "up"),
        ("two", "running", "up"),
    ]
    assert [row["leader"] for row in listed] == [host.leader for host in fleet.hosts()]
    assert [row["address"] for row in listed] == [host.address for host in fleet.hosts()]


def test_hosts_reach_each_other_by_name_and_hear_at_once_that_there_is_no_way_out(fleet: Fleet) -> None:
    assert answers(fleet.host("one"), "two")
    assert answers(fleet.host("two"), "one")
    out = fleet.host("one").run(["python3", "-c", BANNER, "192.0.2.1"], check=False)
    assert "No route to host" in out.stderr


def test_ssh_reaches_a_host_with_keys_only_root_can_read(fleet: Fleet) -> None:
    assert fleet.host("two").ssh(["hostname"]).stdout == "two\n"
    assert (fleet.directory / "id_ed25519").stat().st_mode & 0o777 == 0o600
    assert cli(fleet.name, "ssh-config").stdout.strip() == str(fleet.ssh_config)
    assert cli(fleet.name, "ssh", "two", "exit 3").returncode == 3


def test_commands_keep_their_words_and_exit_code_and_run_under_the_hosts_systemd(fleet: Fleet) -> None:
    words = ["a b", "$HOME", "$$", "%n", "it's", 'say "x"', ""]
    said = fleet.host("one").run(["python3", "-c", "import sys; print(sys.argv[1:])", *words])
    assert said.stdout.strip() == str(words)
    assert cli(fleet.name, "sh", "one", "sh", "-c", "exit 7").returncode == 7
    assert "/system.slice/run-" in fleet.host("one").run(["cat", "/proc/self/cgroup"]).stdout
    with pytest.raises(HostsError, match="one: false ended with 1"):
        fleet.host("one").run(["false"])
    assert f"inet {fleet.network.address(1)}/24" in cli(fleet.name, "net", "ip", "addr").stdout


def test_power_loss_keeps_synced_data_loses_the_rest_and_a_shared_ssh_connection_does_not_hang(fleet: Fleet) -> None:
    host = fleet.host("one")
    host.ssh(["true"])  # leaves a shared connection behind
    host.run(["dd", "if=/dev/zero", "of=/root/data", "bs=4096", "count=1", "conv=fsync"])
    host.run(["sh", "-c", "printf durable > /root/synced && sync /root /root/synced"])
    host.run(["sh", "-c", "printf lost | dd of=/root/data conv=notrunc; printf lost > /root/unsynced"])
    assert host.run(["head", "-c", "4", "/root/data"]).stdout == "lost"
    host.kill()
    assert (host.leader, host.status().state) == (None, "stopped")
    with pytest.raises(HostsError, match="one is not running"):
        host.run(["true"])
    host.start()
    assert host.run(["cat", "/root/synced"]).stdout == "durable"
    assert host.run(["head", "-c", "4", "/root/data"]).stdout == "\0\0\0\0"
    assert "lost" not in host.run(["cat", "/root/unsynced"], check=False).stdout
    assert host.ssh(["hostname"], timeout=20).stdout == "one\n"


def test_a_clean_stop_and_start_keeps_unsynced_data(fleet: Fleet) -> None:
    host = fleet.host("one")
    host.run(["sh", "-c", "printf kept > /root/unsynced"])
    host.stop()
    assert host.status().state == "stopped"
    host.start()
    assert host.run(["cat", "/root/unsynced"]).stdout == "kept"


def test_a_reboot_from_inside_comes_back_with_its_disk(fleet: Fleet) -> None:
    host = fleet.host("two")
    before = host.leader
    host.run(["sh", "-c", "printf kept > /root/file"])
    host.ssh(["systemctl", "reboot"], check=False)
    host.wait(after=before)
    assert host.leader not in (before, None)
    assert host.run(["cat", "/root/file"]).stdout == "kept"
    assert answers(fleet.host("one"), "two")


def test_a_cut_cable_stays_cut_over_a_restart_until_it_is_healed(fleet: Fleet) -> None:
    one, two = fleet.host("one"), fleet.host("two")
    two.cut()
    assert not answers(one, two.address)
    assert two.status().link == "cut"
    two.restart()
    assert not answers(one, two.address)
    two.heal()
    assert answers(one, two.address)


def test_a_frozen_host_accepts_connections_and_says_nothing_until_it_is_thawed(fleet: Fleet) -> None:
    one, two = fleet.host("one"), fleet.host("two")
    two.freeze()
    said = one.run(["python3", "-c", BANNER, two.address], check=False)
    assert "in <module>" in said.stderr
    assert "timed out" in said.stderr
    assert two.status().state == "frozen"
    with pytest.raises(HostsError, match="two is frozen: thaw it"):
        two.run(["true"])
    two.thaw()
    assert answers(one, two.address)


def test_a_frozen_host_can_lose_power_and_start_again(fleet: Fleet) -> None:
    two = fleet.host("two")
    two.freeze()
    two.kill()
    two.start()
    assert answers(fleet.host("one"), two.address)


def test_a_delay_holds_each_frame_and_leaves_data_as_it_is(fleet: Fleet) -> None:
    one, two = fleet.host("one"), fleet.host("two")
    two.delay(100)
    begin = time.monotonic()
    assert answers(one, two.address)
    assert time.monotonic() - begin >= 0.2, "there and back again takes twice the delay"
    two.delay(2, jitter=1, loss=1)
    assert two.status().link == "2 ms ±1, 1% lost"
    data = "0123456789abcdef" * 65536
    digest = two.ssh(["sha256sum"], stdin=data).stdout.split()[0]
    assert digest == hashlib.sha256(data.encode()).hexdigest()
    two.delay(1, loss=100)
    assert not answers(one, two.address)
    two.cut()  # the delay survives a pulled cable
    two.heal()
    two.delay(0)
    assert answers(one, two.address)
    two.undelay()
    assert answers(one, two.address)
    assert two.status().link == "up"
    with pytest.raises(Unprepared, match="0 to 100 percent"):
        two.delay(1, loss=101)


def test_up_adds_hosts_to_a_running_fleet_and_a_full_disk_says_so(fleet: Fleet) -> None:
    before = {host.name: host.leader for host in fleet.hosts()}
    fleet.up(["one", "small"], disk_mb=64)
    assert {host.name: host.leader for host in fleet.hosts() if host.name in before} == before
    full = fleet.host("small").run(["dd", "if=/dev/zero", "of=/root/fill", "bs=1M", "count=100"], check=False)
    assert "No space left on device" in full.stderr
    assert answers(fleet.host("two"), "small"), "running hosts learn the name of a new one"


def test_a_replaced_host_is_empty_and_has_the_same_name_and_address(fleet: Fleet) -> None:
    host = fleet.host("two")
    host.run(["sh", "-c", "printf old > /root/file; sync"])
    host.ssh(["true"])
    machine_id = host.run(["cat", "/etc/machine-id"]).stdout
    host.replace()
    assert host.run(["ls", "-A", "/root"]).stdout.split() == [".bashrc", ".profile", ".ssh"]
    assert host.run(["cat", "/etc/machine-id"]).stdout != machine_id
    assert host.ssh(["hostname"], timeout=20).stdout == "two\n"
    assert f" {host.address} " in host.run(["ip", "-brief", "addr", "show", "eth0"]).stdout.replace("/24", " ")
    assert answers(host, "one")


HARDENED = [
    *("DynamicUser=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes"),
    *("PrivateUsers=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectKernelTunables=yes"),
    *("ProtectControlGroups=yes", "ProtectProc=invisible", "MemoryMax=100M", "TasksMax=32"),
    *("StateDirectory=hardened", "SystemCallFilter=@system-service"),
]


def test_a_hardened_service_starts_and_its_limits_hold(fleet: Fleet) -> None:
    host = fleet.host("one")
    unit = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", *(f"--property={line}" for line in HARDENED)]
    probe = "touch /var/lib/hardened/a && ls -A /root /proc/1 ; touch /etc/a ; grep -c NoNewPrivs.*1 /proc/self/status"
    done = host.run([*unit, "sh", "-c", probe], check=False)
    assert done.returncode == 0, done.stderr
    assert "'/root': Permission denied" in done.stderr
    assert "'/proc/1': No such file" in done.stderr
    assert "'/etc/a': Read-only file system" in done.stderr
    assert host.run([*unit, "python3", "-c", "bytearray(300 << 20)"], check=False).returncode != 0
    assert host.run([*unit, "python3", "-c", "bytearray(10 << 20)"], check=False).returncode == 0


def test_an_address_filter_of_a_service_holds(fleet: Fleet) -> None:
    one, two = fleet.host("one"), fleet.host("two")
    unit = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--property=IPAddressDeny=any"]
    probe = ["python3", "-c", BANNER, two.address]
    assert one.run([*unit, *probe], check=False).returncode != 0
    assert one.run([*unit, f"--property=IPAddressAllow={two.address}", *probe]).stdout == "b'SSH'\n"


def test_a_host_that_boots_degraded_is_an_error_that_names_the_unit_and_can_be_taken_down(second_fleet: Fleet) -> None:
    second_fleet.up(["bad"])
    host = second_fleet.host("bad")
    broken = host.root / "etc/systemd/system/broken.service"
    broken.write_text("[Service]\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n")
    host.run(["systemctl", "enable", "broken"])
    with pytest.raises(HostsError, match=r"bad is degraded: failed: broken\.service\n(.|\n)*end of .*console\.log"):
        host.restart()
    second_fleet.down()
    assert traces(second_fleet.name) == []


def test_two_fleets_at_once_do_not_meet(fleet: Fleet, second_fleet: Fleet) -> None:
    second_fleet.up(["one"])
    ours, theirs = fleet.host("one"), second_fleet.host("one")
    assert ours.address != theirs.address
    assert theirs.ssh(["hostname"]).stdout == "one\n"
    assert not answers(ours, theirs.address)
    theirs.run(["touch", "/root/theirs"])
    second_fleet.down()
    assert traces(second_fleet.name) == []
    assert "theirs" not in ours.run(["ls", "/root"]).stdout
    assert ours.status().state == "running"


def test_an_interrupted_up_is_cleaned_by_down_and_down_can_run_twice(second_fleet: Fleet) -> None:
    name = second_fleet.name
    command = [sys.executable, "-m", "testhosts", "--fleet", name, "up", "a", "b", "c"]
    # A shell that runs the tests in the background has them ignore it; a program started inherits that, but no handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not Path(f"/run/netns/lf.{name}.a").exists():  # in the middle of it
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, f"testhosts: interrupted; testhosts --fleet {name} down cleans up\n")
    assert traces(name) != []
    for _ in range(2):
        assert cli(name, "down").returncode == 0
        assert traces(name) == []


def test_down_leaves_nothing_even_of_frozen_cut_and_delayed_hosts(second_fleet: Fleet) -> None:
    second_fleet.up(["a", "b"])
    second_fleet.host("a").delay(10)
    second_fleet.host("a").freeze()
    second_fleet.host("b").ssh(["true"])
    second_fleet.host("b").cut()
    assert traces(second_fleet.name) != []
    second_fleet.down()
    assert traces(second_fleet.name) == []


def test_a_machine_that_is_not_fit_is_told_what_to_install() -> None:
    command = [sys.executable, "-m", "testhosts", "list"]
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, env={**os.environ, "PATH": "/nowhere"}
    )
    assert done.returncode == 2
    assert done.stderr.startswith("testhosts: programs are missing: apt-get install ")
    assert {"systemd-container", "mmdebstrap"} <= set(shlex.split(done.stderr))
    program = "import os; from testhosts.system import check_machine; os.setuid(65534); check_machine()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True, text=True)
    assert "root is needed" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["up"], "required: HOST"),
        (["up", "Bad_Name"], "host 'Bad_Name': up to 24 lower-case letters"),
        (["up", "--disk-mb", "1", "a"], "a disk has at least 32 MB"),
        (["kill", "one"], "fleet nobody is not up"),
        (["sh", "one", "true"], "fleet nobody is not up"),
        (["ssh-config"], "fleet nobody is not up"),
    ],
)
def test_a_call_that_cannot_be_is_refused_with_exit_code_2_and_leaves_nothing(words: list[str], message: str) -> None:
    done = cli("nobody", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert traces("nobody") == []
