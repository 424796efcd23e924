"""Requests for approval, reminders, escalation and lapses arrive at real receivers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.notices import NoticeActivities
from freehold.errors import NoticeNotSent
from freehold.models.notice import Notice
from freehold.models.policy import HOUR_S
from freehold.policy import Policies
from freehold.settings import load_settings
from freehold.stack.ports import free_ports
from tests.workflows.rig import running_rig


class Mailbox:
    """An SMTP server that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 kept"


@contextmanager
def mail_server() -> Iterator[tuple[str, Mailbox]]:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_ports(1)[0])
    controller.start()
    try:
        yield f"127.0.0.1:{controller.port}", mailbox
    finally:
        controller.stop()


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
        activities = NoticeActivities(settings, Policies(settings.policies_file))
        with pytest.raises(NoticeNotSent, match="approvers by webhook"):
            ActivityEnvironment().run(activities.tell, _notice())
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
