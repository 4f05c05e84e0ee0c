"""Give an account credits, with a reason that the ledger keeps."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.models import Account
from apps.billing.ledger import grant
from apps.billing.management.commands.create_api_key import MOST_CREDITS
from apps.billing.models import Kind
from apps.core.errors import AppError


class Command(BaseCommand):
    help = "Give an account credits; a negative number takes some away."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", required=True)
        parser.add_argument("--credits", type=int, required=True)
        parser.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        account = Account.objects.filter(name=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']}; make it with create_api_key.")
        credits, reason = options["credits"], options["reason"].strip()
        if not credits or abs(credits) > MOST_CREDITS:
            raise CommandError(f"--credits must be a whole number other than 0, at most {MOST_CREDITS}.")
        if not reason or len(reason) > 200:
            raise CommandError("--reason needs 1 to 200 characters.")
        kind = Kind.GRANT if credits > 0 else Kind.ADJUST
        try:
            entry = grant(account.id, credits, actor=f"cli:{_user()}", reason=reason, kind=kind)
        except AppError:
            raise CommandError(f"{account} has fewer than {-credits} credits to take away.") from None
        self.stdout.write(f"{account} now has {entry.balance_after} credits.")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
