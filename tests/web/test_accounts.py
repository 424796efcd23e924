"""Accounts: passwords, roles, sessions, and the command that keeps them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from freehold.errors import BadInput, Conflict, NotFound
from freehold.models.people import ALLOWED, Act, Role
from freehold.secrets import FileSecrets
from freehold.web.accounts import Accounts
from freehold.web.sessions import Sessions

GOOD = "correct horse"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(tmp_path / "accounts.yaml")
    made.add("amir", (Role.APPROVER,), GOOD)
    return made


def test_only_the_right_password_logs_in(accounts: Accounts) -> None:
    found = accounts.check(" Amir ", GOOD)
    assert found is not None and found.name == "amir" and found.roles == (Role.APPROVER,)
    for name, password in (("amir", "wrong horse"), ("amir", ""), ("amir", "x" * 2000), ("olivia", GOOD), ("", "")):
        assert accounts.check(name, password) is None


def test_an_account_without_password_has_none_that_fits(accounts: Accounts) -> None:
    accounts.add("tess", (Role.TECHNICIAN,))
    assert accounts.get("tess") is not None
    assert accounts.check("tess", "") is None


def test_the_file_is_the_owners_and_holds_hashes(accounts: Accounts) -> None:
    assert accounts.path.stat().st_mode & 0o777 == 0o600
    text = accounts.path.read_text()
    assert GOOD not in text and yaml.safe_load(text)["accounts"][0]["password_hash"].startswith("$argon2id$")
    accounts.path.chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        accounts.get("amir")


def test_broken_files_and_bad_names_are_one_sentence(accounts: Accounts) -> None:
    with pytest.raises(Conflict, match="amir"):
        accounts.add("AMIR", (Role.ADMIN,), GOOD)
    with pytest.raises(BadInput, match="name"):
        accounts.add("amir; rm", (Role.ADMIN,), GOOD)
    with pytest.raises(BadInput, match="8 to 1024"):
        accounts.add("olivia", (Role.ADMIN,), "short")
    with pytest.raises(NotFound, match="amir"):
        accounts.remove("olivia")
    accounts.path.write_text("accounts: [{name: amir, roles: [king]}]")
    with pytest.raises(BadInput, match="cannot be read as accounts"):
        accounts.get("amir")


def test_another_process_changes_the_file(accounts: Accounts) -> None:
    Accounts(accounts.path).add("olivia", (Role.OPERATOR,), GOOD)
    assert [account.name for account in accounts.all()] == ["amir", "olivia"]


def test_every_role_reads_and_only_approvers_and_managers_decide() -> None:
    assert all(Act.READ in ALLOWED[role] for role in Role)
    assert [role for role in Role if Act.DECIDE in ALLOWED[role]] == [Role.APPROVER, Role.MANAGER]
    assert ALLOWED[Role.AUDITOR] == {Act.READ}


def test_sessions_end_with_password_and_account(accounts: Accounts, tmp_path: Path) -> None:
    sessions = Sessions(accounts, FileSecrets(tmp_path / "secrets.json"))
    amir = accounts.get("amir")
    assert amir is not None
    token, link = sessions.token(amir), sessions.link_token(amir)
    assert sessions.account(token) == amir and sessions.account_of_link(link) == amir
    assert Sessions(accounts, FileSecrets(tmp_path / "secrets.json")).account(token) == amir
    assert sessions.account(link) is None and sessions.account_of_link(token) is None
    assert sessions.account(token[:-2]) is None and sessions.account("") is None and sessions.account(None) is None
    accounts.set_password("amir", "battery staple")
    assert sessions.account(token) is None and sessions.account_of_link(link) is None
    fresh = sessions.token(accounts.get("amir") or amir)
    accounts.remove("amir")
    assert sessions.account(fresh) is None


def test_the_command_reads_passwords_from_standard_input(tmp_path: Path) -> None:
    def run(*words: str, given: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "freehold.cli.main", "--home", str(tmp_path), "account", *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"COLUMNS": "120"},
        )
        assert done.returncode == code, done
        return done.stdout + done.stderr

    assert "operator, approver" in run("add", "olivia", "-r", "operator", "-r", "approver", given=GOOD + "\n")
    assert "olivia" in run("list") and "argon2" not in run("list", "--json")
    assert "/link/" in run("link", "olivia")
    run("password", "olivia", given="battery staple\n")
    assert Accounts(tmp_path / "accounts.yaml").check("olivia", "battery staple")
    assert "8 to 1024" in run("password", "olivia", given="\n", code=1)
    run("remove", "olivia")
    assert Accounts(tmp_path / "accounts.yaml").all() == ()
