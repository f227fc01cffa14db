"""Directories and files in one step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.ansible.running import run_module


def entry(path: Path, content: str, **more: Any) -> dict[str, Any]:
    return {"path": str(path), "content": content, **more}


def test_files_get_content_and_mode_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    directory, file = tmp_path / "etc" / "app", tmp_path / "etc" / "app" / "app.yml"
    arguments = {
        "directories": [{"path": str(directory), "mode": "0750"}],
        "files": [entry(file, "a: 1\n", mode="0640")],
    }
    assert run_module("files", arguments)["paths"] == [str(directory), str(file)]
    assert file.read_text() == "a: 1\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert directory.stat().st_mode & 0o777 == 0o750
    assert run_module("files", arguments)["changed"] is False


def test_check_mode_works_where_the_directory_is_missing_and_makes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "app.yml"
    result = run_module("files", {"files": [entry(file, "new\n", owner="nobody-yet")]}, check=True)
    assert result["changed"]
    assert result["diff"][0]["after"] == "new\n"
    assert not file.parent.exists()


def test_a_refused_file_leaves_all_files_as_they_were(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("old\n")
    files = [entry(good, "new\n"), entry(bad, "new\n", validate="sh -c 'echo no such thing >&2; exit 1' sh %s")]
    result = run_module("files", {"files": files})
    assert result["failed"]
    assert f"The new {bad} is refused, nothing was changed: no such thing" in result["msg"]
    assert good.read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


def test_the_validator_sees_the_new_content(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert run_module("files", {"files": [entry(file, "right\n", validate="grep -q right %s")]})["changed"]
    assert run_module("files", {"files": [entry(file, "wrong\n", validate="grep -q right %s")]})["failed"]
    assert file.read_text() == "right\n"


def test_secrets_are_in_no_result(tmp_path: Path) -> None:
    files = [
        {"path": str(tmp_path / "key"), "secret": "SUSECRETSEED", "mode": "0600"},
        entry(tmp_path / "conf", "password: hunter2-route\n"),
    ]
    result = json.dumps(run_module("files", {"files": files, "hide": ["hunter2-route"]}))
    assert "SUSECRETSEED" not in result
    assert "hunter2-route" not in result
    assert (tmp_path / "key").read_text() == "SUSECRETSEED"
    assert (tmp_path / "conf").read_text() == "password: hunter2-route\n"


def test_only_a_wrong_mode_is_put_right_in_place(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("same\n")
    file.chmod(0o666)
    inode = file.stat().st_ino
    assert run_module("files", {"files": [entry(file, "same\n", mode="0600")]})["changed"]
    assert (file.stat().st_mode & 0o777, file.stat().st_ino) == (0o600, inode)


def test_a_kept_directory_is_made_but_never_changed(tmp_path: Path) -> None:
    there, missing = tmp_path / "there", tmp_path / "missing"
    there.mkdir(mode=0o700)
    directories = [{"path": str(path), "owner": "nobody-yet", "keep": True} for path in (there, missing)]
    assert run_module("files", {"directories": directories})["paths"] == [str(missing)]
    assert there.stat().st_mode & 0o777 == 0o700
    assert missing.is_dir()


def test_an_unknown_owner_is_said(tmp_path: Path) -> None:
    result = run_module("files", {"files": [entry(tmp_path / "file", "x", owner="nobody-yet")]})
    assert result["failed"]
    assert "nobody-yet" in result["msg"]
    assert list(tmp_path.iterdir()) == []
