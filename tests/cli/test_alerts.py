"""Alert rules: Prometheus' own tool accepts them, they are about what gateways expose, and each leads to a page."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from softlaunch.gateway.table import RouteTable
from softlaunch.inbound.envoy.followers import Followers
from softlaunch.inbound.envoy.health import Health
from softlaunch.store.database import Database
from tests.support.paths import ROOT
from tests.support.servers import running_gateway

FOLDER = ROOT / "deployments" / "prometheus"
GROUPS = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_accepts(arguments: tuple[str, ...]) -> None:
    """The rules are valid, and do what their unit tests say."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool here; on Debian and Ubuntu: apt-get install prometheus")
    done = subprocess.run([program, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_leads_to_a_page_that_exists() -> None:
    """Who is woken finds what to do in one step, and knows whether to get up."""
    for alert in ALERTS:
        page = alert["annotations"]["runbook_url"].removeprefix("{{ $externalLabels.runbooks }}/")
        assert (ROOT / "runbooks" / page).is_file(), alert["alert"]
        assert alert["labels"]["severity"] in {"page", "ticket"}


def test_every_alert_has_a_unit_test_that_raises_it() -> None:
    """A rule that never fires is worse than none."""
    cases = yaml.safe_load((FOLDER / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    raised = {check["alertname"] for case in cases for check in case["alert_rule_test"] if check["exp_alerts"]}
    assert {alert["alert"] for alert in ALERTS} <= raised


def test_the_rules_are_about_what_is_exposed(tmp_path: Path, migrated_file: Path) -> None:
    """Every metric that a rule names is one of the gateway's, or of Envoy's control plane, by its exact name."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    with running_gateway(f"sqlite:///{tmp_path / 'ledger.db'}") as url:
        text = httpx.get(f"{url}/metrics").text
    database = Database("sqlite://")
    text += Health(RouteTable(database), Followers(database), lambda: 0).text().decode()
    exposed = set(re.findall(r"^# TYPE (\w+)", text, flags=re.MULTILINE))
    named = {name for rule in RULES for name in re.findall(r"\bsoftlaunch_\w+", str(rule["expr"]))}
    assert named <= exposed
    assert "softlaunch_route_weight_percent" in named
