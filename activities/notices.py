"""Telling people: a request for approval, reminders, its lapse; by webhook and by e-mail."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

import httpx
import structlog
from temporalio import activity

from freehold.errors import FreeholdError, NoticeNotSent
from freehold.models.notice import Notice
from freehold.models.policy import Receiver
from freehold.models.work import Changed
from freehold.policy import Policies
from freehold.settings import Settings
from freehold.stack.client import workflow_url
from freehold.templates import render

TIMEOUT_S = 15

log = structlog.get_logger(__name__)


class NoticeActivities:
    """Holds the rules, which know the receivers, and the way to the mail server."""

    def __init__(self, settings: Settings, policies: Policies) -> None:
        self._settings, self._policies = settings, policies

    @activity.defn
    def tell(self, notice: Notice) -> Changed:
        """Tell all receivers. Told again, a notice has the same id: key of the webhook, Message-ID of the mail.

        Every receiver is tried before a failure is raised: one that is down must not silence the others.
        """
        told, failed = [], []
        for name in notice.to:
            for where, send in (("webhook", self._post), ("mail", self._mail)):
                try:
                    if send(self._policies.receiver(name), notice):
                        told.append(f"{name} by {where}")
                except (FreeholdError, httpx.HTTPError, httpx.InvalidURL, smtplib.SMTPException, OSError) as error:
                    failed.append(f"{name} by {where} ({type(error).__name__})")
                    log.warning("notice not sent", notice=notice.id, to=name, by=where, error=str(error))
        if failed:
            raise NoticeNotSent(f"notice {notice.kind} of {notice.workflow_id} did not reach {', '.join(failed)}")
        return Changed(changed=bool(told), diff=f"told {', '.join(told)}" if told else "nobody is to be told")

    def _post(self, receiver: Receiver, notice: Notice) -> bool:
        if not receiver.webhook:
            return False
        body = notice.model_dump(mode="json") | {"subject": notice.subject, "page": self._page(notice)}
        headers = {"Idempotency-Key": notice.id}
        httpx.post(receiver.webhook, json=body, headers=headers, timeout=TIMEOUT_S).raise_for_status()
        return True

    def _mail(self, receiver: Receiver, notice: Notice) -> bool:
        if not receiver.mail:
            return False
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = notice.subject, self._settings.mail_from, ", ".join(receiver.mail)
        mail["Message-ID"] = f"<{notice.id.replace('/', '.')}@freehold>"
        mail.set_content(render("notices", "approval.txt.j2", notice=notice, page=self._page(notice)))
        host, _, port = self._settings.mail_server.partition(":")
        with smtplib.SMTP(host, int(port or 25), timeout=TIMEOUT_S) as server:
            server.send_message(mail)
        return True

    def _page(self, notice: Notice) -> str:
        return workflow_url(self._settings, notice.workflow_id) or ""
