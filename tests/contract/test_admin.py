"""The admin: who may guess a password how often, who may do what, and what stays written of it."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from apps.accounts import login_limits
from apps.accounts.models import Account, ApiKey
from apps.billing.models import LedgerEntry, Price, UsageDay, Wallet
from apps.core.broker import broker
from apps.core.models import Job
from apps.payments.models import Payment, PaymentState, Rail
from apps.watermark.models import WatermarkTemplate
from tests.api import Api

PASSWORD = "a-long-password-1"
ACCOUNTS, KEYS, JOBS, PAYMENTS, PRICES = (
    f"/admin/{name}/"
    for name in ("accounts/account", "accounts/apikey", "core/job", "payments/payment", "billing/price")
)
ROWS = (Account, ApiKey, Wallet, LedgerEntry, UsageDay, Price, Job, Payment, WatermarkTemplate)


@pytest.fixture
def clean(api: Api) -> Api:
    broker().flushdb()
    return api


def staff(name: str, *permissions: str, superuser: bool = False) -> Client:
    """A client that is logged in; permissions are `action_model`."""
    user = User.objects.create_user(name, "", PASSWORD, is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def run(client: Client, path: str, action: str, *rows: Any) -> HttpResponse:
    return client.post(path, {"action": action, "_selected_action": [str(row.pk) for row in rows], "index": "0"})


def payment_due() -> Payment:
    return Payment.objects.create(
        rail=Rail.X402.value, key="k", state=PaymentState.SETTLED.value, amount=50_000, refund_due=True, money_moved=True,
        valid_until=timezone.now(), lease_until=timezone.now(), fingerprint="f" * 64, payer="0x1", network="n",
    )  # fmt: skip


def waiting_job(api: Api) -> Job:
    return Job.objects.create(
        account=api.account, operation="remove-bg", params={}, price_credits=0, funding="sandbox", retention_s=3600,
        created_at=timezone.now(),
    )  # fmt: skip


# --- the lists ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [Job, Payment, ApiKey, WatermarkTemplate])
@pytest.mark.parametrize("wish", ["created_at__year=99999999999", "created_at__day=x", "created_at__gte=x", "id=7"])
def test_a_filter_that_no_row_can_fulfil_leaves_the_list_as_it_is(clean: Api, row: Any, wish: str) -> None:
    path = f"/admin/{row._meta.app_label}/{row._meta.model_name}/"

    answer = staff("ann", superuser=True).get(f"{path}?{wish}", follow=True)

    assert answer.status_code == 200
    assert answer.wsgi_request.path == path


def test_login_that_wishes_to_go_elsewhere_goes_to_the_admin(root: User) -> None:
    answer = Client(REMOTE_ADDR="203.0.113.77").post(
        "/admin/login/?next=//evil.example/", {"username": "root", "password": PASSWORD}
    )

    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


# --- the login ----------------------------------------------------------------------------------------------------


def log_in(name: str, password: str, address: str = "203.0.113.9") -> HttpResponse:
    return Client(REMOTE_ADDR=address).post("/admin/login/", {"username": name, "password": password})


@pytest.fixture
def root(clean: Api) -> User:
    return User.objects.create_superuser("root", "", PASSWORD)


def test_right_password_is_refused_while_its_address_is_locked_out(root: User) -> None:
    tries = [log_in("root", "wrong").status_code for _ in range(login_limits.TRIES_OF_ADDRESS)]

    locked = log_in("root", PASSWORD)

    assert set(tries) == {200}
    assert locked.status_code == 429
    assert 0 < int(locked.headers["Retry-After"]) <= login_limits.WINDOW_S
    assert b"Try again in 15 min" in locked.content
    assert "sessionid" not in locked.cookies
    assert log_in("root", PASSWORD, address="203.0.113.10").status_code == 302


def test_house_with_many_addresses_has_no_more_tries(root: User) -> None:
    tries = [log_in("root", "wrong", f"2001:db8::{number}") for number in range(login_limits.TRIES_OF_ADDRESS)]

    assert {answer.status_code for answer in tries} == {200}
    assert log_in("root", PASSWORD, "2001:db8::ffff").status_code == 429


def test_user_is_locked_out_however_many_addresses_guess(root: User) -> None:
    for number in range(login_limits.TRIES_OF_NAME):
        assert log_in(["root", "ROOT"][number % 2], "wrong", f"198.51.100.{number}").status_code == 200

    assert log_in("root", PASSWORD, "203.0.113.77").status_code == 429


def test_address_that_is_only_claimed_is_not_counted(root: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]
    for number in range(login_limits.TRIES_OF_ADDRESS):
        Client(REMOTE_ADDR="203.0.113.9", headers={"X-Forwarded-For": f"8.8.8.{number}"}).post(
            "/admin/login/", {"username": "root", "password": "wrong"}
        )

    assert log_in("root", PASSWORD).status_code == 429


def test_right_password_begins_anew(root: User) -> None:
    for _ in range(3):
        for _ in range(login_limits.TRIES_OF_ADDRESS - 1):
            assert log_in("root", "wrong").status_code == 200
        assert log_in("root", PASSWORD).status_code == 302


def test_nobody_logs_in_while_tries_cannot_be_counted(root: User, settings: Any, monkeypatch: Any) -> None:
    from apps.core.broker import BrokerAwayError

    def away(*args: Any, **kwargs: Any) -> None:
        raise BrokerAwayError

    monkeypatch.setattr(login_limits, "count_request", away)

    assert log_in("root", PASSWORD).status_code == 503


# --- who may do what ----------------------------------------------------------------------------------------------


VIEW_ALL = [f"view_{model._meta.model_name}" for model in (*ROWS, User, Group)]


def test_who_may_only_look_changes_nothing(clean: Api) -> None:
    viewer, due = staff("viewer", *VIEW_ALL), payment_due()
    key = ApiKey.objects.get()
    job = waiting_job(clean)

    for path, action, row in (
        (ACCOUNTS, "issue_key", clean.account), (KEYS, "revoke", key), (KEYS, "delete_selected", key),
        (JOBS, "cancel", job), (JOBS, "delete_selected", job), (PAYMENTS, "mark_refunded", due),
    ):  # fmt: skip
        assert viewer.get(path).status_code == 200
        run(viewer, path, action, row)
    for path, row in ((ACCOUNTS, clean.account), (KEYS, key), (JOBS, job), (PAYMENTS, due)):
        assert viewer.get(f"{path}{row.pk}/change/").status_code == 200
        assert viewer.post(f"{path}{row.pk}/change/", {"name": "x"}).status_code == 403
        assert viewer.post(f"{path}{row.pk}/delete/", {"post": "yes"}).status_code == 403

    assert ApiKey.objects.count() == 1
    assert ApiKey.objects.get().is_usable
    job.refresh_from_db()
    assert job.state == "queued"
    assert Payment.objects.get().refunded_at is None
    assert not LogEntry.objects.exists()


def test_what_money_and_work_are_written_in_is_written_by_code_alone(clean: Api) -> None:
    clean.remove()
    root, due = staff("boss", superuser=True), payment_due()
    Price.objects.get_or_create(operation="remove-bg", defaults={"credits": 1})

    for model in (Wallet, LedgerEntry, UsageDay, Job, Payment, ApiKey, Account):
        row, path = model.objects.first(), f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert root.post(f"{path}{row.pk}/delete/", {"post": "yes"}).status_code == 403, model
        run(root, path, "delete_selected", row)
        if model in (Wallet, LedgerEntry, UsageDay, Job):
            assert root.post(f"{path}{row.pk}/change/", {"state": "succeeded"}).status_code == 403
            assert root.post(f"{path}add/", {}).status_code == 403
        assert model.objects.filter(pk=row.pk).exists()
    root.post(f"{PAYMENTS}{due.pk}/change/", {"refund_note": "paid back by hand", "state": "free", "amount": "0"})
    due.refresh_from_db()
    assert (due.refund_note, due.state, due.amount) == ("paid back by hand", "settled", 50_000)


def test_form_writes_what_was_changed_in_it_and_nothing_else(clean: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is revoked while its label is being written stays revoked."""
    from apps.accounts.admin import ApiKeyForm

    key, root = ApiKey.objects.get(), staff("boss", superuser=True)
    real = ApiKeyForm.clean_scopes

    def revoked_meanwhile(form: ApiKeyForm) -> list[str]:
        ApiKey.objects.get().revoke()
        return real(form)

    monkeypatch.setattr(ApiKeyForm, "clean_scopes", revoked_meanwhile)
    root.post(f"{KEYS}{key.pk}/change/", {"label": "shop", "scopes": "[]", "expires_at_0": "", "expires_at_1": ""})

    key.refresh_from_db()
    assert key.label == "shop"
    assert key.revoked_at is not None


