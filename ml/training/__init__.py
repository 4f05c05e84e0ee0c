"""The code that made the weights in `ml/weights/`. Nothing here runs in the service."""
