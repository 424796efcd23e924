"""Telling people: a request for approval, reminders, its lapse; by webhook and by e-mail."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from email.message import EmailMessage

import httpx
import structlog
from temporalio import activity

from freehold.errors import NoticeNotSent
from freehold.models.notice import Notice
from freehold.models.work import Changed
from freehold.settings import Settings
from freehold.stack.client import workflow_url
from freehold.templates import render

TIMEOUT_S = 15

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Receivers:
    """Where notices go; empty strings and tuples are nowhere."""

    webhook: str = ""
    mail: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        return bool(self.webhook or self.mail)


def receivers(settings: Settings) -> tuple[Receivers, Receivers]:
    """Those who decide, and those who are told when nobody does."""
    return (
        Receivers(settings.notice_webhook, _addresses(settings.notice_mail)),
        Receivers(settings.escalation_webhook, _addresses(settings.escalation_mail)),
    )


class NoticeActivities:
    """Holds the settings, which name the receivers and the mail server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @activity.defn
    def tell(self, notice: Notice) -> Changed:
        """Tell all receivers. Told again, a notice has the same id: key of the webhook, Message-ID of the mail.

        Every receiver is tried before a failure is raised: one that is down must not silence the others.
        """
        deciding, above = receivers(self._settings)
        told, failed = [], []
        for receiver in (deciding, above) if notice.escalate else (deciding,):
            for where, send in (("webhook", self._post), ("mail", self._mail)):
                try:
                    if send(receiver, notice):
                        told.append(where)
                except (httpx.HTTPError, httpx.InvalidURL, smtplib.SMTPException, OSError) as error:
                    failed.append(f"{where}: {type(error).__name__}")
                    log.warning("notice not sent", notice=notice.id, where=where, error=str(error))
        if failed:
            raise NoticeNotSent(f"notice {notice.kind} of {notice.workflow_id} did not reach {', '.join(failed)}")
        return Changed(changed=bool(told), diff=f"told by {', '.join(told)}" if told else "nobody is to be told")

    def _post(self, receiver: Receivers, notice: Notice) -> bool:
        if not receiver.webhook:
            return False
        body = notice.model_dump(mode="json") | {"subject": notice.subject, "page": self._page(notice)}
        headers = {"Idempotency-Key": notice.id}
        httpx.post(receiver.webhook, json=body, headers=headers, timeout=TIMEOUT_S).raise_for_status()
        return True

    def _mail(self, receiver: Receivers, notice: Notice) -> bool:
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


def _addresses(given: str) -> tuple[str, ...]:
    return tuple(address.strip() for address in given.split(",") if address.strip())
