"""
The runtimes that run a network: OpenVINO, ONNX Runtime, torch.

ONNX Runtime's builds for Linux report to their maker unless they are told before they start
(https://github.com/microsoft/onnxruntime/pull/27379): an id on the disk, which networks run, how long. Nothing of that is
anybody's business but the operator's.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
