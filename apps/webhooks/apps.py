from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "apps.webhooks"
    verbose_name = "Webhooks"

    def ready(self) -> None:
        from apps.core.answers import Job
        from apps.core.endings import register_ending
        from apps.core.errands import register_errand
        from apps.core.happenings import register_listener, register_teller
        from apps.core.idempotency import register_kind
        from apps.core.openapi.news import register_news
        from apps.core.sweeper import register_round
        from apps.core.traces import register_traces
        from apps.webhooks import delivering, outbox, registry, traces
        from apps.webhooks.answers import WebhookTest
        from apps.webhooks.models import TEST

        register_ending(outbox.on_ending)
        register_listener(outbox.write_down)
        for kind, summary in (("job.succeeded", "A job has succeeded"), ("job.failed", "A job has failed")):
            register_teller(kind, outbox.job_told)
            register_news(kind, summary, Job)
        register_news(TEST, "A test", WebhookTest)
        register_errand(outbox.ERRAND, delivering.deliver_next, due=delivering.due, places=delivering.PLACES)
        register_round("webhooks", delivering.forget_old)
        register_traces(traces.of_news)
        for each in registry.KINDS:
            register_kind(each)
