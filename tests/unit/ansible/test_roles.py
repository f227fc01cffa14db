"""Every role says what it takes, and what it says is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted((Path(__file__).parents[3] / "roles").iterdir())
ALL = pytest.mark.parametrize("role", ROLES, ids=lambda role: str(role.name))


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


def specs(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = load(role / "meta/argument_specs.yml")["argument_specs"]
    return found


def options(role: Path) -> dict[str, Any]:
    return {name: option for spec in specs(role).values() for name, option in spec["options"].items()}


@ALL
def test_defaults_and_specification_agree_in_names_and_values(role: Path) -> None:
    said = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert said == load(role / "defaults/main.yml")


@ALL
def test_what_has_no_default_is_required(role: Path) -> None:
    without = {name for name, option in options(role).items() if "default" not in option}
    required = {name for name, option in options(role).items() if option.get("required")}
    assert without == required


@ALL
def test_every_entry_point_has_tasks_and_a_description(role: Path) -> None:
    for entry, spec in specs(role).items():
        assert (role / "tasks" / f"{entry}.yml").exists()
        assert spec["short_description"]
        assert spec["description"]


@ALL
def test_variables_carry_the_roles_name(role: Path) -> None:
    assert all(name.startswith(f"{role.name}_") for name in options(role))
    assert all(name.startswith(f"__{role.name}_") for name in load(role / "vars/main.yml"))


@ALL
def test_no_role_knows_a_group(role: Path) -> None:
    text = "".join(file.read_text() for file in role.rglob("*.yml")) + "".join(
        file.read_text() for file in role.rglob("*.j2")
    )
    assert not re.search(r"\bgroups\[|\bgroups\.|group_names", text)


@ALL
def test_the_readme_names_every_variable_and_no_other(role: Path) -> None:
    table = set(re.findall(r"^\| `(\w+)` \|", (role / "README.md").read_text(), re.MULTILINE))
    assert table == set(options(role))


@ALL
def test_task_files_are_short(role: Path) -> None:
    assert all(len(file.read_text().splitlines()) < 120 for file in role.rglob("*.yml") if file.parent.name == "tasks")
