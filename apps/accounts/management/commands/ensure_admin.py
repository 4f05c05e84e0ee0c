"""Make the admin user that the environment names, or give it the password that it says."""

from __future__ import annotations

import os
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Make the admin user of KEYLINE_ADMIN_USER with KEYLINE_ADMIN_PASSWORD."

    def handle(self, *args: Any, **options: Any) -> None:
        name, password = os.environ.get("KEYLINE_ADMIN_USER"), os.environ.get("KEYLINE_ADMIN_PASSWORD")
        if not name or not password:
            raise CommandError("Set KEYLINE_ADMIN_USER and KEYLINE_ADMIN_PASSWORD.")
        user, _ = get_user_model().objects.get_or_create(
            username=name, defaults={"is_staff": True, "is_superuser": True}
        )
        if not user.check_password(password):
            user.set_password(password)
            user.save()
