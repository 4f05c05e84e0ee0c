"""Make an API key, and its account if that is new; the key alone goes to stdout."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import Account, ApiKey, Plan
from apps.billing.ledger import grant
from apps.core.operations import all_operations

MOST_CREDITS = 1_000_000_000
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def lifetime(text: str) -> timedelta:
    """30d, 12h or 45m."""
    match = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if not match:
        raise argparse.ArgumentTypeError("use a number and m, h or d, as in 30d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


class Command(BaseCommand):
    help = "Make an API key, and its account if that is new; the key alone goes to stdout."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", required=True, help="the account's name")
        parser.add_argument("--plan", choices=Plan.values, help="PRO for a new account unless given")
        parser.add_argument("--credits", type=int, default=0, help="credits to grant")
        parser.add_argument("--sandbox", action="store_true", help="free calls, marked results")
        parser.add_argument("--scopes", default="", help="comma-separated operations; all when absent")
        parser.add_argument("--expires", type=lifetime, help="30d, 12h or 45m; never when absent")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["account"].strip()
        if not name or len(name) > 100:
            raise CommandError("--account needs a name of 1 to 100 characters.")
        if not 0 <= options["credits"] <= MOST_CREDITS:
            raise CommandError(f"--credits must be 0 to {MOST_CREDITS}.")
        scopes = [part.strip() for part in options["scopes"].split(",") if part.strip()]
        known = {operation.slug for operation in all_operations()}
        if unknown := set(scopes) - known:
            raise CommandError(f"--scopes: unknown {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}.")
        with transaction.atomic():
            account, _ = Account.objects.get_or_create(name=name)
            if options["plan"] and account.plan != options["plan"]:
                account.plan = options["plan"]
                account.save(update_fields=["plan"])
            expires_at = timezone.now() + options["expires"] if options["expires"] else None
            if options["credits"]:
                grant(account.id, options["credits"], actor="create_api_key", reason="granted with a new key")
            _, secret = ApiKey.issue(account, sandbox=options["sandbox"], scopes=scopes, expires_at=expires_at)
        self.stdout.write(secret)