@pytest.mark.parametrize("scopes", ['"remove-bg"', "7", '["nothing-of-ours"]', '{"a": 1}', "[1]"])
def test_scopes_are_a_list_of_operations(clean: Api, scopes: str) -> None:
    key = ApiKey.objects.get()

    answer = staff("boss", superuser=True).post(f"{KEYS}{key.pk}/change/", {"label": "x", "scopes": scopes})

    assert b"A JSON list of some of" in answer.content
    key.refresh_from_db()
    assert key.scopes == []


def test_users_and_groups_are_the_superusers_affair(clean: Api) -> None:
    everything = [permission.codename for permission in Permission.objects.filter(content_type__app_label="auth")]
    client = staff("clerk", *everything)
    clerk = User.objects.get(username="clerk")

    for path in ("auth/user/", f"auth/user/{clerk.pk}/change/", f"auth/user/{clerk.pk}/password/", "auth/user/add/",
                 "auth/group/", "auth/group/add/"):  # fmt: skip
        assert client.get(f"/admin/{path}").status_code == 403, path
        client.post(f"/admin/{path}", {"username": "clerk", "is_superuser": "on", "is_staff": "on"})

    clerk.refresh_from_db()
    assert not clerk.is_superuser
    assert staff("boss", superuser=True).get("/admin/auth/user/").status_code == 200


