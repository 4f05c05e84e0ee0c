"""
The runtimes that run a network: OpenVINO on a CPU, torch on a GPU.

OpenVINO brings a package that reports to its maker which models are read, under an id that it keeps in the home folder
(https://github.com/openvinotoolkit/telemetry). Where that cannot be imported, it does without. Nothing of what a worker
does is anybody's business but the operator's.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python's own way to forbid an import
