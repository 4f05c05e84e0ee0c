from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "apps.batches"
    verbose_name = "Batches"

    def ready(self) -> None:
        from apps.batches.answers import ListedBatch
        from apps.batches.ending import FINISHED, finish_forgotten, note_end, told, traces_of
        from apps.batches.fetching import PLACES, count_due, fetch_next
        from apps.batches.models import Batch
        from apps.batches.submission import ERRAND, fate_of
        from apps.core.endings import register_ending
        from apps.core.errands import register_errand
        from apps.core.happenings import register_teller
        from apps.core.idempotency import Kind, register_kind
        from apps.core.openapi.news import register_news
        from apps.core.sweeper import register_round
        from apps.core.traces import register_traces

        register_errand(ERRAND, fetch_next, due=count_due, places=PLACES)
        register_kind(Kind("batch", Batch, fate_of))
        register_ending(note_end)
        register_teller(FINISHED, told)
        register_news(FINISHED, "A batch has finished", ListedBatch)
        register_traces(traces_of)
        register_round("batches", finish_forgotten)
