"""The technicians' page as a program: `python -m freehold.web.main`. On loopback; phones come through a proxy."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from freehold.inventory import Inventory
from freehold.logs import configure_logs
from freehold.secrets import FileSecrets
from freehold.settings import LOOPBACK, Settings, load_settings
from freehold.web.accounts import Accounts
from freehold.web.decisions import add_decisions
from freehold.web.pages import Pages
from freehold.web.sessions import Sessions
from freehold.web.work import ProcedureWork


def app_of(settings: Settings) -> FastAPI:
    sessions = Sessions(Accounts(settings.accounts_file), FileSecrets(settings.secrets_file))
    work = ProcedureWork(settings.model_copy(update={"identity": "freehold-web"}))
    inventory = Inventory(settings.database_url)
    pages = Pages(work, inventory.hall, sessions)
    add_decisions(pages, inventory.piece_of_evidence)
    return pages.app


def main() -> None:
    settings = load_settings()
    configure_logs(settings.log_level)
    uvicorn.run(
        app_of(settings),
        host=LOOPBACK,
        port=settings.web_port,
        log_config=None,
        access_log=False,  # a personal link must not stand in a log
        server_header=False,
        forwarded_allow_ips=LOOPBACK,
        timeout_keep_alive=30,
        limit_concurrency=200,
        h11_max_incomplete_event_size=16 * 1024,
    )


if __name__ == "__main__":
    main()
