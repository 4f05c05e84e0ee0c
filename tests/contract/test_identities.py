"""Who may call: keys, scopes, two credentials, the RapidAPI gateway."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Account, ApiKey
from apps.core import lifecycle, tasks
from apps.core.errors import AppError, ErrorCode
from apps.core.models import Job
from tests.api import Api, make_api, upload
from tests.drawing import photo_png

PATH = "/v1/remove-bg/universal"
SECRET, NEXT_SECRET = "first-secret-of-the-gateway", "second-secret-of-the-gateway"


@pytest.fixture
def gateway(api: Api, settings: object) -> dict[str, str]:
    """The headers of a request through the gateway."""
    settings.RAPIDAPI_SECRETS = [SECRET, NEXT_SECRET]
    return {
        "X-RapidAPI-Proxy-Secret": SECRET,
        "X-RapidAPI-User": "jane",
        "X-RapidAPI-Subscription": "ULTRA",
    }


def through(api: Api, headers: dict[str, str], path: str = PATH, **fields: object) -> object:
    api = Api(key="", account=None)
    api._headers = lambda more: {**headers, **more}
    return api.post(path, {"image": upload(photo_png()), **fields})


@pytest.mark.parametrize("header", ["X-Api-Key", "X-RapidAPI-Key", "ailabapi-api-key"])
def test_key_is_taken_from_any_known_header(api: Api, header: str) -> None:
    assert through(api, {header: api.key}).status_code == 200


def test_bearer_is_taken_and_basic_is_not(api: Api) -> None:
    assert through(api, {"Authorization": f"Bearer {api.key}"}).status_code == 200
    assert through(api, {"Authorization": f"Basic {api.key}"}).status_code == 401


@pytest.mark.parametrize("key", ["", "kl_live_wrong", "x" * 10_000, "kl_live_\u00e9", "' OR 1=1 --"])
def test_wrong_key_is_a_401_and_says_how_to_authenticate(api: Api, key: str) -> None:
    response = through(api, {"X-Api-Key": key.encode().decode("latin-1")})

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "UNAUTHENTICATED"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_same_key_twice_is_fine_and_two_different_ones_are_not(api: Api) -> None:
    same = through(api, {"X-Api-Key": api.key, "Authorization": f"Bearer {api.key}"})
    different = through(api, {"X-Api-Key": api.key, "X-RapidAPI-Key": "another"})

    assert same.status_code == 200
    assert different.status_code == 400
    assert different.json()["error"]["code"] == "VALIDATION_ERROR"


def test_header_that_comes_twice_counts_by_what_it_says(api: Api) -> None:
    """A server hands them on as one, joined by a comma."""
    same = through(api, {"X-Api-Key": f"{api.key}, {api.key}"})
    different = through(api, {"X-Api-Key": f"{api.key},another"})

    assert same.status_code == 200
    assert (different.status_code, different.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert different.json()["error"]["details"][0]["field"] == "X-Api-Key"


def test_empty_header_beside_a_key_says_nothing(api: Api) -> None:
    assert through(api, {"X-Api-Key": "", "Authorization": f"Bearer {api.key}"}).status_code == 200
    assert through(api, {"X-Api-Key": "", "X-RapidAPI-Key": ""}).status_code == 401


def test_revoked_expired_and_locked_keys_stop_at_once(api: Api) -> None:
    row = ApiKey.objects.get()

    row.revoke()
    assert api.remove().status_code == 401
    ApiKey.objects.update(revoked_at=None, expires_at=timezone.now() - timedelta(seconds=1))
    assert api.remove().status_code == 401
    ApiKey.objects.update(expires_at=None)
    Account.objects.update(is_active=False)
    assert api.remove().status_code == 401
    Account.objects.update(is_active=True)
    assert api.remove().status_code == 200


def test_scope_limits_operations_but_not_the_account(api: Api) -> None:
    other = make_api("scoped", scopes=["clothing"])

    assert other.remove().status_code == 403
    assert other.remove().json()["error"]["code"] == "FORBIDDEN"
    assert other.get("/v1/account").status_code == 200
    assert make_api("scoped", scopes=["remove-bg"]).remove().status_code == 200


def test_key_is_stored_as_a_hash_only(api: Api) -> None:
    row = ApiKey.objects.get()

    assert api.key not in "".join(str(value) for value in vars(row).values())
    assert row.prefix == api.key[:12]


def test_last_use_is_kept(api: Api) -> None:
    api.get("/v1/account")

    assert ApiKey.objects.get().last_used_at is not None


def test_gateway_makes_the_account_on_first_sight_with_its_plan(api: Api, gateway: dict[str, str]) -> None:
    first = through(api, gateway)

    account = Account.objects.get(name="rapidapi:jane")
    assert first.status_code == 200
    assert first.headers["X-RapidAPI-Billing"] == "Credits=1"
    assert account.plan == "ULTRA"
    assert "q=1200" in first.headers["RateLimit-Policy"]

    through(api, {**gateway, "X-RapidAPI-Subscription": "BASIC"})

    account.refresh_from_db()
    assert account.plan == "BASIC"


def test_either_secret_works_while_it_is_rotated(api: Api, gateway: dict[str, str]) -> None:
    assert through(api, {**gateway, "X-RapidAPI-Proxy-Secret": NEXT_SECRET}).status_code == 200


def test_right_secret_wins_over_any_key_beside_it(api: Api, gateway: dict[str, str]) -> None:
    response = through(api, {**gateway, "X-RapidAPI-Key": "consumers-own", "X-Api-Key": api.key})

    assert response.status_code == 200
    assert Job.objects.get().account.name == "rapidapi:jane"


def test_nothing_of_rapidapi_is_believed_without_the_secret(api: Api, gateway: dict[str, str]) -> None:
    forged = {**gateway, "X-RapidAPI-Proxy-Secret": "wrong"}

    response = through(api, forged)

    assert response.status_code == 401
    assert "X-RapidAPI-Billing" not in response.headers
    assert not Account.objects.filter(name="rapidapi:jane").exists()
    with_key = through(api, {**forged, "X-RapidAPI-Key": api.key})
    assert with_key.status_code == 200
    assert Job.objects.get().account.name == "tester"


@pytest.mark.parametrize(("fields", "status"), [({"output_format": "nonsense"}, 400), ({"image": "no file"}, 400)])
def test_gateway_bills_nothing_for_errors(
    api: Api, gateway: dict[str, str], fields: dict[str, str], status: int
) -> None:
    response = through(api, gateway, **fields)

    assert response.status_code == status
    assert response.headers["X-RapidAPI-Billing"] == "Credits=0"


def test_gateway_bills_nothing_for_unknown_paths_polls_and_oversized_bodies(api: Api, gateway: dict[str, str]) -> None:
    api._headers = lambda more: {**gateway, **more}
    job_id = through(api, gateway).headers["X-Job-Id"]

    assert api.get(f"/v1/jobs/{job_id}").headers["X-RapidAPI-Billing"] == "Credits=0"
    assert api.get("/v1/nothing").headers["X-RapidAPI-Billing"] == "Credits=0"
    assert api.get("/v1/account").json()["data"]["credits"] is None


def test_gateway_bills_nothing_for_an_empty_result(api: Api, gateway: dict[str, str]) -> None:
    empty = Api(key="", account=None)
    empty._headers = lambda more: {**gateway, **more}

    response = empty.remove(photo_png(box=None))

    assert response.status_code == 200
    assert response.headers["X-RapidAPI-Billing"] == "Credits=0"


def test_locked_account_of_the_gateway_is_a_401(api: Api, gateway: dict[str, str]) -> None:
    through(api, gateway)
    Account.objects.filter(name="rapidapi:jane").update(is_active=False)

    response = through(api, gateway)

    assert (response.status_code, response.headers["X-RapidAPI-Billing"]) == (401, "Credits=0")
    assert Job.objects.count() == 1


@pytest.mark.parametrize("user", ["", " ", "x" * 81, "two words"])
def test_gateway_must_name_its_user(api: Api, gateway: dict[str, str], user: str) -> None:
    response = through(api, {**gateway, "X-RapidAPI-User": user})

    assert response.status_code == 400
    assert response.headers["X-RapidAPI-Billing"] == "Credits=0"


def test_sandbox_key_is_free_and_its_results_are_marked(api: Api) -> None:
    import io

    import numpy as np
    from PIL import Image

    sandbox = make_api("tester", credits=0, sandbox=True)
    photo = photo_png(200, 120)

    plain = np.asarray(Image.open(io.BytesIO(api.remove(photo).content)))
    response = sandbox.remove(photo)
    marked = np.asarray(Image.open(io.BytesIO(response.content)))

    assert response.headers["X-Credits-Charged"] == "0"
    assert (plain != marked).any()
    assert sandbox.key.startswith("kl_test_")
    assert "q=30" in response.headers["RateLimit-Policy"]
    assert sandbox.get("/v1/account").json()["data"]["prices"]["remove-bg"]["credits"] == 0


def test_gateway_bills_an_accepted_job_once_and_owes_it_back_when_it_gives_nothing(
    api: Api, gateway: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = Api(key="", account=None)
    consumer._headers = lambda more: {**gateway, **more}
    with monkeypatch.context() as patch:
        patch.setattr(tasks, "wake_worker", lambda: None)
        accepted = through(api, {**gateway, "Prefer": "respond-async"})
    job_id = accepted.json()["data"]["jobId"]

    assert accepted.headers["X-RapidAPI-Billing"] == "Credits=1"
    lifecycle.fail(Job.objects.get(id=job_id), AppError(ErrorCode.PROCESSING_FAILED))
    assert consumer.get(f"/v1/jobs/{job_id}").headers["X-RapidAPI-Billing"] == "Credits=0"
    assert [consumer.remove().headers["X-RapidAPI-Billing"] for _ in range(2)] == ["Credits=0", "Credits=1"]
