"""Make the admin user that the environment names, or give it the password that it says."""

from __future__ import annotations

import os
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Make the admin user of KEYLINE_ADMIN_USER with KEYLINE_ADMIN_PASSWORD."

    def handle(self, *args: Any, **options: Any) -> None:
        name, password = os.environ.get("KEYLINE_ADMIN_USER"), os.environ.get("KEYLINE_ADMIN_PASSWORD")
        if not name or not password:
            raise CommandError("Set KEYLINE_ADMIN_USER and KEYLINE_ADMIN_PASSWORD.")
        users = get_user_model()
        user = users.objects.filter(username=name).first() or users(username=name, is_staff=True, is_superuser=True)
        if not user.check_password(password):
            try:
                validate_password(password, user)
            except ValidationError as error:
                raise CommandError(f"KEYLINE_ADMIN_PASSWORD: {' '.join(error.messages)}") from error
            user.set_password(password)
            user.save()
