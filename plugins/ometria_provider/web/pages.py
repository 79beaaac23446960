"""The pages of Ometria sync, in Airflow's API server behind Airflow's login: one app, a router for each page."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from ometria_provider.addresses import PAGES
from ometria_provider.exceptions import Misconfigured, SyncError
from ometria_provider.ledger.history import UnknownRun
from ometria_provider.web import campaigns, changes, customer, finding, mappings, overview, runs
from ometria_provider.web.access import NotAllowed, SignedIn
from ometria_provider.web.render import STATIC, files, render
from ometria_provider.web.sampling import Samples

#: Everything comes from here, nothing is inline, and only Airflow's own frame may hold a page.
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

static = APIRouter()


@static.get("/static/{name}")
def file(name: str, user: SignedIn) -> Response:  # noqa: ARG001  # a signed-in one, whoever it is
    """Return a file that pages load; its address holds its digest, so that it may be kept."""
    if name not in files():
        raise HTTPException(404, f"There is no file {name} here.")
    return FileResponse(STATIC / name, headers={"Cache-Control": "private, max-age=31536000, immutable"})


def create_app() -> FastAPI:
    """Return the app that the API server mounts; it has no pages about itself."""
    app = FastAPI(title="Ometria sync", docs_url=None, redoc_url=None, openapi_url=None)
    for page in (changes, overview, runs, campaigns, customer, finding, mappings):
        app.include_router(page.router)
    app.include_router(static)
    app.state.samples = Samples()
    app.middleware("http")(_secure)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(NotAllowed, _not_allowed)
    app.add_exception_handler(SyncError, _sync_error)
    return app


async def _secure(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    return response


def answer(request: Request, status: int, message: str) -> Response:
    """Return an error: a page for people, one shape of JSON for programs."""
    if _wants_page(request):
        return render(request, "error.html", status=status, message=message, code=status)
    return JSONResponse({"error": {"status": status, "message": message}}, status)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    if error.status_code in (401, 403):  # Airflow's own word that nobody is signed in; ours is `NotAllowed`
        return sign_in(request)
    message = "There is no such page." if error.detail == "Not Found" else str(error.detail)
    return answer(request, error.status_code, message)


def sign_in(request: Request) -> Response:
    """Send a browser to Airflow's login and back; refuse anything else."""
    if request.method == "GET" and _wants_page(request):
        root = request.scope.get("root_path", "").rstrip("/").removesuffix(PAGES)
        return RedirectResponse(f"{root}/api/v2/auth/login?next={quote(str(request.url), safe='')}", 303)
    return answer(request, 401, "Nobody is signed in: sign in to Airflow, or send a bearer token of its API.")


async def _bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    what = "; ".join(f"{each['loc'][:2][-1]}: {each['msg']}" for each in error.errors())
    return answer(request, 422, f"The address or the form is not right: {what}.")


async def _not_allowed(request: Request, error: Exception) -> Response:
    return answer(request, 403, str(error))


async def _sync_error(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, UnknownRun) else 409 if isinstance(error, Misconfigured) else 503
    return answer(request, status, str(error))
