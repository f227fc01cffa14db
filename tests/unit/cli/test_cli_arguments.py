"""Command lines: what is wrong is said in one line with exit code 2, and Litestream's spellings work."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from litefleet.cli.main import _parser, main

COMMANDS = [
    "replicate", "restore", "ltx", "status", "sync", "add", "remove", "reload", "databases", "check-config", "clean",
    "history", "version",
]  # fmt: skip
URL = "nats://127.0.0.1:4222/bucket"


def parse(*arguments: str) -> argparse.Namespace:
    return _parser().parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["frobnicate"], "frobnicate"),
        (["--frobnicate"], "COMMAND"),
        (["restore"], "DB_PATH|URL"),
        (["restore", "a", "b"], "b"),
        (["restore", URL], "-o OUT"),
        (["restore", URL, "-o"], "-o"),
        (["restore", URL, "-o", "x", "--frobnicate"], "--frobnicate"),
        (["restore", URL, "-o", "x", "--tx", "1"], "--tx"),
        (["restore", URL, "-o", "x", "--txid", "0"], "'0'"),
        (["restore", URL, "-o", "x", "--txid", "xyz"], "'xyz'"),
        (["restore", URL, "-o", "x", "--txid", "-1"], "--txid"),
        (["restore", URL, "-o", "x", "--txid", "+1"], "'+1'"),
        (["restore", URL, "-o", "x", "--txid", "0x1f"], "'0x1f'"),
        (["restore", URL, "-o", "x", "--txid", "1_0"], "'1_0'"),
        (["restore", URL, "-o", "x", "--txid", " 1"], "' 1'"),
        (["restore", URL, "-o", "x", "--txid", "1" * 17], "'11111111111111111'"),
        (["restore", URL, "-o", "x", "--txid", ""], "''"),
        (["restore", URL, "-o", "x", "--timestamp", "yesterday"], "yesterday"),
        (["restore", URL, "-o", "x", "--timestamp", "2026-11-23T03:15:00"], "zone"),
        (["restore", URL, "-o", "x", "--txid", "1", "--timestamp", "2026-11-23T03:15:00Z"], "--timestamp"),
        (["restore", URL, "-o", "x", "--integrity-check", "some"], "some"),
        (["restore", "s3://bucket/path", "-o", "x"], "s3"),
        (["restore", "nats://127.0.0.1:4222", "-o", "x"], "bucket"),
        (["ltx", URL, "--level", "10"], "'10'"),
        (["ltx", URL, "--level", "-1"], "--level"),
        (["ltx"], "DB_PATH|URL"),
        (["ltx", "nats://h/a/../b"], "path"),
        (["status", "a", "b"], "b"),
        (["sync", "a", "b"], "b"),
        (["sync", "--timeout", "1d"], "'1d'"),
        (["add", "/data/app.db"], "--replica"),
        (["remove"], "DB_PATH"),
        (["reload", "x"], "x"),
        (["replicate", "--log-level", "loud"], "loud"),
        (["replicate", "/data/app.db"], "/data/app.db"),
        (["databases", "x"], "x"),
        (["check-config"], "FILE"),
        (["version", "--long"], "--long"),
        (["restore", "--all", URL], "--all"),
        (["restore", "--all", "-o", "x"], "--output-dir"),
        (["restore", "--all", "--txid", "1"], "--timestamp"),
        (["restore", "--all", "--jobs", "0"], "'0'"),
        (["restore", "--jobs", "2", URL], "--jobs"),
        (["restore", "--output-dir", "d", URL], "--output-dir"),
        (["retention", URL], "--dry-run"),
        (["retention", "--dry-run", "--window", "7", URL], "needs a unit"),
        (["clean"], "DB_PATH|URL"),
        (["history"], "DB_PATH|URL"),
        (["history", URL, "--limit", "-1"], "--limit"),
        (["history", URL, "--limit", "ten"], "'ten'"),
        (["clean", URL, "--older-than", "3600"], "needs a unit"),
        (["clean", URL, "--older-than", "-1h"], "--older-than"),
        (["clean", URL, "--older-than=-1h"], "negative"),
        (["databases", "--config"], "--config"),
        (["databases", "--config", "/no/such/file.yml"], "/no/such/file.yml"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("litefleet: ")
    assert output.err.count("\n") == 1
    assert named in output.err
    assert "; " in output.err, "no remedy"


def test_a_wrong_port_is_named_with_the_ports_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore", "nats://127.0.0.1:x/bucket", "-o", "x"]) == 2
    assert "port is not a number from 1 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, flag])
    assert ended.value.code == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out.startswith(f"usage: litefleet {command} ")
    described = [action for action in _command(command)._actions if action.help == argparse.SUPPRESS or not action.help]
    assert not described, "options without a help text"


def _command(name: str) -> argparse.ArgumentParser:
    for action in _parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = action.choices[name]
            assert isinstance(found, argparse.ArgumentParser)
            return found
    raise AssertionError


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    assert all(f"\n    {command}" in output for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["restore", "--txid", "a5", URL],
        ["restore", "--timestamp", "2026-11-23T03:15:00Z", URL],
        ["restore", "--timestamp", "2026-11-23T04:15:00.123456789+01:00", URL],
        ["restore", "--config", "l.yml", "/data/app.db"],
        ["restore", "--no-expand-env", "/data/app.db"],
        ["restore", "--if-db-not-exists", "/data/app.db"],
        ["restore", "--if-replica-exists", "/data/app.db"],
        ["restore", "--force", "--dry-run", "--json", URL],
        ["restore", "--integrity-check", "full", URL],
        ["restore", "--all", "--output-dir", "d", "--jobs", "8", "--config", "l.yml"],
        ["replicate", "--config", "l.yml"],
        ["replicate", "--once"],
        ["replicate", "--log-level", "debug"],
        ["databases", "--config", "l.yml", "--json"],
        ["status", "--config", "l.yml", "--json"],
        ["ltx", "--level", "all", "--json", URL],
        ["ltx", "--config", "l.yml", "/data/app.db"],
        ["status", "--remote", "--socket", "l.sock"],
        ["sync", "--wait", "--timeout", "5s", "/data/app.db"],
        ["add", "--replica", URL, "/data/app.db"],
        ["remove", "--timeout", "5", "--socket", "l.sock", "/data/app.db"],
        ["reload", "--json"],
        ["history", "--config", "l.yml", "--limit", "0", "--json", "/data/app.db"],
        ["retention", "--config", "l.yml", "--dry-run", "--window", "7h", "--l0-retention", "0", "--json", URL],
        ["clean", "--config", "l.yml", "--older-than", "90m", "--dry-run", "--json", URL],
    ],
)
def test_one_dash_does_as_well_as_two(arguments: list[str]) -> None:
    command, *rest = arguments
    short = [word[1:] if word.startswith("--") else word for word in rest]
    joined = [word for word in rest if word.startswith("--")]
    assert parse(command, *short) == parse(command, *rest)
    assert joined


@pytest.mark.parametrize("spelling", [["-o", "out.db"], ["-o=out.db"], ["--output", "out.db"], ["--output=out.db"]])
def test_every_spelling_of_the_output(spelling: list[str]) -> None:
    assert parse("restore", *spelling, URL).output == Path("out.db")
    assert parse("restore", URL, *spelling).output == Path("out.db")


def test_values_may_follow_an_equals_sign_as_in_go() -> None:
    assert parse("restore", "-txid=a5", "-config=l.yml", URL) == parse(
        "restore", "--txid", "a5", "--config", "l.yml", URL
    )


def test_a_txid_is_hexadecimal_with_or_without_its_zeros() -> None:
    assert parse("restore", "-txid", "00000000000000a5", URL).txid == parse("restore", "-txid", "A5", URL).txid == 0xA5
    assert parse("restore", "-txid", "f" * 16, URL).txid == (1 << 64) - 1
