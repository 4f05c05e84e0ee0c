"""What registers and changes a webhook."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.fields import Choice, Choices
from apps.core.intake.outbound import MAX_URL_CHARS
from apps.core.own_words import Text
from apps.webhooks.models import EventType, Status


class WebhookSerializer(serializers.Serializer[Any]):
    """Of a new one; `partial` for changes."""

    url = Text(max_length=MAX_URL_CHARS)
    events = Choices([kind.value for kind in EventType])
    description = Text(required=False, allow_blank=True, max_length=200)


class ChangeSerializer(WebhookSerializer):
    """Of one that is there."""

    status = Choice([status.value for status in Status])
