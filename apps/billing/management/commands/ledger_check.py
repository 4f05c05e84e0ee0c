"""Check the books; exit 1 when an account's do not balance."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.billing.audit import disagreements


class Command(BaseCommand):
    help = "List every account whose balance, holds and jobs disagree; exit 1 if there is any."

    def handle(self, *args: Any, **options: Any) -> None:
        found = disagreements()
        for entry in found:
            self.stdout.write(f"{entry.account}: {entry.what}: {entry.figures}")
        if found:
            sys.exit(1)
        self.stdout.write("The books balance.")
