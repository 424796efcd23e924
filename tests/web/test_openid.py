"""Logging in at a real OpenID provider over loopback, and everything that such a provider might get wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from freehold.errors import BadInput, Conflict
from freehold.models.login import OpenId
from freehold.models.people import Role
from freehold.secrets import FileSecrets
from freehold.settings import load_settings
from freehold.stack.ports import free_ports
from freehold.web.accounts import Account, Accounts
from freehold.web.accounts import Provider as At
from freehold.web.login import app_of
from freehold.web.sessions import COOKIE
from tests.conftest import TemporalServer
from tests.web.provider import CLIENT, SECRET, Provider
from tests.web.site import PASSWORD, make_sessions, served
from tests.web.test_login import ROOT, identities, start_body
from tests.workflows.rig import request, running_rig, until_waiting

GROUPS = {"plans": Role.APPROVER, "ops": Role.OPERATOR}


class Site:
    """A login of ours whose people are at `provider`."""

    def __init__(self, url: str, provider: Provider, accounts: Accounts) -> None:
        self.url, self.provider, self.accounts = url, provider, accounts

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=self.url, timeout=30, trust_env=False) as http:
            yield http

    async def log_in(self, http: httpx.AsyncClient, after: str = "/") -> httpx.Response:
        """There and back; the answer is the last one of ours."""
        there = await http.get("/freehold/openid/start", params={"next": after})
        assert there.status_code in (302, 303), there.text
        if there.headers["location"].startswith("/"):
            return there
        back = await http.get(there.headers["location"])
        return await http.get(back.headers["location"])

    async def refusal(self) -> str:
        """Why somebody is not let in."""
        async with self.browser() as http:
            answer = await self.log_in(http, "/?a=b")
            assert answer.status_code == 303 and COOKIE not in http.cookies
            page, _, query = answer.headers["location"].partition("?")
            assert page == "/freehold/login"
            shown = await http.get(answer.headers["location"])
            assert 'role="alert"' in shown.text and "start?next=%2F%3Fa%3Db" in shown.text
            return parse_qs(query)["error"][0]


@pytest.fixture
async def site(temporal: TemporalServer, tmp_path: Path) -> AsyncIterator[Site]:
    """As the program itself makes it, from settings."""
    provider = Provider()
    sessions = make_sessions(tmp_path)
    for name in ("amir", "olivia"):
        sessions.accounts.remove(name)
    FileSecrets(tmp_path / "secrets.json").put("openid/client", SECRET)
    (port,) = free_ports(1)
    async with served(provider.app) as there:
        provider.url = there
        openid = {"issuer": there, "client_id": CLIENT, "client_secret": "openid/client", "roles": GROUPS}
        here = f"http://127.0.0.1:{port}"
        settings = load_settings(home=tmp_path, temporal_ui_url=temporal.ui, openid=openid, login_url=here)
        async with served(app_of(settings), port):
            yield Site(here, provider, sessions.accounts)


async def test_the_name_and_roles_of_the_provider_hold_in_the_history(
    site: Site, temporal: TemporalServer, tmp_path: Path
) -> None:
    client = await temporal.client()
    site.provider.claims |= {"groups": ["ops"], "preferred_username": "olivia"}
    async with running_rig(client, tmp_path / "rig") as rig, site.browser() as http:
        page = await http.get("/freehold/login", params={"next": "/namespaces/default/workflows?a=b"})
        assert "Log in by single sign-on" in page.text
        assert "/freehold/openid/start?next=%2Fnamespaces%2Fdefault%2Fworkflows%3Fa%3Db" in page.text
        inside = await site.log_in(http, "/namespaces/default/workflows?a=b")
        assert inside.status_code == 303 and inside.headers["location"] == "/namespaces/default/workflows?a=b"
        (await http.get("/api/v1/settings")).raise_for_status()
        headers = {
            "X-CSRF-TOKEN": http.cookies["_csrf"],
            "Cookie": "; ".join(f"{c.name}={c.value}" for c in http.cookies.jar),
        }
        body = start_body("ProvisionInstance", rig.parts.settings.task_queue, request("acme-1").model_dump(mode="json"))
        started = await http.post(f"{ROOT}/workflows/provision-acme-1", json=body, headers=headers)
        assert started.status_code == 200, started.text
        await until_waiting(client.get_workflow_handle("provision-acme-1"))
        refused = await http.post(f"{ROOT}/workflows/provision-acme-1/signal/approve", json={}, headers=headers)
        assert refused.status_code == 403 and "olivia (operator) may not approve" in refused.json()["message"]
        assert (await identities(client, "provision-acme-1"))["started"] == "olivia"


async def test_next_leads_to_no_other_site(site: Site) -> None:
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example"):
        async with site.browser() as http:
            assert (await site.log_in(http, elsewhere)).headers["location"] == "/"


async def test_roles_follow_the_groups_at_each_login(site: Site) -> None:
    async def roles() -> tuple[str, ...]:
        async with site.browser() as http:
            assert COOKIE not in http.cookies
            assert (await site.log_in(http)).status_code == 303 and COOKIE in http.cookies
            account = site.accounts.get("amir")
            assert account is not None and not account.password_hash
            return account.roles

    assert await roles() == ("approver",)
    site.provider.claims["groups"] = ["ops", "plans", "ops"]
    assert await roles() == ("operator", "approver")
    site.provider.claims["groups"] = ["staff"]
    assert "none of your groups (staff) gives one" in await site.refusal()
    assert site.accounts.get("amir") is None, "whoever has no role any more is logged out"


async def test_groups_may_stand_elsewhere(site: Site) -> None:
    del site.provider.claims["groups"]
    assert "there are none" in await site.refusal()
    site.provider.more = {"groups": ["plans"]}
    async with site.browser() as http:
        await site.log_in(http)
        assert COOKIE in http.cookies


async def test_a_name_has_one_owner(site: Site) -> None:
    site.provider.claims["preferred_username"] = "Tess"
    assert "The name tess belongs to another account" in await site.refusal()
    site.provider.claims["preferred_username"] = "amir"
    async with site.browser() as http:
        await site.log_in(http)
    site.provider.claims["sub"] = "1002"
    assert "The name amir belongs to another account" in await site.refusal()
    site.provider.claims |= {"sub": "1001", "preferred_username": "amir.b"}
    async with site.browser() as http:
        await site.log_in(http)
    assert site.accounts.get("amir") is None and site.accounts.get("amir.b") is not None, "a person has one account"
    site.provider.claims["preferred_username"] = "amir; rm"
    assert "cannot stand in the record" in await site.refusal()


async def test_an_account_of_the_provider_has_no_password(site: Site) -> None:
    async with site.browser() as http:
        await site.log_in(http)
        with pytest.raises(Conflict, match="has no password here"):
            site.accounts.set_password("amir", PASSWORD)
        assert site.accounts.check("amir", "") is None
        root = await http.post("/freehold/login", data={"name": "root", "password": PASSWORD})
        assert root.status_code == 303, "the local accounts go on working"


@pytest.mark.parametrize(
    ("lies", "words"),
    [
        ({"token": {"iss": "https://evil.example"}}, "cannot be accepted"),
        ({"token": {"aud": "another client"}}, "cannot be accepted"),
        ({"token": {"nonce": "of another login"}}, "cannot be accepted"),
        ({"token": {"exp": 1}}, "cannot be accepted"),
        ({"back": {"state": "of another login"}}, "cannot be accepted"),
        ({"back": {"code": "made up"}}, "cannot be accepted"),
        ({"back": {"iss": "https://evil.example"}}, "comes from 'https://evil.example'"),
        ({"back": {"error": "access_denied"}}, "cannot be accepted"),
        ({"no token": True}, "no ID token"),
    ],
    ids=lambda given: str(given)[:40],
)
async def test_a_wrong_answer_lets_nobody_in(site: Site, lies: dict[str, Any], words: str) -> None:
    site.provider.lies = lies
    assert words in await site.refusal()
    assert site.accounts.get("amir") is None


async def test_a_forged_signature_lets_nobody_in(site: Site) -> None:
    site.provider.signing_key = RSAKey.generate_key(2048, {"kid": "one"})
    assert "cannot be accepted" in await site.refusal()


async def test_a_provider_of_another_name_is_not_asked(site: Site) -> None:
    site.provider.metadata_lies = {"issuer": "https://evil.example"}
    assert "calls itself 'https://evil.example'" in await site.refusal()
    assert not site.provider.asked


async def test_a_login_that_began_in_another_browser_ends_nowhere(site: Site) -> None:
    async with site.browser() as victim, site.browser() as attacker:
        there = await attacker.get("/freehold/openid/start")
        back = await attacker.get(there.headers["location"])
        answer = await victim.get(back.headers["location"])
        assert "cannot be accepted" in unquote_plus(answer.headers["location"]) and COOKIE not in victim.cookies
        assert urlsplit(back.headers["location"]).path == "/freehold/openid/back"


async def test_a_provider_that_is_gone_is_one_sentence(temporal: TemporalServer, tmp_path: Path) -> None:
    openid = {"issuer": "http://127.0.0.1:1", "client_id": CLIENT, "roles": GROUPS}
    make_sessions(tmp_path)
    app = app_of(load_settings(home=tmp_path, temporal_ui_url=temporal.ui, openid=openid))
    async with served(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        answer = await http.get("/freehold/openid/start")
        assert "does not answer" in unquote_plus(answer.headers["location"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"issuer": "http://id.example.com"}, "https"),
        ({"issuer": "id.example.com"}, "an issuer is an address like"),
        ({"roles": {"staff": "king"}}, "openid.roles.staff"),
        ({"roles": {}}, "openid.roles"),
        ({"client": "x"}, "openid.client"),
    ],
)
def test_wrong_settings_are_said(given: dict[str, Any], words: str) -> None:
    right = {"issuer": "https://id.example.com", "client_id": CLIENT, "roles": {"staff": "auditor"}}
    assert load_settings(openid=right).openid == OpenId.model_validate(right)
    with pytest.raises(BadInput, match=words):
        load_settings(openid=right | given)


def test_settings_reach_the_programs_that_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    right = {"issuer": "https://id.example.com", "client_id": CLIENT, "roles": {"staff": "auditor"}}
    for name, value in load_settings(openid=right).environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings().openid == OpenId.model_validate(right)


def test_the_file_of_accounts_keeps_where_somebody_logs_in(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.yaml")
    made = accounts.welcome("amir", (Role.APPROVER,), At(issuer="https://id.example.com", subject="1"))
    assert Accounts(tmp_path / "accounts.yaml").get("amir") == made == Account.model_validate(made.model_dump())
