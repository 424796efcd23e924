"""Telling people: a request for approval, reminders, its lapse; by webhook and by e-mail."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage

import httpx
import structlog
from temporalio import activity

from freehold.errors import FreeholdError, NoticeNotSent
from freehold.models.notice import Notice
from freehold.models.policy import Receiver
from freehold.models.work import Changed
from freehold.policy import Policies
from freehold.secrets import Readable
from freehold.settings import MailSecurity, Settings
from freehold.stack.client import workflow_url
from freehold.templates import render

TIMEOUT_S = 15

log = structlog.get_logger(__name__)


class NoticeActivities:
    """Holds the rules, which know the receivers, and the way to the mail server with its password."""

    def __init__(self, settings: Settings, policies: Policies, secrets: Readable) -> None:
        self._settings, self._policies, self._secrets = settings, policies, secrets

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
        with self._mail_server() as server:
            server.send_message(mail)
        return True

    def _mail_server(self) -> smtplib.SMTP:
        """Connected, encrypted and logged in as the settings say."""
        wanted = self._settings
        host, _, port = wanted.mail_server.partition(":")
        trust = ssl.create_default_context(cafile=wanted.mail_ca)
        if wanted.mail_security is MailSecurity.tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, int(port or 465), timeout=TIMEOUT_S, context=trust)
        else:
            server = smtplib.SMTP(host, int(port or 25), timeout=TIMEOUT_S)
        try:
            if wanted.mail_security is MailSecurity.starttls:
                server.starttls(context=trust)
            if wanted.mail_login:
                server.login(wanted.mail_login, self._secrets.get(wanted.mail_secret))
        except BaseException:
            server.close()
            raise
        return server

    def _page(self, notice: Notice) -> str:
        return workflow_url(self._settings, notice.workflow_id) or ""
