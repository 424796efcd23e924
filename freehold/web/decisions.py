"""The page of one decision about an instance: what was decided, from which figures, and the forecast in a picture."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from freehold.errors import NotFound
from freehold.models.instance import Evidence, EvidenceKind
from freehold.models.people import Act
from freehold.models.scaling import Decision
from freehold.web.pages import Pages, render_page


def add_decisions(pages: Pages, find: Callable[[str], Evidence | None]) -> None:
    """Let who may read see the decisions that are kept as evidence."""

    async def decision(request: Request, evidence: str) -> Response:
        account = pages.who(request, Act.READ)
        found = await run_in_threadpool(find, evidence)
        if found is None or found.kind is not EvidenceKind.SCALING:
            raise NotFound(f"There is no decision {evidence!r}.")
        return render_page(
            request,
            "decision.html.j2",
            account=account,
            evidence=found,
            decision=Decision.model_validate(found.observed["decision"]),
            # Made by us as a tree when the decision was, so that no name in it can be markup.
            plots=found.observed["plots"],
        )

    pages.app.add_api_route("/decisions/{evidence:path}", decision, methods=["GET"], include_in_schema=False)
