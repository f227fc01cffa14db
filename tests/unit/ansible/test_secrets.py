"""Secrets of the fleet on the controller."""

from __future__ import annotations

import json
from pathlib import Path

import nkeys
import pytest
from ansible_collections.litefleet.backup.plugins.module_utils import _nkeys

from tests.unit.ansible.running import run_module


def test_a_seed_is_one_that_the_nkeys_library_signs_with() -> None:
    seed = _nkeys.new_user_seed()
    pair = nkeys.from_seed(seed.encode())
    assert seed.startswith("SU")
    assert pair.public_key.decode() == _nkeys.public_key(seed)
    assert pair.verify(b"nonce", pair.sign(b"nonce"))


def test_no_two_seeds_are_equal() -> None:
    assert len({_nkeys.new_user_seed() for _ in range(100)}) == 100


def test_a_damaged_seed_is_refused_without_repeating_it() -> None:
    seed = _nkeys.new_user_seed()
    flipped = seed[:20] + ("A" if seed[20] != "A" else "B") + seed[21:]
    for text in (flipped, seed[:-2], "", "not base32!", nkeys.from_seed(seed.encode()).public_key.decode()):
        with pytest.raises(_nkeys.BadSeed) as caught:
            _nkeys.public_key(text)
        assert not text or text not in str(caught.value)


def test_missing_secrets_are_made_private_and_only_once(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "secrets"
    arguments = {"directory": str(directory), "nkeys": ["app1.agent"], "passwords": ["route"]}
    first = run_module("secrets", arguments)
    contents = {file.name: file.read_text() for file in directory.iterdir()}
    second = run_module("secrets", arguments)
    assert first["changed"]
    assert not second["changed"]
    assert {file.name: file.read_text() for file in directory.iterdir()} == contents
    assert sorted(contents) == ["app1.agent.nk", "route.password"]
    assert first["public_keys"] == {"app1.agent": _nkeys.public_key(contents["app1.agent.nk"])}
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}


def test_no_secret_is_in_the_result(tmp_path: Path) -> None:
    result = json.dumps(run_module("secrets", {"directory": str(tmp_path), "nkeys": ["a"], "passwords": ["p"]}))
    assert (tmp_path / "a.nk").read_text().strip() not in result
    assert (tmp_path / "p.password").read_text().strip() not in result


def test_check_mode_makes_nothing_and_says_what_would_be_made(tmp_path: Path) -> None:
    result = run_module("secrets", {"directory": str(tmp_path / "s"), "nkeys": ["a"]}, check=True)
    assert result["changed"]
    assert result["public_keys"] == {"a": "(made on the first run)"}
    assert "a.nk" in result["diff"]["after"]
    assert not (tmp_path / "s").exists()


def test_an_unusable_seed_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "a.nk").write_text("rubbish\n")
    result = run_module("secrets", {"directory": str(tmp_path), "nkeys": ["a"]})
    assert result["failed"]
    assert "a.nk is not a usable seed" in result["msg"]
    assert "rubbish" not in result["msg"]
    assert (tmp_path / "a.nk").read_text() == "rubbish\n"
