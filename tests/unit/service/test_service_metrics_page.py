"""docs/metrics.md has every metric and no other, with its type and labels, and its alerts use what there is."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

import litefleet
from litefleet.replicate.figures import Figures, Level
from litefleet.service.families import families
from litefleet.service.metrics import Metrics

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()


def served() -> dict[str, Metric]:
    """What a database with something of everything shows."""
    metrics = Metrics()
    metrics.observe("upload", 0.1)
    one = Figures(Path("/a.db"), "nats://h/b", levels={0: Level(1, 1)}, errors=Counter(BucketFull=1))
    text = metrics.text([one], started=1.0, now=2.0).decode()
    return {family.name: family for family in text_string_to_metric_families(text) if "_created" not in family.name}


def test_the_page_has_every_metric_and_no_other() -> None:
    rows = re.findall(r"^\| `(litefleet_\w+)` \| (\w+) \|([^|]*)\|", PAGE, re.MULTILINE)
    told = {name.removesuffix("_total"): (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    there = {
        name: (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
        for name, family in served().items()
        if not name.startswith("process_")
    }
    assert told == there
    assert all(name.endswith("_total") == (kind == "counter") for name, kind, _ in rows)


def test_the_page_has_every_kind_of_work() -> None:
    source = "".join(file.read_text() for file in Path(litefleet.__file__).parent.rglob("*.py"))
    (row,) = re.findall(r"^\| `litefleet_duration_seconds` .*$", PAGE, re.MULTILINE)
    kinds = set(re.findall(r"observe\(\"(\w+)\"", source))
    assert len(kinds) > 4
    assert set(re.findall(r"`(\w+)`", row)) - {"litefleet_duration_seconds", "kind"} == kinds


def test_the_alerts_use_metrics_and_states_that_exist() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    rules = yaml.safe_load(example)["groups"][0]["rules"]
    assert rules
    samples = {sample.name for family in served().values() for sample in family.samples}
    states = {sample.labels["state"] for sample in served()["litefleet_state"].samples}
    for rule in rules:
        assert set(re.findall(r"\b(litefleet_\w+|up)\b(?=[ {\[])", rule["expr"])) & (samples | {"up"}), rule
        for wanted in re.findall(r'state=~?"([^"]+)"', rule["expr"]):
            assert set(wanted.split("|")) <= states
    assert len(list(families([], 0.0))) > 20