# --- keys ---------------------------------------------------------------------------------------------------------


def test_new_key_stands_on_its_page_and_nowhere_else(clean: Api) -> None:
    client = staff("seller", "view_account", "add_apikey")

    page = run(client, ACCOUNTS, "issue_key", clean.account)

    (secret,) = set(re.findall(r"kl_live_[\w-]{40,}", page.content.decode()))
    made = ApiKey.objects.exclude(prefix=clean.key[:12]).get()
    assert made.prefix == secret[:12]
    assert Api(secret, clean.account).get("/v1/account").status_code == 200
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]
    assert secret not in str(page.cookies) + str(dict(client.session)) + str(page.headers)
    assert secret not in client.get(ACCOUNTS).content.decode()  # no message waits
    told = " ".join(f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all())
    assert secret[:12] in told
    assert secret not in told
    entries = [(entry.user.username, entry.get_edited_object()) for entry in LogEntry.objects.order_by("id")]
    assert entries == [("seller", made), ("seller", clean.account)]


def test_history_tells_who_made_revoked_cancelled_priced_and_paid_back(clean: Api) -> None:
    client, due = staff("boss", superuser=True), payment_due()
    key, price = ApiKey.objects.get(), Price.objects.get_or_create(operation="x", defaults={"credits": 3})[0]
    job = waiting_job(clean)
    prices = Price.objects.all()

    run(client, KEYS, "revoke", key)
    run(client, KEYS, "revoke", key)
    run(client, JOBS, "cancel", job)
    run(client, PAYMENTS, "mark_refunded", due)
    form = {f"form-{n}-{name}": value for n, each in enumerate(prices)
            for name, value in (("id", each.pk), ("credits", 7 if each == price else each.credits))}  # fmt: skip
    total = {"form-TOTAL_FORMS": prices.count(), "form-INITIAL_FORMS": prices.count(), "_save": "Save"}
    client.post(PRICES, form | total)

    price.refresh_from_db()
    assert price.credits == 7
    entries = [(entry.user.username, entry.get_edited_object()) for entry in LogEntry.objects.order_by("id")]
    assert entries == [("boss", key), ("boss", job), ("boss", due), ("boss", price)]


def test_page_of_prices_is_for_who_may_change_them(clean: Api) -> None:
    price, _ = Price.objects.get_or_create(operation="x", defaults={"credits": 3})
    form = {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": price.pk, "form-0-credits": 0, "_save": "Save"}

    staff("viewer", "view_price").post(PRICES, form)

    price.refresh_from_db()
    assert price.credits == 3
