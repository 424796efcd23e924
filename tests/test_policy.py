"""The rules of approvals: what follows from a file, and what is said of a wrong one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from freehold.errors import BadInput
from freehold.models.people import Role
from freehold.models.policy import ApprovalPolicy, OnLapse, PolicyBook, Procedure, Reminder
from freehold.models.units import HOUR_S
from freehold.policy import SHIPPED, Policies, read_book
from freehold.settings import load_settings
from tests.cli.test_main import freehold
from workers.wiring import WORKFLOWS


def book(*rules: dict[str, Any], **receivers: Any) -> PolicyBook:
    return PolicyBook.model_validate({"rules": rules, "receivers": receivers})


def test_the_shipped_rules_know_every_procedure() -> None:
    shipped = read_book(SHIPPED)
    assert {rule.procedure for rule in shipped.rules} == {None, *Procedure}
    for procedure in Procedure:
        policy = shipped.policy(procedure, "object-storage", "compact")
        assert policy.required and policy.quorum == 1 and not policy.waive_installed
        assert [r.before_s for r in policy.reminders] == sorted((r.before_s for r in policy.reminders), reverse=True)
    assert shipped.policy("SomethingNew", "", "") == shipped.policy(Procedure.PROVISION, "", "")


def test_rules_can_name_every_procedure_that_people_talk_to() -> None:
    assert {workflow.__name__ for workflow in WORKFLOWS if hasattr(workflow, "abort_update")} <= set(Procedure)


def test_a_lower_rule_replaces_what_a_higher_one_said() -> None:
    made = book(
        {"quorum": 2, "within_hours": 10, "roles": ["approver"]},
        {"procedure": "ScaleUp", "quorum": 1},
        {"procedure": "ScaleUp", "service": "object-storage", "tier": "distributed", "quorum": 3, "within_hours": 0.5},
        {"service": "object-storage", "identity": "login"},
    )

    def terms(procedure: str, service: str, tier: str) -> tuple[int, int, str]:
        policy = made.policy(procedure, service, tier)
        assert policy.roles == ("approver",)
        return policy.quorum, policy.within_s, policy.identity

    assert terms("ProvisionInstance", "", "") == (2, 10 * HOUR_S, "claim")
    assert terms("ScaleUp", "object-storage", "compact") == (1, 10 * HOUR_S, "login")
    assert terms("ScaleUp", "object-storage", "distributed") == (3, HOUR_S // 2, "login")
    assert terms("ScaleUp", "mail", "distributed") == (1, 10 * HOUR_S, "claim")


def test_reminders_that_come_too_early_for_a_shorter_time_are_left_out() -> None:
    remind = [{"hours_before": 1, "tell": ["boss"]}, {"hours_before": 36, "tell": ["approvers"]}]
    made = book({"remind": remind}, {"procedure": "ScaleUp", "within_hours": 12}, boss={}, approvers={})
    assert [r.before_s for r in made.policy("ProvisionInstance", "", "").reminders] == [36 * HOUR_S, HOUR_S]
    assert [r.before_s for r in made.policy("ScaleUp", "", "").reminders] == [HOUR_S]


def test_what_destroys_data_is_never_waived() -> None:
    made = book({"required": False, "waive_installed": True})
    assert not made.policy("ProvisionInstance", "", "").required
    end = made.policy("DecommissionInstance", "", "")
    assert end.required and not end.waive_installed


def test_a_policy_says_what_it_asks_for() -> None:
    assert ApprovalPolicy().words() == "one approver or manager must agree; when nobody decides, all is undone"
    two = ApprovalPolicy(quorum=2, roles=(Role.MANAGER,), on_lapse=OnLapse.ASK_AGAIN).words()
    assert two == "2 people must agree, each manager; when nobody decides, it is asked again"
    told = ApprovalPolicy(reminders=(Reminder(before_s=HOUR_S, tell=("approvers", "on-call")),)).words()
    assert "; reminders: approvers and on-call 1 h before the end; " in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [{quorum: 0}]", "rule 1: quorum: it should be greater than or equal to 1 (given: 0)"),
        ("rules: [{}, {quorom: 2}]", "rule 2: quorom is not a field (given: 2)"),
        ("rules: [{procedure: Provision}]", "rule 1: procedure: it should be 'ProvisionInstance', "),
        ("rules: [{service: mail}]", "rule 1: service 'mail' is not known; allowed: object-storage"),
        (
            "rules: [{service: object-storage, tier: huge}]",
            "rule 1: tier 'huge' of object-storage is not known; allowed: compact, distributed",
        ),
        ("rules: [{tier: compact}]", "rule 1: tier 'compact' is of no service; name the service, too"),
        ("rules: [{roles: [operator]}]", "rule 1: roles: operator may not approve; allowed: approver, manager"),
        ("rules: [{roles: []}]", "rule 1: roles: "),
        ("rules: [{tell: [boss]}]", "rule 1 tells 'boss', which is no receiver; there are: none"),
        ("rules: [{on_lapse: shrug}]", "rule 1: on_lapse: it should be 'undo' or 'ask-again' (given: 'shrug')"),
        ("rules: [{procedure: DecommissionInstance, required: false}]", "always needs an approval"),
        ("rules: [{within_hours: 2, remind: [{hours_before: 3, tell: [a]}]}]", "a reminder 3 hours before the end"),
        ("receivers: {a: {mail: [amir]}}", "receivers.a.mail.0: 'amir' is no mail address"),
        ("receivers: {a: {mail: ['a@b\\nBcc: c@d']}}", "is no mail address"),
        ("receivers: {a: {webhook: 'ftp://x'}}", "receivers.a.webhook: a webhook's address begins with http"),
        ("rulez: []", "rulez is not a field"),
        ("[", "is no YAML"),
        ("7", "must be one JSON object"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as refused:
        read_book(file)
    sentence = str(refused.value)
    assert sentence.startswith(str(file)) and words in sentence and sentence.endswith(".") and "\n" not in sentence
    done = freehold("policy", "check", str(file), code=1)
    assert done.stderr.strip() == sentence


def test_a_changed_file_holds_at_once(tmp_path: Path) -> None:
    policies = Policies(tmp_path / "policies.yaml")
    assert policies.path == SHIPPED and policies.book().policy("ScaleUp", "", "").quorum == 1
    for quorum in (2, 3):
        (tmp_path / "policies.yaml").write_text(f"rules: [{{quorum: {quorum}}}]")
        os.utime(tmp_path / "policies.yaml", ns=(quorum, quorum))
        assert policies.book().policy("ScaleUp", "", "").quorum == quorum


def test_the_command_shows_what_follows_from_the_rules(tmp_path: Path) -> None:
    rules = {
        "receivers": {"approvers": {"mail": ["amir@example.com"], "webhook": "https://chat.example.com/hook/secret"}},
        "rules": [
            {"quorum": 2, "tell": ["approvers"], "unknown_names": "refuse"},
            {"procedure": "ScaleUp", "service": "object-storage", "tier": "distributed", "waive_installed": True},
        ],
    }
    (tmp_path / "policies.yaml").write_text(yaml.safe_dump(rules))
    shown = freehold("--home", str(tmp_path), "policy", "show", COLUMNS="200").stdout
    assert "object-storage distributed" in shown and "2, waived if installed" in shown
    assert "chat.example.com" in shown and "secret" not in shown and "known names only" in shown
    found = json.loads(freehold("--home", str(tmp_path), "policy", "show", "--json", "--procedure", "ScaleUp").stdout)
    assert [(row["tier"], row["waive_installed"]) for row in found["policies"]] == [("", False), ("distributed", True)]
    assert freehold("policy", "check", str(tmp_path / "policies.yaml")).stdout.endswith("all in order.\n")


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="policies"):
        load_settings(home=tmp_path, policies=tmp_path / "none.yaml")
