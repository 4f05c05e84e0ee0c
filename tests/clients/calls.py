"""What a customer does with the generated Python client; runs in an environment of its own, without ours."""

from __future__ import annotations

import base64
import os
import time
import uuid
from collections.abc import Callable

from keyline_client import (
    AccountApi,
    ApiClient,
    CompatibleApi,
    Configuration,
    ErrorCode,
    JobsApi,
    JobStatus,
    RemoveBgApi,
    SystemApi,
    WatermarkRemovalApi,
)
from keyline_client.exceptions import ApiException, BadRequestException, NotFoundException

# 32 x 32, a red square on grey
PHOTO = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAAAL0lEQVR42mN4TWPAMGrBqAVD2IJ9GhokoVELRi0YtWDUglELhqcFo1XmqAUj"
    "yAIAAZFRiBPlqDMAAAAASUVORK5CYII="
)


def error_of(call: Callable[[], object]) -> ApiException:
    """What the call raises."""
    try:
        call()
    except ApiException as error:
        return error
    raise AssertionError("no error")


configuration = Configuration(host=os.environ["KEYLINE_URL"], api_key={"ApiKey": os.environ["KEYLINE_API_KEY"]})

with ApiClient(configuration) as client:
    remove_bg, jobs = RemoveBgApi(client), JobsApi(client)

    envelope = remove_bg.remove_bg_universal(image=PHOTO)
    assert envelope.data.image.url.startswith("http"), envelope
    assert (envelope.data.image.width, envelope.data.image.height) == (32, 32)
    assert envelope.error is None
    print("multipart upload, JSON envelope: typed")

    binary = remove_bg.remove_bg_human_without_preload_content(image=PHOTO, _headers={"Accept": "image/png"})
    assert binary.headers["Content-Type"] == "image/png"
    assert binary.data.startswith(b"\x89PNG")
    print("multipart upload, binary PNG: bytes")

    by_text = remove_bg.remove_bg_product(image_base64=base64.b64encode(PHOTO).decode(), output_format="mask")
    assert by_text.data.image.content_type == "image/png"
    print("base64 in a form field: typed")

    quote = remove_bg.remove_bg_universal(image=PHOTO, dry_run=True)
    assert (quote.data.price.credits, quote.data.valid, quote.data.image) == (1, True, None)
    print("dry run: typed")

    key = str(uuid.uuid4())
    accepted = remove_bg.remove_bg_universal_with_http_info(image=PHOTO, prefer="respond-async", idempotency_key=key)
    assert accepted.status_code == 202
    job = accepted.data
    while job.data.status not in {JobStatus.SUCCEEDED, JobStatus.FAILED}:
        time.sleep(0.2)
        job = jobs.get_job(accepted.data.data.job_id)
    assert job.data.status == JobStatus.SUCCEEDED
    assert job.data.result["image"]["url"].startswith("http")
    print("asynchronous job, polled: typed")

    marks, tasks = WatermarkRemovalApi(client), CompatibleApi(client)
    found = marks.watermark_removal(image=PHOTO, detect_only=True)
    assert (found.data.mask.width, found.data.mask.height) == (32, 32)
    assert found.data.detected == bool(found.data.regions)
    task_id = tasks.api_ext_submit_watermark_removal({"image_base64": base64.b64encode(PHOTO).decode()}).data.task_id
    while (result := tasks.api_ext_get_task_result({"task_id": task_id})).data.status == "processing":
        time.sleep(0.2)
    assert result.data.images[0].url.startswith("http"), result
    template = marks.create_watermark_template(name="mine", images=[PHOTO, PHOTO, PHOTO]).data
    assert marks.list_watermark_templates().data.templates[0].id == template.id
    marks.delete_watermark_template(template.id)
    print("watermarks, tasks, templates: typed")

    refused = error_of(lambda: remove_bg.remove_bg_universal(image=b"%PDF-1.7"))
    assert isinstance(refused, BadRequestException)
    assert refused.data.error.code == ErrorCode.VALIDATION_ERROR
    assert refused.data.error.details[0].to_dict()["field"] == "image"
    jobs.delete_job(job.data.job_id)
    assert isinstance(error_of(lambda: jobs.get_job(job.data.job_id)), NotFoundException)
    print("errors: typed exceptions")

    assert AccountApi(client).get_account().data.limits.jobs_at_once > 0
    assert AccountApi(client).get_usage().data.days is not None
    assert SystemApi(client).get_version().data.version
    print("account, usage, version: typed")
