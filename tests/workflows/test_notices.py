"""Requests for approval, reminders, escalation and lapses arrive at real receivers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.notices import NoticeActivities
from freehold.errors import BadInput, NoticeNotSent
from freehold.models.notice import Notice
from freehold.models.units import HOUR_S
from freehold.policy import Policies
from freehold.secrets import FileSecrets
from freehold.settings import Settings, load_settings
from tests.mail import GOOD, Kind, mail_server
from tests.workflows.rig import running_rig


@contextmanager
def webhook(status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    got: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append(body | {"key": self.headers["Idempotency-Key"]})
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", got
    finally:
        server.shutdown()
        server.server_close()


async def test_a_request_that_nobody_answers_is_told_reminded_escalated_and_undone(
    client: Client, tmp_path: Path
) -> None:
    with webhook() as (deciders, told), webhook() as (boss, escalated), mail_server() as (smtp, mailbox):
        receivers = {
            "approvers": {"webhook": deciders, "mail": ["amir@example.com", "anna@example.com"]},
            "boss": {"webhook": boss, "mail": ["boss@example.com"]},
            "nobody": {},
        }
        approval = {
            "within_hours": 9 / HOUR_S,
            "tell": ["approvers", "nobody"],
            "remind": [
                {"hours_before": 4 / HOUR_S, "tell": ["approvers"]},
                {"hours_before": 1 / HOUR_S, "tell": ["approvers", "boss"]},
            ],
        }
        async with running_rig(client, tmp_path, approval=approval, receivers=receivers, mail_server=smtp) as rig:
            before = rig.everything()
            run = await rig.provision()
            outcome = await run.result()
            assert outcome.outcome == "lapsed" and "nobody approved" in outcome.reason
            assert rig.everything()[1:] == before[1:] and not rig.inventory.instances()
    assert [n["kind"] for n in told] == ["asked", "reminder", "last call", "lapsed"]
    assert [n["kind"] for n in escalated] == ["last call", "lapsed"]
    assert len({n["key"] for n in told}) == 4 and all(n["workflow_id"] == run.id for n in told)
    to = [(sorted(who), str(mail["Subject"]).split()[0]) for who, mail in mailbox.mails]
    both = ["amir@example.com", "anna@example.com"]
    assert to == [
        (both, "Approval"),
        (both, "Still"),
        (both, "About"),
        (["boss@example.com"], "About"),
        (both, "Nobody"),
        (["boss@example.com"], "Nobody"),
    ]
    assert f"freehold approve {run.id}" in mailbox.mails[0][1].get_content()


async def test_receivers_that_are_down_harm_no_run(client: Client, tmp_path: Path) -> None:
    receivers = {"gone": {"webhook": "http://127.0.0.1:1/"}}
    async with running_rig(client, tmp_path, approval={"tell": ["gone"]}, receivers=receivers) as rig:
        assert (await rig.approved(await rig.provision())).outcome == "active"


def test_one_receiver_that_refuses_does_not_silence_the_others(tmp_path: Path) -> None:
    with webhook(status=500) as (refusing, _), mail_server() as (smtp, mailbox):
        book = {"receivers": {"approvers": {"webhook": refusing, "mail": ["amir@example.com"]}}}
        (tmp_path / "policies.yaml").write_text(json.dumps(book))
        settings = load_settings(home=tmp_path, mail_server=smtp)
        with pytest.raises(NoticeNotSent, match="approvers by webhook"):
            _tell(settings)
        assert len(mailbox.mails) == 1
        assert mailbox.mails[0][1]["Message-ID"] == "<run.1-asked@freehold>"


async def test_a_policy_that_asks_again_asks_again(client: Client, tmp_path: Path) -> None:
    with webhook() as (deciders, told):
        receivers = {"approvers": {"webhook": deciders}}
        approval = {"within_hours": 2 / HOUR_S, "tell": ["approvers"], "on_lapse": "ask-again"}
        async with running_rig(client, tmp_path, approval=approval, receivers=receivers) as rig:
            run = await rig.provision()
            async with asyncio.timeout(30):
                while len(told) < 2:
                    await asyncio.sleep(0.1)
            assert (await rig.approved(run)).outcome == "active"
    assert {n["kind"] for n in told} == {"asked"} and len({n["key"] for n in told}) == len(told)
    assert len({n["until"] for n in told}) == len(told)


def _tell(settings: Settings) -> None:
    policies, secrets = Policies(settings.policies_file), FileSecrets(settings.secrets_file)
    ActivityEnvironment().run(NoticeActivities(settings, policies, secrets).tell, _notice())


@pytest.fixture
def receiver(tmp_path: Path) -> Path:
    """Where somebody reads mail, and the secret store has the right password."""
    (tmp_path / "policies.yaml").write_text('{"receivers": {"approvers": {"mail": ["amir@example.com"]}}}')
    FileSecrets(tmp_path / "secrets.json").put("mail/password", GOOD)
    return tmp_path


@pytest.mark.parametrize("kind", [Kind.STARTTLS, Kind.TLS])
def test_mail_goes_encrypted_and_logged_in(receiver: Path, kind: Kind) -> None:
    with mail_server(kind, receiver) as (smtp, mailbox):
        given = {"mail_security": kind, "mail_ca": receiver / "ca.pem", "mail_login": "freehold"}
        _tell(load_settings(home=receiver, mail_server=smtp, **given))
    assert len(mailbox.mails) == 1 and mailbox.logins == ["freehold"] and mailbox.encrypted == [True]


LOGIN = {"mail_login": "freehold", "mail_security": "starttls"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (LOGIN, "SSLCertVerificationError"),
        (
            {"mail_login": "freehold", "mail_secret": "mail/other", "mail_security": "starttls", "ca": True},
            "SecretMissing",
        ),
        ({"mail_login": "somebody", "mail_security": "starttls", "ca": True}, "SMTPAuthenticationError"),
        ({}, "SMTP"),
    ],
    ids=["a certificate of nobody we trust", "no password", "a wrong login", "not encrypted"],
)
def test_mail_that_cannot_be_sent_safely_is_not_sent(receiver: Path, given: dict[str, Any], words: str) -> None:
    with mail_server(Kind.STARTTLS, receiver) as (smtp, mailbox):
        settings = {name: value for name, value in given.items() if name != "ca"}
        trust = {"mail_ca": receiver / "ca.pem"} if "ca" in given else {}
        with pytest.raises(NoticeNotSent, match=words) as refused:
            _tell(load_settings(home=receiver, mail_server=smtp, **settings, **trust))
    assert not mailbox.mails and GOOD not in str(refused.value)


def test_a_password_is_never_sent_in_clear(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="use starttls or tls"):
        load_settings(home=tmp_path, mail_login="freehold")


def _notice() -> Notice:
    return Notice.model_validate(
        {
            "id": "run/1-asked",
            "kind": "asked",
            "to": ["approvers"],
            "procedure": "ProvisionInstance",
            "instance": "acme-1",
            "customer": "acme",
            "site": "north",
            "requested_by": "olivia",
            "workflow_id": "provision-acme-1",
            "plan_hash": "0123",
            "until": "2030-01-01T00:00:00Z",
        }
    )
