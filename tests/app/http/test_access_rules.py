import pytest

from app.http.access_rules import Access, access_of

PUBLIC = (
    *("/", "/docs", "/redoc", "/openapi.json", "/health/live", "/health/ready", "/static/docs/swagger-ui.css"),
    *("/docs/guide", "/docs/guide/", "/docs/guide/settings/", "/docs/guide/search/search_index.json"),
    *("/v2/health/live", "/v2/health/ready", "/hf/bert/health", "/hf/org/bert/health", "/tei/bert/health"),
    *("/tei/org/bert/health", "/tei/bert/ping"),
)
KEY = (
    *(
        "/encode",
        "/models",
        "/models/vae",
        "/info",
        "/metrics",
        "/v1/models",
        "/v1/embeddings",
        "/hf/bert",
        "/tei/bert",
    ),
    *("/tei/bert/", "/tei/bert/info", "/hf/bert/info", "/v2", "/v2/models/bert", "/v2/models/bert/ready", "/tei/bert"),
    *("/v2/models/bert/infer", "/v2/repository/index", "/api/embed", "/nowhere", "", "//", "/docs/", "/health"),
    *("/docs/guides", "/docs/guide\n", "/docs/guide/\n", "/docs/settings/", "/x/docs/guide/"),
    *("/health/live\n", "/docs\n", "/health/live/x", "/x/health/live", "/static", "/v1/health", "/models/health/x"),
)
ADMIN = (
    *("/models/vae/load", "/models/vae/unload", "/v2/repository/models/bert/load", "/models/vae/convert"),
    *("/v2/repository/models/org/bert/unload", "/models/vae/load\n", "/models/vae/load/", "/models/a\nb/load"),
    *("/models/vae/fit", "/static/x/load", "/prefix/models/vae/load"),
)


@pytest.mark.parametrize("path", PUBLIC)
def test_health_and_documentation_are_public_for_safe_methods_alone(path: str) -> None:
    for method in ("GET", "HEAD"):
        assert access_of({"path": path, "method": method}) is Access.PUBLIC
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert access_of({"path": path, "method": method}) is Access.KEY


@pytest.mark.parametrize("path", KEY)
def test_everything_else_needs_a_key(path: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        assert access_of({"path": path, "method": method}) is Access.KEY


@pytest.mark.parametrize("path", ADMIN)
def test_what_changes_models_needs_an_administrator(path: str) -> None:
    for method in ("GET", "POST"):
        assert access_of({"path": path, "method": method}) is Access.ADMIN


def test_the_path_below_which_the_application_is_mounted_is_left_out() -> None:
    mounted = {"root_path": "/m", "method": "GET"}
    assert access_of({**mounted, "path": "/m/health/live"}) is Access.PUBLIC
    assert access_of({**mounted, "path": "/m/models/vae/load"}) is Access.ADMIN
    assert access_of({**mounted, "path": "/mhealth/live"}) is Access.KEY
    assert access_of({**mounted, "path": "/m/encode"}) is Access.KEY


@pytest.mark.parametrize("piece", ["/models/", "/load", "/hf/", "/health", "/", "load/", "/static/\n", "/docs/guide/"])
def test_long_paths_take_time_in_proportion(piece: str) -> None:
    """A pattern that backtracks would take hours for such a path, and the test would run into its time limit."""
    path = piece * (2**20 // len(piece)) + "!"
    assert access_of({"path": path, "method": "POST"}) is Access.KEY
