"""
`python -m tests.bench` (`make bench`): Keyline beside bare onnxruntime and rembg's server, in the same run
and interleaved.

All share the machine's good and bad moments that way, so the ratios hold where the absolute times don't.
It is no test: it never fails because of a slow machine.
"""
