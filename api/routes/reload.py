"""POST /api/reload: read plant.yaml again and apply it, or say what is wrong with it and change nothing."""

from __future__ import annotations

from fastapi import APIRouter, Request

from api import schemas as out
from api.problems import documented
from plant.errors import NotFoundError
from plant.reload import Difference, Reload

router = APIRouter(tags=["System"])


@router.post("/api/reload", summary="Read plant.yaml and its tag lists again", responses=documented(404, 422))
async def reload(request: Request) -> out.ReloadOut:
    """All or nothing. 422: the file has mistakes, `mistakes` lists each, and everything goes on as before.

    200: it is applied. Sources under `kept` went on without a missed cycle; those under `changed` were restarted.
    """
    apply: Reload | None = request.app.state.reload
    if apply is None:
        raise NotFoundError("This process has no plant.yaml that it could read again.", next_step="Start testbed run.")
    result = await apply()
    return out.ReloadOut(
        sources=_difference_out(result.sources),
        machines=_difference_out(result.machines),
        tags=_difference_out(result.tags),
    )


def _difference_out(difference: Difference) -> out.DifferenceOut:
    return out.DifferenceOut(
        added=list(difference.added),
        changed=list(difference.changed),
        removed=list(difference.removed),
        kept=list(difference.kept),
    )
