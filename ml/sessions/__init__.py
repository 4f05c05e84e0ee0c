"""The runtimes that run a network: ONNX Runtime."""
