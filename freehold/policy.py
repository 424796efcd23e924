"""The rules of approvals as the operator keeps them: `policies.yaml` in home, or those that come with Freehold."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import ValidationError

from freehold.errors import BadInput
from freehold.models.plan import Plan
from freehold.models.policy import ApprovalPolicy, PolicyBook, Receiver, Reminder
from freehold.models.wording import in_words
from freehold.services import service

SHIPPED = Path(__file__).with_name("policies.yaml")


class Policies:
    """The rules in a file, read again when it has changed; where there is none, the shipped ones."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[Path, int, int] | None = None
        self._book = PolicyBook()

    @property
    def path(self) -> Path:
        """The file that holds now."""
        return self._path if self._path.exists() else SHIPPED

    def of(self, procedure: str, plan: Plan) -> ApprovalPolicy:
        """The policy for this plan, with a waiver where the rules give one."""
        policy = self._told(self.book().policy(procedure, plan.request.service, plan.request.tier))
        if not policy.required:
            return policy.model_copy(update={"why": "waived by policy"})
        if policy.waive_installed and all(server.powered for server in plan.servers):
            return policy.model_copy(update={"required": False, "why": "waived by policy: all hardware is installed"})
        return policy

    def _told(self, policy: ApprovalPolicy) -> ApprovalPolicy:
        """Without receivers behind whom there is nobody, so that no run tries to tell them."""

        def real(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name for name in names if self.receiver(name).somebody)

        reminders = [Reminder(before_s=r.before_s, tell=tell) for r in policy.reminders if (tell := real(r.tell))]
        return policy.model_copy(update={"tell": real(policy.tell), "reminders": tuple(reminders)})

    def receiver(self, name: str) -> Receiver:
        """Raises BadInput when the rules know no such receiver (any more)."""
        found = self.book().receivers.get(name)
        if found is None:
            raise BadInput(f"{self.path} has no receiver {name!r} any more; nobody is told by it")
        return found

    def book(self) -> PolicyBook:
        """Raises BadInput in one sentence."""
        path = self.path
        found = path.stat()
        as_of = (path, found.st_mtime_ns, found.st_size)
        if as_of != self._read_at:
            self._book, self._read_at = read_book(path), as_of
        return self._book


def read_book(path: Path) -> PolicyBook:
    """Raises BadInput that names the file, the place in it, the value and what is allowed."""
    try:
        given = yaml.safe_load(path.read_text())
        book = PolicyBook.model_validate({} if given is None else given)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no YAML: {' '.join(str(error).split())[:300]}.") from error
    except ValidationError as error:
        raise BadInput(f"{path}: {_counted(in_words(error))}.") from error
    for number, rule in enumerate(book.rules, start=1):
        if rule.service is not None:
            _check_service(f"{path}: rule {number}", rule.service, rule.tier)
    return book


def _check_service(where: str, name: str, tier: str | None) -> None:
    try:
        tiers = service(name).tiers()
    except BadInput as error:
        raise BadInput(f"{where}: {error}.") from error
    if tier is not None and tier not in tiers:
        raise BadInput(f"{where}: tier {tier!r} of {name} is not known; allowed: {', '.join(tiers)}.")


def _counted(words: str) -> str:
    """Rules are counted from one, as people do."""
    return re.sub(r"rules\.(\d+)(\.|: |)", lambda found: f"rule {int(found[1]) + 1}: ", words)
